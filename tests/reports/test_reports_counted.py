"""Reports count what sampling took away, as far as the rollups know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.reports import ALL, Window
from usagetrace.reports.counting import overview_rows
from usagetrace.reports.ranking import top_artifacts
from usagetrace.store import Store, writer

DAY = 86_400_000
# 2026-11-01 00:00 UTC
BASE = 1_793_491_200_000
PERCENTS = (1, 50, 95, 100)
Rows = list[tuple[Any, ...]]


def rows(days: int = 4, each: int = 40) -> Rows:
    """Return the events of some days: calls on one artifact and on two, some of which fail."""
    made: Rows = []
    for number in range(days * each):
        at = BASE + number * DAY // each
        status = {"status": "error", "error_type": "OSError"} if number % 7 == 0 else {}
        for item in (None,) if number % 3 else (0, 1):
            name = f"a{(number + (item or 0)) % 5}"
            kind = "search" if number % 2 else "deploy"
            made.append(tuple(Event(kind, name, "skill", at, duration_ms=1.0 + number % 90, item=item, **status)))  # type: ignore[arg-type]
    return made


def is_kept(row: tuple[Any, ...]) -> bool:
    """Return whether a rate of about one in ten keeps a row; failures are kept."""
    event = Event(*row)
    return event.status == "error" or (event.ts_ms // 60_000) % 10 == 0


@pytest.fixture
def stores() -> Iterator[tuple[Store, Store]]:
    """Return a store of all events, and one that has some of them and counts all."""
    with Store(":memory:") as whole, Store(":memory:") as sampled:
        made = rows()
        whole.write([Event(*row) for row in made])
        with sampled.atomic():
            writer.write(
                sampled.connection, [row for row in made if is_kept(row)], [row for row in made if not is_kept(row)]
            )
        assert sampled.get_stats()["total_events"] < len(made) / 2
        yield whole, sampled


def overview(store: Store, window: Window) -> dict[str, Any]:
    return overview_rows(store.connection, window, 100, PERCENTS)


def counted(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is counted: no percentiles, and no times, of which the events that are there tell."""
    without = {
        name: [{key: value for key, value in row.items() if key not in ("first_ms", "last_ms")} for row in found[name]]
        for name in ("artifacts", "types", "days", "failures")
    }
    totals = {key: value for key, value in found["totals"].items() if not key.endswith("_ms")}
    return {**without, "totals": totals, "artifact_count": found["artifact_count"]}


WINDOWS = {
    "all": ALL,
    "whole days": Window(BASE + DAY, BASE + 3 * DAY),
    "since the second day": Window(BASE + DAY, None),
    "one day": Window(BASE, BASE + DAY),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_whole_days_are_those_of_all_events(stores: tuple[Store, Store], name: str) -> None:
    """Operations, events, failures, types, days and artifacts exactly; percentiles within 1 %."""
    whole, sampled = (overview(store, WINDOWS[name]) for store in stores)
    assert counted(sampled) == counted(whole)
    places = [{**row, "duration_ms": None} for row in whole["percentiles"]]
    assert [{**row, "duration_ms": None} for row in sampled["percentiles"]] == places
    for found, expected in zip(sampled["percentiles"], whole["percentiles"], strict=True):
        assert found["duration_ms"] == pytest.approx(expected["duration_ms"], rel=0.0101)


def test_the_edges_of_a_window_are_of_the_events_that_are_there(stores: tuple[Store, Store]) -> None:
    """What sampling took away of a part of a day is not known: by so much a report says less."""
    window = Window(BASE + DAY // 2, BASE + 2 * DAY + DAY // 2)
    whole, sampled = (overview(store, window)["totals"]["events"] for store in stores)
    missing = [
        row
        for row in rows()
        if not is_kept(row) and (BASE + DAY // 2 <= row[3] < BASE + DAY or 2 * DAY <= row[3] - BASE < 2.5 * DAY)
    ]
    assert missing
    assert sampled == whole - len(missing)


def test_after_retention_days_are_counted_from_the_one_after_the_oldest(stores: tuple[Store, Store]) -> None:
    """Of the oldest day that is left a part is gone, with what was counted of it."""
    for store in stores:
        store.cleanup_old_events(2, now_ms=BASE + 3 * DAY + DAY // 2)
    window = Window(BASE + 2 * DAY, None)
    whole, sampled = (overview(store, window) for store in stores)
    assert counted(sampled) == counted(whole)


@pytest.mark.parametrize("change", ["DELETE FROM events WHERE id % 3 = 0", "UPDATE usage_daily SET events = 1"])
def test_where_something_else_differs_the_events_are_counted(stores: tuple[Store, Store], change: str) -> None:
    """Another tool's rows, or removal of rows, is no sampling."""
    _, sampled = stores
    sampled.connection.execute(change)
    assert overview(sampled, ALL)["totals"]["events"] == len(sampled.get_events(limit=None))


@pytest.mark.parametrize("ranked", [top_artifacts, None])
def test_an_artifact_without_any_event_left_is_ranked(ranked: Callable[..., Any] | None) -> None:
    """Its days are known, its times are not."""
    late = Event("deploy", "kept", "skill", BASE + 2 * DAY, duration_ms=1.0)
    taken = [tuple(late._replace(artifact_name="taken", ts_ms=BASE + day * DAY + 5)) for day in (0, 1, 1)]
    with Store(":memory:") as store:
        with store.atomic():
            writer.write(store.connection, [tuple(late)], taken)
        window = Window(BASE, None)
        found = overview(store, window)["artifacts"] if ranked is None else ranked(store.connection, window, 10)[0]
    assert [(row["artifact_name"], row["total_events"], row["first_ms"], row["last_ms"]) for row in found] == [
        ("taken", 3, BASE, BASE + DAY), ("kept", 1, BASE + 2 * DAY, BASE + 2 * DAY),
    ]  # fmt: skip


def test_a_store_that_kept_nothing_counts(stores: tuple[Store, Store]) -> None:
    """Neither rate nor minimum kept an event: the report is of what was counted."""
    del stores
    taken = [row for row in rows() if Event(*row).status != "error"]
    with Store(":memory:") as store, Store(":memory:") as whole:
        with store.atomic():
            writer.count(store.connection, taken)
        whole.write([Event(*row) for row in taken])
        found, expected = overview(store, ALL), overview(whole, ALL)
        assert counted(found) == counted(expected)
        assert (found["totals"]["first_ms"], found["totals"]["last_ms"]) == (None, None)
