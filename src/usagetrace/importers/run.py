"""Imports what a reader finds: looked at as a whole first, then in batches, each record once.

Whatever ends an import in the middle, a second run goes on where it stopped: what is known is passed over before it is
redacted, and each batch is in the store as a whole, with the note that it is there, or not at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from usagetrace.errors import ImportFileError, RedactionError
from usagetrace.importers.fitting import fitted
from usagetrace.importers.ledger import Ids, Keys, Occurrences, installation_key
from usagetrace.importers.model import DAY_MS, Found, FoundPoint, Reader, Report, Skipped
from usagetrace.importers.sink import DrySink, Record, Sink, StoreSink

__all__ = ["CHECK", "IMPORT", "run"]

# Stages that a progress is told of.
CHECK: Final = "check"
IMPORT: Final = "import"
# Records of one transaction: one of them takes some ten milliseconds, which others can wait for.
_BATCH: Final = 1000
# Ids of a source's own are the same in every format.
_OWN: Final = "ids"
_FUTURE: Final = "its time is in the future"

# Told of a stage, and how many bytes of the source have been read in it.
Progress = Callable[[str, int], None]


def run(
    reader: Reader,
    store_path: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    checked: Callable[[Report], None] | None = None,
    retention_days: int = 0,
    clock_skew_s: float = 60.0,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    report: Report | None = None,
) -> Report:
    """Import a source into a store.

    Args:
        reader: The source.
        store_path: The database; made where there is none.
        dry_run: Say what would be done, and write nothing at all.
        progress: Told now and then how far it is.
        checked: Told once, after the source was looked at and before anything is written, with ``old`` counted as far
            as the reader counts days.
        retention_days: How long the store keeps events; older ones are counted as old. 0 keeps them for ever.
        clock_skew_s: How far ahead of this machine's clock an event may be, in seconds.
        now_ms: Gives the present, in milliseconds since 1970 UTC.
        report: Filled while the import runs, for whoever interrupts it; a new one by default.

    Returns:
        What was done.

    Raises:
        ImportFileError: The source has a fault. Found when it was looked at, nothing was written; made afterwards, what
            was written before stays, and is passed over by the next run.
        StoreError: The store can't be written; what was written before stays.
        UsageTraceError: The ledger's key can't be used.
    """
    told = report if report is not None else Report()
    began = time.monotonic()
    clock = _Clock(now_ms(), int(clock_skew_s * 1000), now_ms() - retention_days * DAY_MS if retention_days else None)
    try:
        _refuse_itself(reader, store_path)
        _check(reader, progress)
        if checked is not None:
            told.old = _old(reader, clock)
            checked(told)
            told.old = 0
        secret = installation_key(make=not dry_run)
        sink: Sink = DrySink(store_path, secret) if dry_run else StoreSink(store_path, secret, now_ms)
        try:
            _Job(reader, sink, told, secret, clock).run(progress)
        finally:
            sink.close()
        told.complete = True
        return told
    finally:
        told.seconds = time.monotonic() - began


class _Clock(NamedTuple):
    """What times are held against.

    Attributes:
        now_ms: When the import began, in milliseconds since 1970 UTC.
        skew_ms: How far ahead of it an event may be.
        oldest_ms: Events before it are old; None where none are.
    """

    now_ms: int
    skew_ms: int
    oldest_ms: int | None


def _check(reader: Reader, progress: Progress | None) -> None:
    if progress is not None and hasattr(reader, "tick"):
        reader.tick = lambda: progress(CHECK, reader.done)
    reader.check()
    if progress is not None:
        progress(CHECK, reader.size or reader.done)


def _old(reader: Reader, clock: _Clock) -> int:
    """Return how many events are of days that are older than events are kept."""
    if clock.oldest_ms is None:
        return 0
    return sum(number for day, number in reader.days.items() if (day + 1) * DAY_MS <= clock.oldest_ms)


def _refuse_itself(reader: Reader, store_path: str | os.PathLike[str]) -> None:
    source = getattr(reader, "path", None)
    if source is None or not os.path.exists(source) or not os.path.exists(store_path):
        return
    if os.path.samefile(source, store_path):
        raise ImportFileError(os.fspath(source), "this is the store itself: nothing is to be imported")


class _Job:
    """One pass that imports.

    Args:
        reader: The source.
        sink: Where to.
        report: What is told.
        secret: The key that ids are made with.
        clock: What times are held against.
    """

    def __init__(self, reader: Reader, sink: Sink, report: Report, secret: bytes, clock: _Clock) -> None:
        self._reader = reader
        self._sink = sink
        self._report = report
        self._keys = Keys(reader.name, secret)
        self._own = Keys(_OWN, secret)
        self._clock = clock

    def run(self, progress: Progress | None) -> None:
        """Import everything."""
        report = self._report
        # Before the events: what they stand for must not be taken for what they are not.
        carried = list(getattr(self._reader, "carried", tuple)())
        report.carried, report.uncarried = self._sink.carry(self._keys, carried)
        occurrences = Occurrences()
        try:
            for batch in _batches(self._reader.read(), _BATCH):
                self._batch([each for each in batch if not isinstance(each, Skipped)], occurrences)
                for each in batch:
                    if isinstance(each, Skipped):
                        report.skip(each)
                report.read += len(batch)
                if progress is not None:
                    progress(IMPORT, self._reader.done)
        finally:
            occurrences.close()

    def _batch(self, batch: list[Found | FoundPoint], occurrences: Occurrences) -> None:
        bases = [self._base(each) for each in batch]
        numbers = occurrences.number(bases) if bases else []
        # A record with ids of its own that comes again is the same one.
        marked = [
            (self._keys.ids(base, 0 if _is_own(each) else number), each, number and _is_own(each))
            for each, base, number in zip(batch, bases, numbers, strict=True)
        ]
        known = self._sink.known([ids.key for ids, _, _ in marked]) if marked else set()
        records, places = [], []
        for ids, each, again in marked:
            if isinstance(each, Found) and self._is_refused(each):
                continue
            if again or ids.key in known:
                self._report.known += 1
                continue
            record = self._record(each, ids)
            if record is not None:
                records.append(record)
                places.append(each.place)
        if not records:
            return
        added, refused = self._sink.add(records)
        for place in refused:
            self._report.skip(Skipped(places[place], "can't be stored"))
        self._report.added += added
        self._report.known += len(records) - len(refused) - added

    def _base(self, each: Found | FoundPoint) -> int:
        if isinstance(each, Found):
            event = each.event
            if _is_own(each):
                return self._own.base(f"{event.trace_id}:{event.span_id}:{event.item}")
            return self._keys.base(each.identity)
        return self._own.base(f"point:{each.identity}")

    def _is_refused(self, found: Found) -> bool:
        """Count an event that is old, and skip one that is in the future."""
        ts_ms, clock = found.event.ts_ms, self._clock
        if clock.oldest_ms is not None and ts_ms < clock.oldest_ms:
            self._report.old += 1
        ahead_ms = ts_ms - clock.now_ms
        if ahead_ms <= clock.skew_ms:
            return False
        ahead = f"{_span(ahead_ms)} ahead of this machine's clock, where {clock.skew_ms / 1000:g} s are allowed"
        self._report.skip(Skipped(found.place, _FUTURE, ahead))
        return True

    def _record(self, each: Found | FoundPoint, ids: Ids) -> Record | None:
        """Return what is to be stored; None where it can't be redacted, which is counted."""
        if isinstance(each, FoundPoint):
            return Record(ids.key, None, each.point)
        if each.there:
            return Record(ids.key, None)
        event = each.event
        if not _is_own(each):
            event = event._replace(trace_id=ids.trace_id, span_id=ids.span_id)
        if each.redacted:
            return Record(ids.key, event)
        try:
            return Record(ids.key, fitted(event))
        except RedactionError:
            self._report.skip(Skipped(each.place, "can't be redacted"))
            return None


def _is_own(each: Found | FoundPoint) -> bool:
    """Return whether a record has ids of its own, by which a store may know it from elsewhere."""
    if isinstance(each, FoundPoint):
        return True
    return not each.there and each.event.trace_id is not None and each.event.span_id is not None


def _batches(source: Iterable[Found | FoundPoint | Skipped], size: int) -> Iterator[list[Found | FoundPoint | Skipped]]:
    records = iter(source)
    while batch := list(islice(records, size)):
        yield batch


def _span(milliseconds: int) -> str:
    """Return a span of time for people."""
    seconds = milliseconds / 1000
    for size, unit in ((86_400 * 365.25, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"
