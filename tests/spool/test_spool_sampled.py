"""Events that sampling took away go through the spool as records of their own kind."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.audit.run import audit
from usagetrace.events import Event, Priority
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.spool.layout import MARSHAL_VERSION, Row, decode
from usagetrace.spool.reader import count_events, read_batches
from usagetrace.spool.sampled import Sampled, encode_sampled
from usagetrace.store import Store
from usagetrace.store.drain import DrainReport, drain

MakeEvent = Callable[..., Event]
Outcomes = Callable[[], list[tuple[str, str]]]


def row(name: str = "canvas", **fields: Any) -> Row:
    return tuple(Event("search", name, "skill", fields.pop("ts_ms", 1_700_000_000_000), **fields))


def left_out(store: Store) -> int:
    """Return how many events are counted and not there."""
    execute = store.connection.execute
    counted = int(execute("SELECT TOTAL(total_events) FROM usage_summary").fetchone()[0])
    assert counted == execute("SELECT TOTAL(events) FROM usage_daily").fetchone()[0]
    return counted - int(execute("SELECT COUNT(*) FROM events").fetchone()[0])


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.text("ab\0\u20ac\udcff", max_size=5), st.integers(-(2**62), 2**62)), max_size=4),
    st.integers(0, 1_000_000),
    st.integers(1, 10**12),
)
def test_decoding_reverses_encoding(told: list[tuple[str, int]], minimum: int, window_ms: int) -> None:
    """Whatever the events are, they come back equal with their minimum and window, beside no events."""
    rows = [row(name, ts_ms=ts_ms, metadata={"query": name}) for name, ts_ms in told]
    body = encode_sampled(rows, minimum, window_ms)
    assert decode(body, 0) == ([], 0, None, Sampled(rows, minimum, window_ms))
    assert decode(body, 1) is None


@pytest.mark.parametrize(("minimum", "window_ms"), [(-1, -1), (0, 0), (2**70, 2**70)])
def test_odd_numbers_are_bounded(minimum: int, window_ms: int) -> None:
    """A setting of any size makes a record that every reader can work with."""
    told = decode(encode_sampled([row()], minimum, window_ms), 0)
    assert told is not None
    assert isinstance(told[3], Sampled)
    assert 0 <= told[3].minimum <= 10**6
    assert 1 <= told[3].window_ms < 2**45


def test_a_reader_that_knows_nothing_of_it_finds_a_record_without_events() -> None:
    """The body begins with an empty list, and the tuple behind it is none of how often functions were called."""
    body = encode_sampled([row()], 1, 60_000)
    assert marshal.loads(body) == []
    behind = marshal.loads(body[len(marshal.dumps([], MARSHAL_VERSION)) :])
    # What such a reader looks for.
    assert [type(each) for each in behind[:3]] != [int, str, dict]


@pytest.mark.parametrize(
    "value",
    [(), ("later", 1, 2, []), ("sampled",), ("sampled", 1, 2), ("sampled", 1, 2, {}), ("sampled", -1, 2, []),
     ("sampled", 1, 0, []), ("sampled", True, 2, []), ("sampled", "x", 2, [])],
)  # fmt: skip
def test_what_is_not_known_behind_no_events_is_passed_over(value: Any) -> None:
    """A later version may put something else there; it is no damage."""
    body = marshal.dumps([], MARSHAL_VERSION) + marshal.dumps(value, MARSHAL_VERSION)
    assert decode(body, 0) == ([], 0, None, None)


@pytest.mark.parametrize("rows", [[3], [("search",)], [("x",) * 40]])
def test_rows_that_are_no_events_are_damage(rows: list[Any]) -> None:
    """As among events that are kept."""
    body = marshal.dumps([], MARSHAL_VERSION) + marshal.dumps(("sampled", 1, 1, rows), MARSHAL_VERSION)
    assert decode(body, 0) is None


def test_rows_of_an_older_version_are_completed() -> None:
    """It may have known fewer fields."""
    body = marshal.dumps([], MARSHAL_VERSION) + marshal.dumps(("sampled", 1, 9, [row()[:6]]), MARSHAL_VERSION)
    told = decode(body, 0)
    assert told is not None
    assert told[3] == Sampled([tuple(Event(*row()[:6]))], 1, 9)


def test_values_of_odd_types_are_stored_as_what_they_stand_for() -> None:
    """A member of an enumeration has no form of its own in a record."""
    told = decode(encode_sampled([row(priority=Priority.LOW, metadata={"at": Path("/x")})], 1, 9), 0)
    assert told is not None
    assert told[3] == Sampled([row(priority="low", metadata={"at": "/x"})], 1, 9)


def test_they_stand_in_the_segment_beside_events(spool: Spool, folder: Path, event: MakeEvent) -> None:
    """In the order of the appends; who drops a segment loses them with it, and so they are counted in it."""
    assert spool.append([event("one")])
    assert spool.append_sampled([row("two", item=0, span_id="2"), row("three", item=1, span_id="2")], 5, 60_000)
    assert spool.append([event("four")])
    (name,) = segments(folder)
    records = list(read_segment(folder / name))
    assert [(len(r.events), len(r.sampled.rows) if r.sampled else 0, r.gaps, r.damaged) for r in records] == [
        (1, 0, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0),
    ]  # fmt: skip
    assert count_events(folder / name) == (4, 0)


def test_batches_are_of_about_the_wanted_size(spool: Spool, folder: Path) -> None:
    """Events that are only counted take their part of a transaction as well."""
    for number in range(10):
        assert spool.append_sampled([row(span_id=str(number), item=item) for item in range(3)], 1, 60_000)
    (name,) = segments(folder)
    batches = list(read_batches(folder / name, 0, 0, finished=False, events=6))
    assert [[len(each.rows) for each in batch.sampled] for batch in batches] == [[3, 3]] * 5


def test_a_call_is_what_follows_each_other_with_one_span() -> None:
    """Rows without a span are calls of their own."""
    rows = [
        row("a", span_id="1"),
        row("b", span_id="1"),
        row("c", span_id="2"),
        row("d"),
        row("e"),
        row("f", span_id="1"),
    ]
    assert [[each[1] for each in call] for call in Sampled(rows, 1, 1).calls()] == [
        ["a", "b"], ["c"], ["d"], ["e"], ["f"],
    ]  # fmt: skip


def test_what_can_t_be_written_is_refused_and_nothing_is_raised(spool: Spool, folder: Path) -> None:
    """A spool without a place says so; a value of a type that has no form is noted. Both count as lost."""
    assert spool.append_sampled([row(object())], 1, 60_000) is False  # type: ignore[arg-type]
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    assert spool.append_sampled([row(), row()], 1, 60_000) is False
    assert isinstance(spool.error, OSError)
    assert spool.lost == 3
    assert spool.append_sampled([], 1, 60_000) is True


def test_a_damaged_record_costs_itself_alone(spool: Spool, folder: Path, store: Store) -> None:
    """Its neighbours are counted, and it is a gap."""
    for number in range(3):
        assert spool.append_sampled([row(f"canvas-{number}")], 0, 60_000)
    spool.close()
    (name,) = segments(folder)
    data = bytearray((folder / name).read_bytes())
    data[data.index(b"canvas-1")] ^= 1
    (folder / name).write_bytes(data)
    assert drain(store, folder) == DrainReport(records=2, gaps=1, damaged=1, segments_finished=1, counted=2)
    assert left_out(store) == 2


def test_they_end_operations_that_have_begun(spool: Spool, store: Store, outcomes: Outcomes) -> None:
    """In the same batch, and in a later one; nothing is abandoned."""
    ids = [{"trace_id": f"{number:032x}", "span_id": f"{number:016x}"} for number in range(3)]
    for each in ids:
        assert spool.append_start(row(status="abandoned", **each))
    assert spool.append_sampled([row(**ids[0])], 0, 60_000)
    drain(store, spool.directory)
    assert spool.append_sampled([row(**ids[1])], 0, 60_000)
    spool.close()
    report = drain(store, spool.directory)
    assert (report.abandoned, report.counted, left_out(store)) == (0, 1, 2)
    spool.append_sampled([row(**ids[2])], 0, 60_000)
    spool.close()
    report = drain(store, spool.directory)
    assert (report.abandoned, report.counted, left_out(store), segments(spool.directory)) == (0, 1, 3, [])


@pytest.mark.parametrize(("name", "rules"), [("canvas", 0), ("AKIA" + "QX7RT2MWNV5KD3PZ", 1)])
def test_an_audit_looks_at_them(tmp_path: Path, name: str, rules: int) -> None:
    """They wait like other events, and a secret in one is told."""
    path = tmp_path / "data" / "analytics.db"
    spool = Spool(path.parent / "spool")
    assert spool.append_sampled([row(name)], 1, 60_000)
    spool.close()
    with Store(path):
        found = audit(path)
    assert (found.problems, found.waiting_events) == ((), 1)
    assert [each.column for each in found.findings] == ["artifact_name"] * rules


@pytest.mark.parametrize("priority", list(Priority))
def test_only_critical_events_call_for_a_drain(spool: Spool, event: MakeEvent, priority: Priority) -> None:
    """Once a call, after it was written; what sampling took away calls for none."""
    called: list[bool] = []
    spool.urgent = lambda: called.append(True)
    assert spool.append([event("a", priority=priority.value), event("b", priority=priority.value)])
    assert spool.append_sampled([row()], 1, 60_000)
    assert called == [True] * (priority is Priority.CRITICAL)
