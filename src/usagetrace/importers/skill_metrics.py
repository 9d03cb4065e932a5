"""Reads a legacy skill-metrics file: a list of invocations, and totals a skill that may say something else.

The file is looked at as a whole before anything of it is imported, and its totals are held against a recount of its
list. What the totals count beyond the list has no time and can't become an event: it is told, and stays in the file.
Memory grows with the number of skills, paths, errors and actions that differ, not with that of invocations.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from usagetrace.errors import ImportFileError, RedactionError
from usagetrace.importers.dual_written import DualWritten
from usagetrace.importers.json_text import JsonText
from usagetrace.importers.model import DAY_MS, Found, Skipped
from usagetrace.importers.skill_cutover import is_cut_over
from usagetrace.importers.skill_events import Texts, event_of, redacted_name
from usagetrace.importers.skill_records import RecordError, Times, read_record, read_totals, unknown_members
from usagetrace.importers.skill_totals import COUNTERS, COUNTS, SkillTotals, has_ended
from usagetrace.importers.source import open_regular
from usagetrace.redaction import default_redactor

# An invocation that has not ended may still be running for so long.
_RUNNING_MS: Final = DAY_MS
# Records between two looks at the progress.
_TICK: Final = 4096
# Sums of durations are added up in another order.
_RELATIVE: Final = 1e-6
# Names that are told at most, and the most characters of one.
_MOST_TOLD: Final = 20
# Names of members that are counted: each may be another one.
_MOST_UNKNOWN: Final = 1000
_TOLD_LENGTH: Final = 60
_INVOCATION: Final = "invocations"
_SKILL: Final = "skills"


class Surplus(NamedTuple):
    """A total that the file has and its own list does not account for.

    Attributes:
        skill_name: The skill, as the file has it: not redacted.
        column: Which total.
        said: What the file says.
        counted: What a recount of its list gives.
    """

    skill_name: str
    column: str
    said: Any
    counted: Any


class SkillMetricsReader:
    """Reader of the legacy skill-metrics JSON.

    Args:
        path: The file.
        zone: The zone of its times, which have no offset; None for the one of this machine. What an invocation is told
            apart by does not depend on it.
        store_path: The database that is imported into: an invocation that was written to both is known by it.
        settled: The tool that writes the file has stopped: what has not ended never will, however young it is.
        after_cutover: Read the file though it was cut over.
        now_ms: Returns the present in milliseconds since 1970 UTC.
    """

    # Part of what ids are made from: it never changes.
    name: str = "skill-metrics"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        zone: tzinfo | None = None,
        store_path: str | os.PathLike[str] | None = None,
        settled: bool = False,
        after_cutover: bool = False,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.path = Path(path)
        self.size: int | None = None
        self.days: Mapping[int, int] = {}
        # Totals that differ from a recount of the list, and members that the tool does not know, after `check`.
        self.surplus: list[Surplus] = []
        self.unknown: Counter[str] = Counter()
        # The recount of the list, a skill, and what the file says itself, after `check`.
        self.counted: dict[str, SkillTotals] = {}
        self.said: dict[str, SkillTotals] = {}
        # How many of its invocations have not ended: they are in no total.
        self.never_ended: Counter[str] = Counter()
        self._zone = zone
        self._store_path = store_path
        self._settled = settled
        self._after_cutover = after_cutover
        # Called now and then while the file is read, for whoever shows how far it is.
        self.tick: Callable[[], None] | None = None
        self._now_ms = now_ms
        self._text: JsonText | None = None
        self._state: tuple[int, ...] | None = None

    @property
    def done(self) -> int:
        """Bytes that the present pass has read."""
        return 0 if self._text is None else self._text.done

    def check(self) -> None:
        """Look at the whole file, and count.

        Raises:
            ImportFileError: It can't be read, was cut over, is no such file, or has a fault; the message says where.
        """
        if not self._after_cutover and is_cut_over(self.path):
            raise ImportFileError(
                str(self.path), "it was cut over: the database alone counts; `usagetrace skills rollback` undoes that"
            )
        self.counted, self.said, self.unknown, self.never_ended = {}, {}, Counter(), Counter()
        days: Counter[int] = Counter()
        times = Times(self._zone)
        with self._opened() as file:
            self._state = _state(file)
            for kind, key, value in self._parts(file):
                if kind is _SKILL:
                    self._take_totals(key, value)
                    continue
                record, ts_ms = self._take(key, value, times)
                self._count_unknown(f"invocations[].{name}" for name in unknown_members(value))
                days[ts_ms // DAY_MS] += 1
                name = record["skill_name"]
                if name not in self.counted:
                    self.counted[name] = SkillTotals(name)
                self.counted[name].add(record)
                if not has_ended(record):
                    self.never_ended[name] += 1
            self._require_unchanged(file)
        self.days = days
        self.surplus = [each for name in sorted({*self.said, *self.counted}) for each in self._compare(name)]

    def read(self) -> Iterator[Found | Skipped]:
        """Yield each invocation of the list, in its order.

        Raises:
            ImportFileError: As for :meth:`check`; also where the file has changed since.
        """
        times = Times(self._zone)
        now_ms = self._now_ms()
        texts = Texts()
        written = DualWritten(self._store_path)
        if written.any:
            written.match(self._moments())
        with self._opened() as file:
            if self._state is not None:
                self._require_unchanged(file)
            for kind, index, value in self._parts(file):
                if kind is _SKILL:
                    continue
                record, ts_ms = self._take(index, value, times)
                place = f"invocations[{index}]"
                if not has_ended(record) and not self._settled and ts_ms > now_ms - _RUNNING_MS:
                    yield Skipped(place, "it has not ended yet: taken for abandoned once it is a day old")
                    continue
                try:
                    event = event_of(record, ts_ms, unknown_members(value), texts)
                except RedactionError:
                    yield Skipped(place, "it can't be redacted")
                    continue
                there = written.takes(event.artifact_name, record["invoked_at"])
                yield Found(event, _identity(record), place, redacted=True, there=there)
            if self._state is not None:
                self._require_unchanged(file)

    def _moments(self) -> Iterator[tuple[str, str]]:
        """Yield skill, redacted, and time of each invocation, to be matched with what was written to both."""
        with self._opened() as file:
            for kind, index, value in self._parts(file):
                if kind is _INVOCATION:
                    record, _ = self._take(index, value, Times(self._zone))
                    with contextlib.suppress(RedactionError):
                        yield redacted_name(record["skill_name"]), record["invoked_at"]

    @property
    def notes(self) -> list[str]:
        """What is to be told of the file as a whole, redacted: totals that its list does not bear out, unknown keys."""
        notes = [
            f"the key {_told_member(name)} ({number} times) is not one of the legacy tool's: it is kept as metadata, "
            "and not written by a rollback"
            if name.startswith("invocations[].")
            else f"the key {_told_member(name)} is not one of the legacy tool's: it is left out"
            for name, number in self.unknown.most_common(_MOST_TOLD)
        ]
        notes += [
            f"{_told(each.skill_name)}: {each.column} is {_shown(each.said)} in the file and {_shown(each.counted)} "
            "counted from its list; the list is imported, the rest stays in the file"
            for each in self.surplus[:_MOST_TOLD]
        ]
        if len(self.surplus) > _MOST_TOLD:
            notes.append(f"{len(self.surplus) - _MOST_TOLD} more totals differ from a recount of the list")
        return notes

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with io.BufferedReader(open_regular(self.path)) as file:
                yield file
        except OSError as error:
            raise ImportFileError(str(self.path), error.strerror or type(error).__name__) from error

    def _require_unchanged(self, file: BinaryIO) -> None:
        if _state(file) != self._state:
            raise ImportFileError(
                str(self.path), "the file was changed while it was read: import it again; nothing is added twice"
            )

    def _parts(self, file: BinaryIO) -> Iterator[tuple[str, Any, Any]]:
        """Yield invocations with their index and totals with their skill, as they come."""
        self.size = os.fstat(file.fileno()).st_size
        text = self._text = JsonText(file, str(self.path))
        if not text.peek():
            raise text.fault("the file is empty: expected a JSON object")
        for key in text.members(""):
            if key == _INVOCATION:
                for index, value in text.values(_INVOCATION):
                    yield _INVOCATION, index, value
            elif key == _SKILL:
                for name in text.members(_SKILL):
                    yield _SKILL, name, text.value(_SKILL)
            elif key == "last_updated":
                if not isinstance(text.value(key), str | None):
                    raise text.fault("expected a text", key, at=text.start)
            else:
                text.value("")
                self._count_unknown([key])
        if text.peek():
            raise text.fault("expected nothing after the object")

    def _take(self, index: int, value: Any, times: Times) -> tuple[dict[str, Any], int]:
        if self.tick is not None and index % _TICK == 0:
            self.tick()
        try:
            record = read_record(value)
            return record, times.read(record["invoked_at"])
        except RecordError as error:
            raise self._fault(f"invocations[{index}]", error) from None

    def _take_totals(self, name: str, value: Any) -> None:
        try:
            self.said[name], unknown = read_totals(name, value)
        except RecordError as error:
            raise self._fault(f"skills, entry {len(self.said)}", error) from None
        self._count_unknown(f"skills[].{member}" for member in unknown)

    def _count_unknown(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self.unknown) < _MOST_UNKNOWN or name in self.unknown:
                self.unknown[name] += 1

    def _fault(self, path: str, error: RecordError) -> ImportFileError:
        text = self._text
        assert text is not None, "a record is read from a text"  # noqa: S101 -- for the type checker; `_parts` set it
        member = error.member.partition("[")[0]
        at = text.member_position(member) if member else text.start
        return text.fault(str(error), f"{path}.{error.member}" if error.member else path, at=at)

    def _compare(self, name: str) -> Iterator[Surplus]:
        said = self.said.get(name, SkillTotals(name))
        counted = self.counted.get(name, SkillTotals(name))
        for column in (*COUNTS, *COUNTERS):
            if getattr(said, column) != getattr(counted, column):
                yield Surplus(name, column, getattr(said, column), getattr(counted, column))
        before, after = said.total_duration_seconds, counted.total_duration_seconds
        if abs(before - after) > _RELATIVE * max(1.0, before, after):
            yield Surplus(name, "total_duration_seconds", before, after)


def _state(file: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _identity(record: Mapping[str, Any]) -> str:
    """Return what tells an invocation from others, whether it has ended by now or not."""
    return "\0".join((record["skill_name"], record["invoked_at"], record["workflow_path"] or ""))


def _told(text: str) -> str:
    """Return a name of the file as it may be told."""
    try:
        shown = default_redactor().text(text)
    except RedactionError:
        return "[left out]"
    return shown if len(shown) <= _TOLD_LENGTH else f"{shown[:_TOLD_LENGTH]}\u2026"


def _told_member(name: str) -> str:
    """Return a member's name as it may be told: redacted by itself, for ``[].`` hides from a rule where it begins."""
    place, mark, member = name.rpartition("[].")
    return f"{place}{mark}{_told(member)}"


def _shown(value: Any) -> str:
    return f"{sum(value.values())} in {len(value)} kinds" if isinstance(value, dict) else f"{value}"
