"""What reports say, as frozen records. They hold no text for people and know no format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usagetrace.reports.window import Window


@dataclass(frozen=True, slots=True)
class Totals:
    """All of a window in one line.

    Attributes:
        operations: Calls; one call that touched several artifacts is one operation.
        events: Rows: one for each artifact of each operation.
        errors: Operations that failed.
        error_rate: Errors by operations, from 0 to 1; None where there was no operation.
        artifacts: Different artifacts, those without a name left out.
        first_ms: When the first operation began; None where none has a known time.
        last_ms: When the last operation began.
    """

    operations: int
    events: int
    errors: int
    error_rate: float | None
    artifacts: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class Sampled:
    """What sampling took away: events that were counted and are no rows.

    Attributes:
        counted: How many of them are in the report's numbers.
        left_out: How many at most happened in its window and are not in it.
    """

    counted: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class TypeUse:
    """One event type in a window. Median and 95th percentile are durations that occurred, by nearest rank.

    Attributes:
        event_type: ``deploy``, ``search``, ...
        operations: Calls.
        events: Rows.
        errors: Operations that failed.
        error_rate: Errors by operations, from 0 to 1.
        median_ms: Half of the operations took no longer, in milliseconds; None where none has a duration.
        p95_ms: 95 % of the operations took no longer, in milliseconds.
    """

    event_type: str
    operations: int
    events: int
    errors: int
    error_rate: float
    median_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class ArtifactUse:
    """One artifact.

    Attributes:
        artifact_type: Its kind.
        artifact_name: Its name, never empty.
        events: How many events it had.
        errors: How many of them were errors.
        by_type: Events of the five operations by type, those it had.
        first_ms: When its first event began; None where unknown.
        last_ms: When its latest event began.
    """

    artifact_type: str
    artifact_name: str
    events: int
    errors: int
    by_type: Mapping[str, int]
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class DayUse:
    """One day in UTC that had events; ``day`` is None for events whose time is unknown."""

    day: str | None
    operations: int
    events: int
    errors: int


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Failed operations of one event type with one error type, which is empty where the tool did not say it."""

    error_type: str
    event_type: str
    operations: int
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The report of one window."""

    window: Window
    totals: Totals
    types: tuple[TypeUse, ...]
    artifacts: tuple[ArtifactUse, ...]
    days: tuple[DayUse, ...]
    errors: tuple[FailureKind, ...]
    sampled: Sampled = Sampled()


@dataclass(frozen=True, slots=True)
class TopArtifacts:
    """The most used artifacts of a window."""

    window: Window
    artifacts: tuple[ArtifactUse, ...]
    sampled: Sampled = Sampled()


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event as it is stored; ``metadata`` decoded."""

    id: int
    event_type: str
    artifact_name: str
    artifact_type: str
    collection_name: str | None
    project_path: str | None
    ts_ms: int
    metadata: Any
    duration_ms: float | None
    status: str
    error_type: str | None
    category: str
    priority: str
    session_id: str | None
    service_name: str | None
    trace_id: str | None
    span_id: str | None
    item: int | None


@dataclass(frozen=True, slots=True)
class EventList:
    """A page of events, newest first."""

    window: Window
    limit: int
    offset: int
    events: tuple[EventRow, ...]
    sampled: Sampled = Sampled()
