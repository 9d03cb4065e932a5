"""How often functions were called goes through the spool into the store's metrics, exactly once."""

from __future__ import annotations

import marshal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.audit.run import audit
from usagetrace.events import Event
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.spool.calls import Calls, encode_calls
from usagetrace.spool.layout import MARSHAL_VERSION, decode, record
from usagetrace.spool.reader import count_events
from usagetrace.store import Recorder, Store
from usagetrace.store.drain import DrainReport, drain
from usagetrace.store.positions import Positions
from usagetrace.store.recovery import recover

NAME = "usage.target.calls"
DAY_MS = 86_400_000
NOON = 1_793_534_400_000  # 2026-11-01 12:00 UTC


def calls(ts_ms: int = NOON, service: str = "shelf", **counts: int) -> Calls:
    return Calls(ts_ms, service, counts or {"f": 2})


def counted(store: Store) -> dict[tuple[str, str, str], tuple[float, int]]:
    """Return sum and number of points by day, tool and attributes; all are sums of calls."""
    points = store.get_metrics(NAME)
    assert {(point.kind, point.unit) for point in points} <= {("sum", "{call}")}
    return {(p.day, p.service_name, p.attributes): (p.sum, p.count) for p in points}


def attributes(name: str) -> str:
    return f'{{"code.function.name":"{name}"}}'


@settings(max_examples=20)
@given(
    st.integers(-(2**62), 2**62),
    st.text(),
    st.dictionaries(st.text(), st.integers(1, 2**70), min_size=1, max_size=5),
)
def test_decoding_reverses_encoding(ts_ms: int, service: str, counts: dict[str, int]) -> None:
    """Whatever the names and numbers are, they come back equal, beside no events."""
    told = Calls(ts_ms, service, counts)
    assert decode(encode_calls(told), 0) == ([], 0, None, told)


def test_a_reader_that_knows_nothing_of_calls_finds_a_record_without_events() -> None:
    """The body begins with an empty list, which is what such a reader looks at, and no damage."""
    body = encode_calls(calls())
    assert marshal.loads(body) == []
    assert decode(body, 1) is None


@pytest.mark.parametrize(
    "value",
    [None, 3, "x", [], (1, "s"), ("x", "s", {}), (1, 2, {}), (1, "s", []), (1, "s", {}), (1, "s", {3: 4}),
     (1, "s", {"f": 0}), (1, "s", {"f": -1}), (1, "s", {"f": "x"}), (1, "s", {"f": True}), (True, "s", {"f": 1})],
)  # fmt: skip
def test_what_is_not_known_behind_no_events_is_passed_over(value: object) -> None:
    """A later version may put something else there; it is no damage."""
    body = marshal.dumps([], MARSHAL_VERSION) + marshal.dumps(value, MARSHAL_VERSION)
    assert decode(body, 0) == ([], 0, None, None)


def test_calls_stand_in_the_segment_beside_events(spool: Spool, folder: Path, event: Callable[..., Event]) -> None:
    """In the order of the appends; counting the events of a segment counts none for them."""
    assert spool.append([event("one")])
    assert spool.append_calls(calls(f=3, g=1))
    assert spool.append([event("two")])
    (name,) = segments(folder)
    records = list(read_segment(folder / name))
    assert [([each.artifact_name for each in r.events], r.calls, r.gaps, r.damaged) for r in records] == [
        (["one"], None, 0, 0), ([], calls(f=3, g=1), 0, 0), (["two"], None, 0, 0),
    ]  # fmt: skip
    assert count_events(folder / name) == (2, 0)


def test_calls_that_can_t_be_written_are_refused_and_nothing_is_raised(spool: Spool, folder: Path) -> None:
    """A spool without a place says so; a value of a type that has no form is noted."""
    assert spool.append_calls(Calls(0, "shelf", {"f": object()})) is False  # type: ignore[dict-item]
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    assert spool.append_calls(calls()) is False
    assert isinstance(spool.error, OSError)


def test_a_drain_adds_calls_to_their_days(spool: Spool, folder: Path, store: Store) -> None:
    """Of several tellings, tools and days; a record of calls counts as no record of events."""
    for told in (calls(f=2, g=1), calls(f=5), calls(NOON + DAY_MS, f=7), calls(service="other", f=1)):
        assert spool.append_calls(told)
    assert drain(store, folder) == DrainReport()
    spool.close()
    expected = {
        ("2026-11-01", "other", attributes("f")): (1.0, 1),
        ("2026-11-01", "shelf", attributes("f")): (7.0, 2),
        ("2026-11-01", "shelf", attributes("g")): (1.0, 1),
        ("2026-11-02", "shelf", attributes("f")): (7.0, 1),
    }
    assert counted(store) == expected
    assert drain(store, folder) == DrainReport(segments_finished=1)
    assert counted(store) == expected


@pytest.mark.parametrize("ts_ms", [-(2**62), 0, 2**62])
def test_a_clock_may_be_anything(spool: Spool, folder: Path, store: Store, ts_ms: int) -> None:
    """A time that no date has is bounded, as an event's is."""
    assert spool.append_calls(calls(ts_ms))
    assert drain(store, folder).damaged == 0
    ((day, _, _),) = counted(store)
    assert day == {-(2**62): "0001-01-01", 0: "1970-01-01", 2**62: "9999-12-31"}[ts_ms]


def test_a_drain_that_dies_before_its_commit_counts_nothing(
    spool: Spool, folder: Path, store: Store, event: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls, events and position are committed together: the next drain counts all of it, once."""
    assert spool.append([event()])
    assert spool.append_calls(calls())

    def die(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Positions, "advance", die)
        with pytest.raises(KeyboardInterrupt):
            drain(store, folder)
    assert (counted(store), store.count_events()[0]["events"]) == ({}, 0)
    assert drain(store, folder).events == 1
    assert (counted(store), store.count_events()[0]["events"]) == (
        {("2026-11-01", "shelf", attributes("f")): (2.0, 1)}, 1
    )  # fmt: skip


def test_calls_beside_an_event_that_can_t_be_stored_are_counted(
    spool: Spool, folder: Path, store: Store, event: Callable[..., Event]
) -> None:
    """The faulty record is left out, and what stands beside it is not."""
    assert spool.append([event(), event("bad", ts_ms="soon")])
    assert spool.append_calls(calls())
    assert drain(store, folder).damaged == 1
    assert counted(store) == {("2026-11-01", "shelf", attributes("f")): (2.0, 1)}


@pytest.mark.parametrize("drained", [False, True])
def test_after_a_repair_calls_are_counted_at_most_once(
    tmp_path: Path, drained: bool, event: Callable[..., Event]
) -> None:
    """Whether the old database had them can't be known of calls, which have no ids: what is in doubt is left out."""
    path = tmp_path / "data" / "analytics.db"
    spool = Spool(path.parent / "spool")
    assert spool.append([event(trace_id="1" * 32, span_id="2" * 16)])
    assert spool.append_calls(calls())
    with Store(path) as store:
        store.write([event("other")])
        if drained:
            drain(store, spool.directory)
    path.write_bytes(b"no database at all" * 1000)
    assert recover(path) is not None
    spool.close()
    with Store(path) as store:
        drain(store, spool.directory)
        assert counted(store) in ({}, {("2026-11-01", "shelf", attributes("f")): (2.0, 1)})
        names = [row[0] for row in store.connection.execute("SELECT artifact_name FROM events")]
    assert names.count("canvas") == 1


@pytest.mark.parametrize(("name", "rules"), [("shelf.core.f", 0), ("AKIA" + "QX7RT2MWNV5KD3PZ", 1)])
def test_an_audit_looks_at_the_names_of_calls(tmp_path: Path, name: str, rules: int) -> None:
    """A record of calls is sound, and no event that waits; a secret in it is told, in the spool and in the store."""
    path = tmp_path / "data" / "analytics.db"
    spool = Spool(path.parent / "spool")
    assert spool.append_calls(calls(**{name: 1}))
    spool.close()
    with Store(path) as store:
        found = audit(path)
        assert (found.problems, found.waiting_events) == ((), 0)
        assert [each.column for each in found.findings] == ["code.function.name"] * rules
        drain(store, spool.directory)
    assert [each.table for each in audit(path).findings] == ["metric_daily"] * rules


# --- the recorder ----------------------------------------------------------------------------------------------


def test_a_recorder_tells_and_its_store_counts(tmp_path: Path) -> None:
    """By its own clock; what it tells after it was closed is left for the next drain."""
    path = tmp_path / "data" / "analytics.db"
    recorder = Recorder(path, clock=lambda: NOON / 1000)
    assert recorder.submit_calls({}) is True
    assert not path.parent.exists()
    assert recorder.submit_calls({"f": 3}, "shelf") is True
    assert recorder.close() is True
    assert recorder.submit_calls({"f": 4}, "shelf") is True
    with Store(path) as store:
        assert drain(store, path.parent / "spool", now_ms=time.time_ns() // 1_000_000).segments_finished >= 1
        assert counted(store) == {("2026-11-01", "shelf", attributes("f")): (7.0, 2)}
    assert segments(path.parent / "spool") == []


def test_records_of_all_kinds_follow_each_other_in_a_segment(folder: Path) -> None:
    """Bytes that look like the beginning of a record inside a name do no harm."""
    told = calls(**{"a\udcff\udcfeUT": 1})
    body = encode_calls(told)
    assert decode(record(body, 0, 0)[20:], 0) == ([], 0, None, told)
