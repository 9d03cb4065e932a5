"""What was imported before: ids made from what a record is, and the table that remembers them.

An id is a keyed hash of format, record and how many equal records came before in the same source. The key is of this
installation (:mod:`usagetrace.redaction.hashkey`), not in the database: who has only the database can't try out what a
record held before it was redacted. The table remembers 64 bits a record, also after retention has removed its event,
which would be counted once more otherwise.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from usagetrace.errors import UsageTraceError
from usagetrace.redaction.hashkey import key_path, keyed_hash
from usagetrace.store.connection import named_errors

# Key of usagetrace_state: tells by which installation's key the records of this store are remembered.
_KEY_CHECK: Final = "import_key"
_KNOWN: Final = "SELECT key FROM imported_records WHERE key IN (SELECT value FROM json_each(?))"
_ADD: Final = "INSERT OR IGNORE INTO imported_records (key) SELECT value FROM json_each(?)"
# Memory that counting equal records may take before it goes to a file of SQLite's own, in KiB.
_COUNT_MEMORY: Final = 32_768
_COUNT_FILE: Final = "the temporary file (SQLITE_TMPDIR, TMPDIR) that equal records are counted in"


class Ids(NamedTuple):
    """Ids of one record.

    Attributes:
        key: What the store remembers it by: 64 bits with a sign.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
    """

    key: int
    trace_id: str
    span_id: str


class Keys:
    """Makes ids of records.

    Args:
        name: The format; equal records of two formats are different ones.
        secret: The key, up to 64 bytes.
    """

    def __init__(self, name: str, secret: bytes) -> None:
        self._hash = hashlib.blake2b(key=secret, person=b"usagetrace")
        self._name = f"{name}\0".encode()

    def base(self, identity: str) -> int:
        """Return a number that stands for a record's content."""
        hashed = self._hash.copy()
        hashed.update(self._name + identity.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest()[:8], "big", signed=True)

    def ids(self, base: int, number: int) -> Ids:
        """Return the ids of a record: the ``number``-th of those that have the same content, from 0."""
        hashed = self._hash.copy()
        hashed.update(b"%d:%d" % (base, number))
        digest = hashed.digest()
        # An id of zeros means that there is none; the chance is that of two records having one id.
        return Ids(int.from_bytes(digest[:8], "big", signed=True), digest[8:24].hex(), digest[24:32].hex())


class Occurrences:
    """Counts equal records of one pass. What does not fit into memory goes to a file that SQLite removes by itself."""

    def __init__(self) -> None:
        self._counts = sqlite3.connect("", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            f"PRAGMA cache_size=-{_COUNT_MEMORY}",
            "CREATE TABLE counts (base INTEGER PRIMARY KEY, number INTEGER NOT NULL)",
        ):
            self._counts.execute(statement).fetchall()

    def number(self, bases: Sequence[int]) -> list[int]:
        """Return of each record how many equal ones came before it.

        Raises:
            StoreUnavailableError: There is no room for the file.
        """
        with named_errors(_COUNT_FILE):
            return self._number(bases)

    def _number(self, bases: Sequence[int]) -> list[int]:
        known = dict(
            self._counts.execute(
                "SELECT base, number FROM counts WHERE base IN (SELECT value FROM json_each(?))", (json.dumps(bases),)
            )
        )
        counts = Counter(known)
        numbers = []
        for base in bases:
            numbers.append(counts[base])
            counts[base] += 1
        self._counts.execute("BEGIN")
        self._counts.executemany("INSERT OR REPLACE INTO counts (base, number) VALUES (?, ?)", counts.items())
        self._counts.execute("COMMIT")
        return numbers

    def close(self) -> None:
        """Forget everything."""
        self._counts.close()


def installation_key(*, make: bool) -> bytes:
    """Return the key that ids are made with: derived from this installation's, so that it is good for nothing else.

    Args:
        make: Whether to make the installation's key where there is none; without one, nothing was imported here, and
            a key for this run alone is as good.

    Raises:
        UsageTraceError: There is a key that can't be used.
    """
    try:
        missing = not os.path.lexists(key_path())
    except RuntimeError:
        # Nobody knows the home directory: `keyed_hash` says so as well.
        missing = False
    if missing and not make:
        return os.urandom(32)
    parts = [keyed_hash(f"usagetrace.import:{number}") for number in range(4)]
    if any(part is None for part in parts):
        raise UsageTraceError(
            "nothing is imported: the key that tells what was imported before can't be read or made "
            "(redaction.key beside the user's settings)"
        )
    return "".join(str(part)[3:] for part in parts).encode()


def check_key(connection: sqlite3.Connection, secret: bytes) -> None:
    """Raise where the store remembers records by the key of another installation.

    Args:
        connection: A connection to the store.
        secret: The key of this one.

    Raises:
        UsageTraceError: What was imported before would not be recognised, and be counted again.
    """
    if not has_ledger(connection):
        return
    row = connection.execute("SELECT value FROM usagetrace_state WHERE key = ?", (_KEY_CHECK,)).fetchone()
    if row is not None and row[0] != _check_of(secret):
        raise UsageTraceError(
            "this store was imported into with the key of another installation, or that key was replaced: without it, "
            f"what was imported before would be counted again: put that key back ({key_path()}), or import into a "
            "store of its own"
        )


def open_ledger(connection: sqlite3.Connection, secret: bytes) -> None:
    """Note the key that records are remembered by. The caller holds a transaction open for writing.

    Raises:
        UsageTraceError: As for :func:`check_key`.
    """
    check_key(connection, secret)
    connection.execute(
        "INSERT OR IGNORE INTO usagetrace_state (key, value) VALUES (?, ?)", (_KEY_CHECK, _check_of(secret))
    )


def has_ledger(connection: sqlite3.Connection) -> bool:
    """Return whether a store has the table that remembers records; one in an older schema has not."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'imported_records'")
    return found.fetchone() is not None


def remembered(connection: sqlite3.Connection, keys: Iterable[int]) -> set[int]:
    """Return which records were imported before. The table has to be there."""
    return {row[0] for row in connection.execute(_KNOWN, (json.dumps(list(keys)),))}


def remember(connection: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Add records, in the order of the table's pages. The caller holds a transaction open for writing."""
    connection.execute(_ADD, (json.dumps(sorted(keys)),))


def _check_of(secret: bytes) -> str:
    return hashlib.blake2b(b"check", key=secret, digest_size=8).hexdigest()
