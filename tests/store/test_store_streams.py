"""Received metric points: what each adds to what is known of its stream, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.store import Store, streams
from usagetrace.store.connection import MEMORY
from usagetrace.store.metrics import HISTOGRAM, SUM, MetricPoint
from usagetrace.store.streams import SEEN_MS, STREAM_MS, ReceivedPoint

DAY = "2025-11-16"
STREAM = bytes(range(16))
NOW = 1_763_287_200_000
Add = Callable[..., list[bool]]


def total(value: float, day: str = DAY) -> MetricPoint:
    """Return a point of a counter."""
    return MetricPoint(day, "usage.events", "{event}", "shelf", "{}", SUM, 1, value)


def spread(*counts: int, low: float | None = None, high: float | None = None, bound: float = 1.0) -> MetricPoint:
    """Return a point of a histogram whose measurements below the bound are all 0.5, the others 2."""
    value = counts[0] * 0.5 + counts[1] * 2.0
    return MetricPoint(DAY, "d", "s", "shelf", "{}", HISTOGRAM, sum(counts), value, low, high, (bound,), counts)


def cumulative(time_ns: int, point: MetricPoint, start_ns: int = 1, stream: bytes = STREAM) -> ReceivedPoint:
    """Return a point that says all since its start."""
    return ReceivedPoint(stream, start_ns, time_ns, True, point)


def delta(start_ns: int, time_ns: int, value: float = 1.0, stream: bytes = STREAM) -> ReceivedPoint:
    """Return a point that says what lies between its times."""
    return ReceivedPoint(stream, start_ns, time_ns, False, total(value))


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """Return a store that is not there yet."""
    with Store(path) as made:
        yield made


def add(store: Store, *points: ReceivedPoint, now_ms: int = NOW) -> list[bool]:
    """Add points in a transaction of their own."""
    with store.atomic():
        return streams.add(store.connection, points, now_ms)


def sums(store: Store) -> dict[str, float]:
    """Return the sum of each day."""
    return {point.day: point.sum for point in store.get_metrics()}


def rows(store: Store, table: str) -> int:
    """Return how many rows a table has."""
    return int(store.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


# --- deltas --------------------------------------------------------------------------------------------------


def test_a_delta_that_comes_again_adds_nothing(store: Store) -> None:
    """A point is known by its stream and both times; it counts once, also within one request."""
    assert add(store, delta(1, 2), delta(1, 2), delta(2, 3)) == [True, False, True]
    assert add(store, delta(2, 3), delta(3, 4), delta(1, 3), delta(1, 2, stream=b"x" * 16)) == [False, True, True, True]
    assert sums(store) == {DAY: 5.0}


@pytest.mark.parametrize(("later_ms", "known"), [(SEEN_MS, True), (SEEN_MS + 1, False)])
def test_which_deltas_came_is_forgotten_after_a_week(store: Store, later_ms: int, known: bool) -> None:
    """What was not sent again for seven days is forgotten by the next request, and what was is not."""
    add(store, delta(1, 2))
    add(store, delta(5, 6), now_ms=NOW + later_ms)
    assert rows(store, "metric_seen") == 1 + known
    assert add(store, delta(1, 2), now_ms=NOW + later_ms) == [not known]
    # Seen again a moment ago: another week, whoever comes meanwhile.
    add(store, delta(7, 8), now_ms=NOW + later_ms + SEEN_MS)
    assert add(store, delta(1, 2), now_ms=NOW + later_ms + SEEN_MS) == [False]


def test_forgetting_is_bounded_and_catches_up(store: Store) -> None:
    """One request removes a bounded number of old rows, and more than it adds, until none is left."""
    old = [delta(number, number + 1) for number in range(400)]
    add(store, *old)
    left = []
    for number in range(8):
        add(store, delta(1000 + number, 1001 + number), now_ms=NOW + 2 * SEEN_MS)
        left.append(rows(store, "metric_seen") - number - 1)
    assert left[0] == 400 - 64
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


# --- cumulative ----------------------------------------------------------------------------------------------


def test_a_cumulative_point_adds_what_is_new(store: Store) -> None:
    """What the last point said already is not added again; a point that is not newer adds nothing."""
    assert add(store, cumulative(10, total(5.0))) == [True]
    assert add(store, cumulative(20, total(7.0)), cumulative(20, total(7.0))) == [True, False]
    assert add(store, cumulative(15, total(6.0)), cumulative(10, total(5.0))) == [False, False]
    assert sums(store) == {DAY: 7.0}
    # Nothing new is nothing to add, though the point is.
    assert add(store, cumulative(30, total(7.0))) == [True]
    (point,) = store.get_metrics()
    assert (point.sum, point.count) == (7.0, 2)


def test_points_of_one_request_are_taken_by_their_times(store: Store) -> None:
    """In whatever order points of several days come together, each day has what was counted on it."""
    later, earlier = cumulative(20, total(7.0, "2025-11-17")), cumulative(10, total(5.0))
    assert add(store, later, earlier) == [True, True]
    assert sums(store) == {DAY: 5.0, "2025-11-17": 2.0}


@pytest.mark.parametrize("start_ns", [1, 0])
def test_a_counter_that_begins_anew_counts_whole(store: Store, start_ns: int) -> None:
    """A new start, or less than before under the same start, is a process that counts from zero."""
    add(store, cumulative(10, total(5.0), start_ns))
    add(store, cumulative(20, total(2.0), start_ns))
    add(store, cumulative(30, total(3.0), start_ns))
    assert sums(store) == {DAY: 8.0}
    add(store, cumulative(40, total(4.0), 35))
    assert sums(store) == {DAY: 12.0}


def test_processes_under_one_name_are_told_apart_by_their_start(store: Store) -> None:
    """Points of two processes that take turns under one stream add what each of them counted."""
    for number in range(1, 4):
        add(store, cumulative(10 * number, total(1.0 * number), 1), cumulative(10 * number, total(2.0 * number), 2))
    assert sums(store) == {DAY: 9.0}


def test_histograms_are_subtracted_bucket_by_bucket(store: Store) -> None:
    """Counts, sum and buckets are differences; of the extremes only new ones are known."""
    add(store, cumulative(10, spread(2, 1, low=0.5, high=2.0)))
    add(store, cumulative(20, spread(4, 1, low=0.25, high=2.0)))
    (point,) = store.get_metrics()
    assert (point.count, point.sum, point.bucket_counts, point.min, point.max) == (5, 4.0, (4, 1), 0.25, 2.0)
    last = streams._gain(spread(2, 1, low=0.5, high=2.0), spread(4, 1, low=0.5, high=2.0))
    assert (last.count, last.bucket_counts, last.min, last.max) == (2, (2, 0), None, None)


@pytest.mark.parametrize(
    "later",
    [spread(1, 3), spread(1, 1), replace(spread(2, 1), count=2), spread(3, 3, bound=5.0)],
    ids=["bucket", "all", "count", "bounds"],
)
def test_a_histogram_that_does_not_continue_counts_whole(store: Store, later: MetricPoint) -> None:
    """Fewer in a bucket or in all, or other buckets: it began anew, and all of it is new."""
    add(store, cumulative(10, spread(2, 1)))
    add(store, cumulative(20, later))
    assert sum(point.count for point in store.get_metrics()) == 3 + later.count


@pytest.mark.parametrize(("later_ms", "expected"), [(STREAM_MS, 7.0), (STREAM_MS + 1, 12.0)])
def test_a_stream_is_forgotten_after_a_month(store: Store, later_ms: int, expected: float) -> None:
    """A stream that was silent for longer than thirty days is forgotten: its process is taken for gone."""
    add(store, cumulative(10, total(5.0)))
    add(store, cumulative(1, total(0.0), stream=b"o" * 16), now_ms=NOW + later_ms)
    add(store, cumulative(20, total(7.0)), now_ms=NOW + later_ms)
    assert sums(store) == {DAY: expected}


@pytest.mark.parametrize("moment", [-5, 2**63, 2**64 - 1])
def test_impossible_times_are_kept_within_bounds(store: Store, moment: int) -> None:
    """A time that SQLite's numbers can't hold is stored as the nearest one they can."""
    for point in (delta(moment, moment), cumulative(moment, total(1.0), moment)):
        assert [add(store, point), add(store, point)] == [[True], [False]]


# --- the law -------------------------------------------------------------------------------------------------

exports = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 5)), max_size=12)


@settings(deadline=None, max_examples=25)
@given(exports, st.lists(st.lists(st.integers(0, 11), max_size=6), max_size=6))
def test_whatever_comes_again_what_was_counted_is_counted_once(
    steps: Sequence[tuple[int, bool, int]], again: Sequence[Sequence[int]]
) -> None:
    """Processes count and start anew; their points, and any earlier ones again, add up to what they counted."""
    counted, running, starts = 0, [0, 0, 0], [1, 1, 1]
    points: list[Any] = []
    for time_ns, (process, begins_anew, more) in enumerate(steps, 10):
        if begins_anew:
            running[process], starts[process] = 0, time_ns
        running[process] += more
        counted += 2 * more
        stream = bytes([process]) * 16
        points.append(
            [
                cumulative(time_ns, total(running[process]), starts[process], stream),
                delta(time_ns - 1, time_ns, more, stream),
            ]
        )
    with Store(MEMORY) as store:
        for number, pair in enumerate(points):
            add(store, *pair)
            for place in again[number] if number < len(again) else ():
                if place <= number:
                    assert add(store, *points[place]) == [False, False]
        assert sum(sums(store).values()) == counted
