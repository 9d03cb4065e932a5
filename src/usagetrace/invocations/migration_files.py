"""Migrations as files: ``V<n>__<description>.sql``, a part that goes forward and, in comments, one that goes back.

::

    -- Forward migration
    BEGIN TRANSACTION;
    ALTER TABLE review ADD COLUMN score REAL;
    INSERT INTO schema_migrations (version, description) VALUES (2, 'Add the score');
    COMMIT;

    -- Rollback migration
    -- ROLLBACK;
    -- ALTER TABLE review DROP COLUMN score;
    -- DELETE FROM schema_migrations WHERE version = 2;

This module owns how such a file is read. What begins and ends transactions in it, and what it writes into the ledger,
is left out: both are the runner's, so that a migration and its row of the ledger come and go together.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from usagetrace.errors import StoreError

_NAME: Final = re.compile(r"V(\d{1,9})__([A-Za-z0-9][A-Za-z0-9_.-]*)\.sql")
_BACK: Final = re.compile(r"--\s*rollback\s+migration\b.*", re.IGNORECASE)
_COMMENTS: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_TRANSACTION: Final = re.compile(
    r"(?:BEGIN(?:\s+(?:DEFERRED|IMMEDIATE|EXCLUSIVE))?|COMMIT|END|ROLLBACK)(?:\s+TRANSACTION)?\s*;?\s*\Z", re.IGNORECASE
)
_LEDGER: Final = re.compile(
    r"(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|DELETE\s+FROM|UPDATE)\s+[\"\[`]?schema_migrations\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One migration of a directory.

    Attributes:
        path: The file.
        version: Its number.
        description: What its name says it does.
        up: Statements that apply it.
        down: Statements that undo it; none where the file has no such part.
    """

    path: Path
    version: int
    description: str
    up: tuple[str, ...]
    down: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """The SHA-256 of what applies it, as hexadecimal text: the way back may be mended afterwards."""
        return hashlib.sha256("\n;\n".join(self.up).encode()).hexdigest()


def read_directory(directory: Path) -> list[MigrationFile]:
    """Return the migrations of a directory, by version. Files that are no SQL are left alone.

    Raises:
        StoreError: The directory or a file can't be read, a name has another form, or two have one version.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix.lower() == ".sql")
        found = sorted((read_file(path) for path in paths), key=lambda each: each.version)
    except OSError as error:
        raise StoreError(f"{error.filename or directory}: {error.strerror or type(error).__name__}") from error
    for before, after in itertools.pairwise(found):
        if before.version == after.version:
            raise StoreError(f"{after.path}: version {after.version} is that of {before.path.name}, too")
    return found


def read_file(path: Path) -> MigrationFile:
    """Read one migration.

    Raises:
        StoreError: Its name has another form, or it is no SQL that ends.
        OSError: It can't be read.
    """
    name = _NAME.fullmatch(path.name)
    if name is None or not int(name[1]):
        raise StoreError(f"{path}: expected a name such as V2__add_score.sql, with a version from 1")
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: expected UTF-8, found the byte 0x{error.object[error.start]:02x}") from None
    split = next((place for place, line in enumerate(lines) if _BACK.match(line.strip())), len(lines))
    behind = lines[split + 1 :]
    for number, line in enumerate(behind, split + 2):
        if line.strip() and not line.strip().startswith("--"):
            raise StoreError(f"{path}, line {number}: below '-- Rollback migration' every line is a comment")
    back = [re.sub(r"^\s*--\s?", "", line) for line in behind]
    up = _statements(path, lines[:split])
    if not up:
        raise StoreError(f"{path}: it has no statement above '-- Rollback migration'")
    return MigrationFile(path, int(name[1]), name[2].replace("_", " "), up, _statements(path, back))


def _statements(path: Path, lines: list[str]) -> tuple[str, ...]:
    found = []
    for statement in _split(path, "\n".join(lines)):
        core = _COMMENTS.sub("", statement, count=1)
        if core.strip(" \t\n;") and not _TRANSACTION.match(core) and not _LEDGER.match(core):
            found.append(core.strip())
    return tuple(found)


def _split(path: Path, text: str) -> Iterator[str]:
    """Yield the statements of a text; a semicolon inside a string, a comment or a trigger ends none."""
    begin = 0
    for semicolon in re.finditer(";", text):
        if sqlite3.complete_statement(text[begin : semicolon.end()]):
            yield text[begin : semicolon.end()]
            begin = semicolon.end()
    rest = text[begin:]
    if _COMMENTS.sub("", rest, count=1).strip():
        if not sqlite3.complete_statement(f"{rest}\n;"):
            raise StoreError(f"{path}: its last statement does not end")
        yield rest
