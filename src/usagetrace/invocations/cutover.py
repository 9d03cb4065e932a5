"""Comparing a legacy skill-metrics file with a store as a whole, cutting over to the store, and going back.

This module owns what may be done when: a cutover takes a file and a store that agree, and leaves a copy and a note
beside the file; going back writes the file from the store, and removes the note. Either may be given again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Final

from usagetrace.errors import ImportFileError, StoreError, UsageTraceError
from usagetrace.importers import ledger
from usagetrace.importers.model import Report, Skipped
from usagetrace.importers.run import run
from usagetrace.importers.skill_cutover import Cutover, cutover_text, find_cutover, marker_path
from usagetrace.importers.skill_events import redacted_name
from usagetrace.importers.skill_metrics import SkillMetricsReader
from usagetrace.importers.skill_totals import SkillTotals
from usagetrace.invocations.agreement import Difference, differences, redacted_values, values_of
from usagetrace.invocations.legacy_export import LegacyDocument
from usagetrace.invocations.legacy_file import locked, replace
from usagetrace.store import invocation_queries as queries
from usagetrace.store.store import Store

# Records that are remembered in one transaction.
_BATCH: Final = 1000
_CHUNK: Final = 1 << 20


class DisagreementError(UsageTraceError):
    """A file and a store differ.

    Args:
        comparison: In what.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        super().__init__(f"{len(comparison.differences)} differences between the JSON and the database")

    def __reduce__(self) -> tuple[type[DisagreementError], tuple[Comparison]]:
        # The arguments are not those of Exception.
        return type(self), (self.comparison,)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a file and a store say of the same skills.

    Attributes:
        skills: Skills that were compared: those of the file.
        invocations: What the file counts of them.
        differences: Where the two differ.
        others: Skills that the store has and the file does not.
    """

    skills: int
    invocations: int
    differences: tuple[Difference, ...]
    others: int


def compare(reader: SkillMetricsReader, store: Store | None, *, recount: bool = False) -> Comparison:
    """Compare a file with a store: counts have to be equal, rates within 0.01.

    Args:
        reader: Of the file; it is looked at here.
        store: The store; None where there is none yet.
        recount: Take a recount of the file's list for what it says, and not its totals.

    Raises:
        ImportFileError: The file can't be read, or has a fault.
        StoreError: The store can't be read.
    """
    reader.check()
    in_json: dict[str, SkillTotals] = {}
    never_ended: dict[str, int] = {}
    source = reader.counted if recount else {**dict.fromkeys(reader.counted), **reader.said}
    for raw, totals in source.items():
        name = redacted_name(raw)
        in_json.setdefault(name, SkillTotals(name)).merge(totals or SkillTotals(raw))
        never_ended[name] = never_ended.get(name, 0) + reader.never_ended[raw]
    known = {} if store is None else {each["skill_name"]: each for each in queries.metrics(store)}
    found = [
        difference
        for name, totals in in_json.items()
        for difference in differences(
            name, redacted_values(values_of(totals)), values_of(known.get(name)), never_ended=never_ended[name]
        )
    ]
    counted = sum(each.total_invocations for each in in_json.values())
    return Comparison(len(in_json), counted, tuple(found), len(known.keys() - in_json.keys()))


@dataclass(frozen=True, slots=True)
class CutOver:
    """What a cutover did.

    Attributes:
        cutover: The note beside the file.
        report: Of the last import; None where it had been cut over before.
        comparison: Of file and store; None where it had been cut over before.
    """

    cutover: Cutover
    report: Report | None = None
    comparison: Comparison | None = None


def cut_over(
    path: Path, store_path: Path, *, zone: tzinfo | None = None, recount: bool = False, now_ms: int | None = None
) -> CutOver:
    """Import what is left of a file, compare, copy the file beside itself, and note that the store has taken over.

    Args:
        path: The file; the tool that writes it has stopped.
        store_path: The store; made where there is none.
        zone: Of the file's times; None for that of this machine.
        recount: As for :func:`compare`.
        now_ms: The present, in milliseconds since 1970 UTC.

    Raises:
        DisagreementError: The two differ; nothing but the import was done.
        ImportFileError: The file can't be read, or was changed since it was cut over.
        StoreError: The store can't be used.
    """
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    if find_cutover(path) is None and not path.exists():
        # The lock would be left beside a file that is not there.
        raise ImportFileError(str(path), os.strerror(errno.ENOENT))
    with locked(path):
        before = find_cutover(path)
        if before is not None:
            _require_same(path, before)
            return CutOver(before)
        reader = SkillMetricsReader(path, zone=zone, store_path=store_path, settled=True, now_ms=lambda: now)
        report = run(reader, store_path, now_ms=lambda: now)
        with Store(store_path) as store:
            comparison = compare(reader, store, recount=recount)
        if comparison.differences:
            raise DisagreementError(comparison)
        digest = _digest(path)
        note = Cutover(
            at=datetime.fromtimestamp(now / 1000, timezone.utc).isoformat(timespec="seconds"),
            database=os.path.abspath(store_path),
            copy=str(_copied(path, digest)),
            sha256=digest,
            invocations=sum(each.total_invocations for each in reader.counted.values()) + reader.never_ended.total(),
        )
        replace(marker_path(path), [cutover_text(note)])
    return CutOver(note, report, comparison)


def _require_same(path: Path, before: Cutover) -> None:
    if os.path.exists(path) and _digest(path) != before.sha256:
        raise ImportFileError(
            str(path),
            f"it was cut over at {before.at} and has been changed since: something still writes it; go back with "
            "`usagetrace skills rollback --force` (which sets the file aside), or put the copy in its place",
        )


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            found.update(data)
    return found.hexdigest()


def _copied(path: Path, digest: str) -> Path:
    """Copy a file beside itself, unless it has been done; return where the copy is."""
    copy = path.with_name(f"{path.name}.copy-{digest[:12]}")
    if copy.exists() and _digest(copy) == digest:
        return copy
    partial = copy.with_name(f".{copy.name}.partial")
    shutil.copy2(path, partial)
    if _digest(partial) != digest:
        partial.unlink()
        raise ImportFileError(str(path), "the file was changed while it was copied: stop what writes it")
    partial.replace(copy)
    return copy


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What going back did.

    Attributes:
        invocations: How many the file lists.
        skills: Of how many it has totals.
        aside: Where the file is that was there before; None where there was none.
    """

    invocations: int
    skills: int
    aside: Path | None


def roll_back(
    path: Path, store: Store, *, force: bool = False, zone: tzinfo | None = None, now_ms: int | None = None
) -> RolledBack:
    """Write a legacy file from a store; the legacy tool goes on with it.

    The store remembers what the file lists: an import of it adds nothing.

    Args:
        path: The file.
        store: The store, open for writing.
        force: Set a file that is there aside, and write; else it is refused.
        zone: Of the file's times; None for that of this machine.
        now_ms: The present, in milliseconds since 1970 UTC.

    Raises:
        StoreError: There is a file, and no ``force``; or the store can't be used.
        OSError: The file can't be written.
    """
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    with locked(path):
        if os.path.lexists(path) and not force:
            raise StoreError(f"{path}: it is there, and is not overwritten: --force sets it aside first")
        target = Path(os.path.realpath(path))
        written = target.with_name(f".{target.name}.rollback-{os.getpid()}")
        try:
            document = LegacyDocument(store, zone)
            with _snapshot(store):
                replace(written, document.parts(now))
            reader = SkillMetricsReader(written, zone=zone, settled=True, after_cutover=True)
            # What this package can't read again is no way back.
            reader.check()
            _remember(reader, store)
            aside = _set_aside(target, now)
            written.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                written.unlink()
        with contextlib.suppress(FileNotFoundError):
            marker_path(path).unlink()
    return RolledBack(document.invocations, document.skills, aside)


@contextlib.contextmanager
def _snapshot(store: Store) -> Iterator[None]:
    """See the store as it is at one moment."""
    connection = store.connection
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def _remember(reader: SkillMetricsReader, store: Store) -> None:
    """Have the store know what a file lists, as if it had been imported."""
    secret = ledger.installation_key(make=True)
    keys = ledger.Keys(reader.name, secret)
    occurrences = ledger.Occurrences()
    with contextlib.closing(occurrences):
        bases: list[int] = []
        for each in reader.read():
            if not isinstance(each, Skipped):
                bases.append(keys.base(each.identity))
            if len(bases) == _BATCH:
                _remember_batch(store, keys, secret, bases, occurrences)
                bases = []
        _remember_batch(store, keys, secret, bases, occurrences)


def _remember_batch(
    store: Store, keys: ledger.Keys, secret: bytes, bases: list[int], occurrences: ledger.Occurrences
) -> None:
    if not bases:
        return
    numbers = occurrences.number(bases)
    with store.atomic():
        ledger.open_ledger(store.connection, secret)
        ledger.remember(
            store.connection, (keys.ids(base, number).key for base, number in zip(bases, numbers, strict=True))
        )


def _set_aside(path: Path, now_ms: int) -> Path | None:
    """Keep a file under a name that nothing has, so that it can be replaced; return that name."""
    if not os.path.lexists(path):
        return None
    when = datetime.fromtimestamp(now_ms / 1000, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        aside = path.with_name(f"{path.name}.aside-{when}{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(aside):
            try:
                # A second name: there is a file at every moment.
                os.link(path, aside)
            except OSError:
                path.rename(aside)
            return aside
        number += 1
