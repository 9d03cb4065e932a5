"""Which events an endpoint gets next, and that none is passed over whatever becomes of the database."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.errors import StoreUnavailableError
from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.connection import MEMORY
from usagetrace.store.deliveries import Deliveries, Delivery, SetAside, StoredEvent, Waiting
from usagetrace.store.recovery import recover
from usagetrace.store.schema import LATEST

URL = "http://127.0.0.1:4318"
NOW = 1_763_287_200_000
Sql = Callable[..., list[tuple[Any, ...]]]


def call(number: int, items: int | None = None, **fields: Any) -> list[Event]:
    """Return the events of one call."""
    ids = {"trace_id": f"{number + 1:032x}", "span_id": f"{number + 1:016x}", "ts_ms": NOW + number}
    made = {"event_type": "deploy", "artifact_name": f"a{number}", "artifact_type": "skill", **ids, **fields}
    return [Event(item=item, **made) for item in ((None,) if items is None else range(items))]


def ids(events: Sequence[StoredEvent]) -> list[int]:
    """Return the ids of events."""
    return [each.id for each in events]


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """Return a store that is not there yet."""
    with Store(path) as made:
        yield made


@pytest.fixture
def deliveries(store: Store) -> Deliveries:
    """Return the deliveries of one endpoint."""
    return Deliveries(store, URL, now_ms=lambda: NOW)


# --- what comes next -----------------------------------------------------------------------------------------


def test_events_come_as_they_were_written(store: Store, deliveries: Deliveries) -> None:
    """Each field of an event comes back as it was, oldest id first, until the cursor is behind it."""
    written = [
        *call(0, metadata={"a": [1, None, "ü"]}, duration_ms=1.5, status="error", error_type="ValueError"),
        *call(1, 2, collection_name="c", project_path="~/p", session_id="s", service_name="tool"),
        *call(2, trace_id=None, span_id=None, category="usage", priority="high"),
    ]
    store.write(written)
    found = deliveries.next(10)
    assert found == [StoredEvent(number, tuple(each)) for number, each in enumerate(written, 1)]
    assert deliveries.next(10) == found
    assert deliveries.advance(3, delivered=3)
    assert ids(deliveries.next(10)) == [4]
    assert deliveries.advance(4, delivered=1)
    assert deliveries.next(10) == []
    assert deliveries.waiting() == Waiting(0, None, 0)


@pytest.mark.parametrize(
    ("at_most", "expected"), [(1, [1]), (2, [1]), (3, [1, 2, 3]), (5, [1, 2, 3, 4]), (6, [1, 2, 3, 4, 5, 6])]
)
def test_a_call_is_never_cut(store: Store, deliveries: Deliveries, at_most: int, expected: list[int]) -> None:
    """Rows of a call come together; what does not fit any more is left for the next time."""
    for events in (call(0), call(1, 2), call(2), call(3, 2)):
        store.write(events)
    assert ids(deliveries.next(at_most)) == expected


@pytest.mark.parametrize("rows", [4, 1000, 2500])
def test_a_call_with_more_rows_comes_whole(store: Store, deliveries: Deliveries, rows: int) -> None:
    """A call with more rows than are wanted comes whole and alone, whether others follow or not."""
    store.write(call(0, rows))
    assert len(deliveries.next(3)) == rows
    store.write([*call(1, 2), *call(2)])
    assert len(deliveries.next(3)) == rows
    assert deliveries.advance(rows, delivered=rows)
    assert ids(deliveries.next(2)) == [rows + 1, rows + 2]


def test_neighbours_that_look_alike_are_calls_of_their_own(store: Store, deliveries: Deliveries) -> None:
    """Another span, an item that begins again, and rows without ids are no continuation."""
    store.write([*call(0, 2), *call(0, 2), *call(1, 2), *call(2, 2, trace_id=None, span_id=None)])
    assert [ids(deliveries.next(number)) for number in (2, 3, 5)] == [[1, 2], [1, 2], [1, 2, 3, 4]]
    assert ids(deliveries.next(7)) == [1, 2, 3, 4, 5, 6, 7]


def test_what_retention_removed_is_passed_over(store: Store, deliveries: Deliveries) -> None:
    """Events that are gone are delivered no more; the rest comes, and what was left of a call comes together."""
    store.write([*call(0), *call(1, 3), *call(2)])
    store.connection.execute("DELETE FROM events WHERE id IN (1, 2)")
    assert ids(deliveries.next(1)) == [3, 4]
    assert deliveries.waiting().events == 3


def test_nothing_wanted_is_a_mistake(deliveries: Deliveries) -> None:
    """Less than one event can't be asked for."""
    for ask in (deliveries.next, deliveries.aside):
        with pytest.raises(ValueError, match="at_most must be at least 1, not 0"):
            ask(0)


def test_rows_of_other_tools_are_made_to_fit(store: Store, deliveries: Deliveries, path: Path, sql: Sql) -> None:
    """Metadata that is no object, numbers that are texts and bytes that are no text come as an event can hold them."""
    store.write(call(0))
    insert = (
        "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp, metadata) VALUES (?, ?, 'x', ?, {})"
    )
    sql(path, insert.format("?"), ("deploy", "list", "2025-11-16 10:00:00", "[1]"))
    sql(path, insert.format("?"), ("deploy", "words", "none", "no json"))
    sql(path, "UPDATE events SET duration_ms = 'long', item = 'first', ts_ms = 'then' WHERE id = 3")
    found = [Event(*each.row) for each in deliveries.next(9)]
    assert [each.metadata for each in found] == [None, {"metadata": [1]}, {"metadata": "no json"}]
    assert [(each.ts_ms, each.duration_ms, each.item) for each in found[1:]] == [(NOW, None, None), (0, None, None)]
    sql(path, "UPDATE events SET artifact_name = CAST(x'ff41' AS TEXT) WHERE id = 2")
    assert [each.row[1] for each in deliveries.next(9)] == ["a0", "\ufffdA", "words"]


calls = st.lists(st.sampled_from([None, 1, 2, 3, 7]), max_size=12)


@settings(deadline=None, max_examples=25)
@given(calls, st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=20), st.sets(st.integers(0, 11)))
def test_every_call_comes_once_and_whole(
    items: list[int | None], steps: list[tuple[int, bool]], poisoned: set[int]
) -> None:
    """By whatever steps, with calls set aside on the way: the calls that come are whole, each once, in their order."""
    with Store(MEMORY) as store:
        deliveries = Deliveries(store, URL)
        wanted = []
        for number, count in enumerate(items):
            wanted.append(tuple(store.write(call(number, count))))
        of = {each: whole for whole in wanted for each in whole}
        aside = {each for number in poisoned & set(range(len(wanted))) for each in wanted[number]}
        delivered: list[int] = []
        for at_most, looks_again in steps:
            found = ids(deliveries.next(at_most))
            assert all(each in found for number in found for each in of[number])
            assert len(found) <= at_most or len({of[number] for number in found}) == 1
            bad = [number for number in found if number in aside]
            good = [number for number in found if number not in aside]
            if bad and looks_again:
                # Alone first, and what is before it comes again.
                deliveries.set_aside(bad, "refused")
                continue
            if bad:
                deliveries.set_aside(bad, "refused", advance_to=found[-1], delivered=len(good))
            elif found:
                assert deliveries.advance(found[-1], delivered=len(good))
            delivered += good
        while found := ids(deliveries.next(100)):
            delivered += [number for number in found if number not in aside]
            deliveries.set_aside([number for number in found if number in aside], "refused", advance_to=found[-1])
        assert delivered == [number for whole in wanted for number in whole if number not in aside]
        assert sorted(ids(deliveries.aside(100))) == sorted(aside)


# --- what became of it ---------------------------------------------------------------------------------------


def test_the_cursor_never_goes_back(store: Store, deliveries: Deliveries) -> None:
    """Of two processes the one that is further decides; both are counted."""
    store.write([*call(0), *call(1), *call(2)])
    other = Deliveries(store, URL)
    assert (ids(deliveries.next(2)), ids(other.next(3))) == ([1, 2], [1, 2, 3])
    assert other.advance(3, delivered=3)
    assert deliveries.advance(2, delivered=2)
    assert deliveries.next(9) == []
    assert Deliveries.all(store) == [Delivery(URL, 3, 5, NOW, Waiting(0, None, 0))]


def test_endpoints_are_apart(store: Store, deliveries: Deliveries) -> None:
    """Each endpoint has its own cursor and its own events set aside; each is named from its first look on."""
    other = Deliveries(store, "http://127.0.0.1:1", now_ms=lambda: NOW)
    assert Deliveries.all(store) == []
    store.write([*call(0), *call(1)])
    assert other.next(1) != []
    assert deliveries.next(2) != []
    deliveries.set_aside([1], "too large", advance_to=1)
    assert deliveries.waiting() == Waiting(1, NOW + 1, 1)
    assert other.waiting() == Waiting(2, NOW, 0)
    assert (deliveries.behind(), other.behind()) == (1, 2)
    assert [(each.endpoint, each.last_id) for each in Deliveries.all(store)] == [("http://127.0.0.1:1", 0), (URL, 1)]


def test_what_was_set_aside_can_be_tried_again(store: Store, deliveries: Deliveries) -> None:
    """Set aside events are named with their reason, come by their own door, and leave it when they arrived."""
    store.write([*call(0), *call(1, 2), *call(2)])
    deliveries.next(9)
    deliveries.set_aside([2, 3], "400: bad span")
    assert ids(deliveries.next(9)) == [1, 4]
    assert deliveries.advance(4, delivered=2)
    assert deliveries.reasons() == [SetAside(number, "deploy", "a1", "400: bad span", NOW) for number in (2, 3)]
    assert ids(deliveries.aside(1)) == [2, 3]
    assert deliveries.aside(9, after=3) == []
    deliveries.set_aside([2, 3], "500: still")
    assert {each.reason for each in deliveries.reasons()} == {"500: still"}
    deliveries.arrived([2, 3])
    assert deliveries.waiting() == Waiting(0, None, 0)
    assert Deliveries.all(store)[0].delivered == 4


def test_set_aside_events_that_are_gone_are_forgotten(
    store: Store, deliveries: Deliveries, path: Path, sql: Sql
) -> None:
    """What retention removed of them is not counted, and leaves the table with the next one."""
    store.write([*call(0), *call(1)])
    deliveries.next(9)
    deliveries.set_aside([1, 99], "refused")
    store.connection.execute("DELETE FROM events WHERE id = 1")
    assert deliveries.waiting() == Waiting(1, NOW + 1, 0)
    deliveries.set_aside([2], "refused")
    assert sql(path, "SELECT event_id FROM undelivered") == [(2,)]


def test_setting_aside_and_moving_on_are_one(store: Store, deliveries: Deliveries, path: Path, sql: Sql) -> None:
    """Where the cursor can't be moved nothing is set aside either."""
    store.write([*call(0), *call(1)])
    deliveries.next(9)
    sql(path, "CREATE TRIGGER no BEFORE UPDATE ON deliveries BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        deliveries.set_aside([1], "refused", advance_to=1)
    assert deliveries.waiting() == Waiting(2, NOW, 0)


def test_a_locked_store_moves_nothing(path: Path, locked: Callable[[Path], Any]) -> None:
    """While another process holds the lock the cursor stays, and it says so."""
    with Store(path, busy_timeout_ms=10) as store:
        store.write(call(0))
        deliveries = Deliveries(store, URL)
        deliveries.next(1)
        with locked(path), pytest.raises(StoreUnavailableError):
            deliveries.advance(1, delivered=1)
        assert ids(deliveries.next(1)) == [1]


def test_a_store_has_one_name(store: Store, deliveries: Deliveries, path: Path) -> None:
    """The name is made once, and copies of the store keep it."""
    name = deliveries.store_id()
    assert len(name) == 32
    assert int(name, 16)
    copy = store.backup(path.parent / "copies", now_ms=NOW)
    store.close()
    store.restore(copy, now_ms=NOW)
    assert Deliveries(store, "http://127.0.0.1:1").store_id() == name


def test_a_reader_sees_what_waits(store: Store, deliveries: Deliveries, path: Path) -> None:
    """A store that is open for reading alone tells all that is to be shown."""
    store.write(call(0))
    deliveries.next(1)
    store.close()
    with Store(path, read_only=True) as reader:
        assert [each.waiting.events for each in Deliveries.all(reader)] == [1]
        looker = Deliveries(reader, "http://127.0.0.1:1")
        assert (looker.waiting(), looker.behind(), looker.reasons()) == (Waiting(1, NOW, 0), 1, [])


# --- another database ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("advanced", [False, True])
def test_after_a_restore_no_event_is_passed_over(
    store: Store, deliveries: Deliveries, path: Path, advanced: bool
) -> None:
    """Numbers that the copy's next events get again are delivered, also if an answer to the former ones comes late."""
    store.write([*call(0), *call(1)])
    assert deliveries.next(1) != []
    assert deliveries.advance(1, delivered=1)
    copy = store.backup(path.parent / "copies", now_ms=NOW)
    store.write([*call(2), *call(3)])
    assert ids(deliveries.next(9)) == [2, 3, 4]
    if advanced:
        assert deliveries.advance(4, delivered=3)
    with Store(path) as other:
        other.restore(copy, now_ms=NOW)
        other.write([*call(10), *call(11)])
    assert not deliveries.advance(4, delivered=3)
    deliveries.set_aside([4], "refused", advance_to=4)
    assert [each.row[1] for each in deliveries.next(9)] == ["a1", "a10", "a11"]
    assert deliveries.advance(4, delivered=3)
    assert store.check() == []


def test_after_restoring_a_copy_of_an_earlier_schema_everything_comes(
    store: Store, deliveries: Deliveries, path: Path
) -> None:
    """A copy from before there were deliveries has no cursor: a late answer makes none."""
    store.write([*call(0), *call(1)])
    store.rollback(LATEST - 1)
    copy = path.with_name("old.db")
    store.connection.execute("VACUUM")
    store.close()
    copy.write_bytes(path.read_bytes())
    assert ids(deliveries.next(9)) == [1, 2]
    store.close()
    with Store(path) as other:
        other.restore(copy, now_ms=NOW)
    assert not deliveries.advance(2, delivered=2)
    assert ids(deliveries.next(9)) == [1, 2]


def test_after_a_recovery_everything_comes_again(store: Store, deliveries: Deliveries, path: Path) -> None:
    """How far an endpoint was is not believed to a damaged file; an answer from before moves nothing."""
    for number in range(300):
        store.write(call(number))
    found = deliveries.next(200)
    assert deliveries.advance(found[-1].id, delivered=200)
    deliveries.set_aside([201], "refused", advance_to=201)
    deliveries.next(9)
    store.close()
    pages = random.Random(5).sample(range(path.stat().st_size // 4096), 4)
    with path.open("r+b") as file:
        for page in (0, *pages):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    recovered = recover(path, now_ms=NOW)
    assert recovered is not None
    assert not deliveries.advance(300, delivered=9)
    assert len(deliveries.next(1000)) == recovered.events
    assert deliveries.reasons() == []
    assert store.check() == []


def test_numbers_that_are_given_again_are_noticed(tmp_path: Path, sql: Sql) -> None:
    """In a table of another tool, which gives numbers again once all events are gone, the new events are delivered."""
    path = tmp_path / "adopted.db"
    sql(path, "CREATE TABLE events (id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, artifact_name TEXT NOT NULL, "
              "artifact_type TEXT NOT NULL, collection_name TEXT, project_path TEXT, timestamp DATETIME DEFAULT "
              "CURRENT_TIMESTAMP, metadata TEXT)")  # fmt: skip
    with Store(path) as store:
        deliveries = Deliveries(store, URL)
        store.write([*call(0), *call(1), *call(2)])
        deliveries.next(9)
        deliveries.set_aside([2], "refused", advance_to=3, delivered=2)
        store.connection.execute("DELETE FROM events")
        assert deliveries.next(9) == []
        store.write([*call(3), *call(4)])
        assert ids(deliveries.next(9)) == [1, 2]


@pytest.mark.parametrize("last_id", [9, -1, "x"])
def test_an_impossible_cursor_is_a_fault_that_a_rebuild_mends(
    store: Store, deliveries: Deliveries, path: Path, sql: Sql, last_id: object
) -> None:
    """The check names the endpoint; the rebuild tells what it was and has everything delivered again."""
    store.write([*call(0), *call(1)])
    deliveries.next(9)
    assert store.check() == []
    sql(path, "UPDATE deliveries SET last_id = ?", (last_id,))
    (fault,) = store.check()
    assert f"the last event that {URL} is said to have never was" in fault
    (difference,) = store.rebuild().differences
    assert (difference.table, difference.key, difference.found, difference.expected) == (
        "deliveries",
        (URL,),
        last_id,
        0,
    )
    assert store.check() == []
    assert ids(deliveries.next(9)) == [1, 2]


def test_back_to_version_four_and_forward_everything_comes_again(
    store: Store, deliveries: Deliveries, sql: Sql
) -> None:
    """The way back drops how far endpoints are, and keeps every event; coming forward they are delivered again."""
    store.write([*call(0), *call(1)])
    deliveries.next(9)
    assert deliveries.advance(2, delivered=2)
    store.rollback(4)
    tables = {row[0] for row in sql(Path(store.path), "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables.isdisjoint({"deliveries", "undelivered", "metric_streams", "metric_seen"})
    assert store.migrate() == LATEST
    assert ids(deliveries.next(9)) == [1, 2]
    assert store.check() == []
