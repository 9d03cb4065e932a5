"""Clocks that are wrong, odd or far away: order, retention and rollups stay right, and a day is a day in UTC."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.connection import MEMORY
from usagetrace.store.queries import DAY_MS

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
NOW = 1_763_287_200_000
# The first moment after a leap second. That has no number of its own: clocks repeat 23:59:59 or 00:00:00, or stretch
# the seconds around it.
LEAP = 1_483_228_800_000
Python = Callable[..., "subprocess.Popen[str]"]
Sql = Callable[..., list[tuple[Any, ...]]]


def ms(text: str) -> int:
    """Return milliseconds since 1970 for a time in UTC."""
    return (datetime.datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // datetime.timedelta(milliseconds=1)


def days(store: Store) -> dict[int, int]:
    """Return how many events each day has, by the rollup."""
    rows = store.connection.execute("SELECT day, SUM(events) FROM usage_daily GROUP BY day")
    return {row[0]: row[1] for row in rows}


def recounted(times: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for time in times:
        day = (EPOCH + datetime.timedelta(milliseconds=time)).date().toordinal() - EPOCH.date().toordinal()
        counts[day] = counts.get(day, 0) + 1
    return counts


# --- a clock that was set back, or forward -----------------------------------------------------------------

JUMPS = {
    "back by a day": [NOW, NOW + 1000, NOW - DAY_MS, NOW - DAY_MS + 1000, NOW + 2000],
    "back by an hour at midnight": [LEAP, LEAP - 3_600_000, LEAP - 1],
    "forward and back by years": [NOW, NOW + 3650 * DAY_MS, NOW + 1],
    "back to 1970": [NOW, 1, 2, NOW + 5],
    "standing still": [NOW] * 5,
    "backwards all the time": [NOW - n * DAY_MS // 2 for n in range(8)],
}  # fmt: skip


@pytest.mark.parametrize("times", JUMPS.values(), ids=JUMPS)
def test_order_and_counts_when_the_clock_jumps(path: Path, times: list[int]) -> None:
    """Ids rise in the order of writing; reports go by time, then by id; days and first uses go by time."""
    with Store(path) as store:
        ids = [store.record_event("deploy", f"a{n}", "skill", ts_ms=time) for n, time in enumerate(times)]
        assert ids == sorted(set(ids))
        shown = [(row["ts_ms"], row["id"]) for row in store.get_events(limit=None)]
        assert shown == sorted(zip(times, ids, strict=True), reverse=True)
        pages = [store.get_events(limit=2, offset=at) for at in range(0, len(times), 2)]
        assert [(row["ts_ms"], row["id"]) for page in pages for row in page] == shown
        assert days(store) == recounted(times)
        store.write([Event("deploy", "same", "skill", time, session_id="s") for time in times])
        (row,) = store.get_usage_summary("same")
        assert (row["first_ms"], row["last_ms"]) == (min(times), max(times))
        assert [tuple(each) for each in store.connection.execute("SELECT first_ms, last_ms FROM sessions")] == [
            (min(times), max(times))
        ]
        assert store.rebuild().differences == []
        assert store.check() == []


def test_retention_when_the_clock_was_set_back(path: Path) -> None:
    """Set back, the clock makes events of the future, which stay; retention runs again, and removes by its own time."""
    with Store(path) as store:
        for age in (-1, 0, 89, 91):
            store.record_event("deploy", f"age {age}", "skill", ts_ms=NOW - age * DAY_MS)
        assert store.run_retention(90, now_ms=NOW) == 1
        # The clock goes back by a day: what is there now is a day younger.
        assert store.run_retention(90, now_ms=NOW - DAY_MS) == 0
        assert store.run_retention(90, now_ms=NOW - DAY_MS + 1) == 0
        assert store.run_retention(90, now_ms=NOW + 2 * DAY_MS) == 1
        assert {row["artifact_name"] for row in store.get_events()} == {"age -1", "age 0"}


@pytest.mark.parametrize("now", [0, 1, 90 * DAY_MS, -(10**9)])
def test_a_clock_near_1970_removes_nothing(path: Path, now: int) -> None:
    """A machine that wakes up in 1970 takes no event for an old one."""
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", time) for time in (NOW, 1, 0)])
        assert store.run_retention(90, now_ms=now) == 0
        assert store.count_events()[0]["events"] == 3


# --- times that are odd ------------------------------------------------------------------------------------

LEAPS = {
    "repeats the last second": [LEAP - 1000, LEAP - 1, LEAP - 1000, LEAP - 1, LEAP],
    "repeats the first second": [LEAP - 1, LEAP, LEAP + 999, LEAP, LEAP + 999],
    "stretches": [LEAP - 500 + n for n in range(0, 1000, 100)],
}


@pytest.mark.parametrize("times", LEAPS.values(), ids=LEAPS)
def test_a_leap_second(path: Path, times: list[int]) -> None:
    """Around a leap second each event is in the day of its number, and events of one number keep their order."""
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", time) for time in times])
        assert days(store) == recounted(times)
        shown = [(row["ts_ms"], row["id"]) for row in store.get_events(limit=None)]
        assert shown == sorted(zip(times, range(1, len(times) + 1), strict=True), reverse=True)
        assert {row["timestamp"] for row in store.get_events(limit=None)} <= {
            "2016-12-31 23:59:59", "2017-01-01 00:00:00",
        }  # fmt: skip


def test_a_leap_second_as_text(path: Path, sql: Sql) -> None:
    """A tool of version 1 that writes 23:59:60 as text keeps its text; as no clock has that time, it is unknown."""
    with Store(path) as store:
        store.record_event("deploy", "a", "skill", ts_ms=NOW)
        insert = (
            "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp) VALUES ('deploy', 'leap', 'x', ?)"
        )
        sql(path, insert, ("2016-12-31 23:59:60",))
        store.run_retention(1, now_ms=NOW + 1)
        (row,) = store.get_events(artifact_name="leap")
        assert (row["timestamp"], row["ts_ms"]) == ("2016-12-31 23:59:60", 0)


FAR = {
    "1969-12-31 23:59:59": -1, "1970-01-01 00:00:00": 1, "1970-01-01 23:59:59": DAY_MS - 1,
    "1970-01-02 00:00:00": DAY_MS, "2000-02-29 12:00:00": ms("2000-02-29T12:00:00"),
    "2038-01-19 03:14:08": 2**31 * 1000, "2100-02-28 23:59:59": ms("2100-02-28T23:59:59"),
    "2100-03-01 00:00:00": ms("2100-03-01T00:00:00"), "2106-02-07 06:28:16": 2**32 * 1000,
}  # fmt: skip


@pytest.mark.parametrize("text", FAR)
def test_times_far_away(path: Path, text: str) -> None:
    """Events of 1970 and 2100 have their text, their day, their place in the order, and their turn in retention."""
    time = FAR[text]
    with Store(path) as store:
        store.write([Event("deploy", "far", "skill", time, session_id="far"), Event("deploy", "now", "skill", NOW)])
        assert store.get_events(artifact_name="far")[0]["timestamp"] == text
        assert days(store) == recounted([time, NOW])
        assert store.get_events()[0]["artifact_name"] == ("far" if time > NOW else "now")
        assert store.cleanup_old_events(90, now_ms=NOW) == (time < NOW)
        assert store.cleanup_old_events(90, now_ms=max(time, NOW) + 91 * DAY_MS) == 2 - (time < NOW)
        assert [tuple(row) for row in store.connection.execute("SELECT * FROM sessions")] == []
        assert store.check() == []


@given(st.lists(st.integers(ms("1900-01-01T00:00:00"), ms("2200-01-01T00:00:00")), max_size=30), st.integers(1, 400))
def test_any_times(times: list[int], age: int) -> None:
    """Whatever the clocks said: days are UTC's, and retention leaves the events that are young enough, or undated."""
    with Store(MEMORY) as store:
        store.write([Event("deploy", f"a{time}", "skill", time) for time in times])
        assert days(store) == recounted(times)
        kept = sorted(time for time in times if time >= NOW - age * DAY_MS or time == 0)
        assert store.cleanup_old_events(age, now_ms=NOW) == len(times) - len(kept)
        assert sorted(row["ts_ms"] for row in store.get_events(limit=None)) == kept
        assert days(store) == recounted(times)
        assert store.rebuild().differences == []


# --- zones -------------------------------------------------------------------------------------------------

ZONES = (
    "UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
    "XYZ-14", "XYZ+12", "XYZ-5:45",
)  # fmt: skip


def in_zone(zone: str, code: str) -> str:
    """Return a program that runs in a time zone."""
    return f"import os; os.environ['TZ'] = {zone!r}; import time; time.tzset()\n{code}"


IN_ZONE = """
import json, sys, time
from pathlib import Path
from usagetrace.events import Event
from usagetrace.store import Store
path, times = Path(sys.argv[1]), json.loads(sys.argv[2])
with Store(path) as store:
    store.write([Event("deploy", "a", "skill", ts_ms) for ts_ms in times])
    before = time.time_ns() // 1_000_000
    store.record_event("deploy", "now", "skill")
    after = time.time_ns() // 1_000_000
    (now,) = store.get_events(artifact_name="now")
    assert before <= now["ts_ms"] <= after
    rows = [[row["ts_ms"], row["timestamp"]] for row in store.get_events(artifact_name="a", limit=None)]
    query = "SELECT day, events FROM usage_daily WHERE artifact_name = 'a'"
    daily = [list(row) for row in store.connection.execute(query)]
    removed = store.cleanup_old_events(1, now_ms=max(times) + 86_400_000 // 2)
    print(json.dumps([rows, daily, removed, now["timestamp"], now["ts_ms"], time.localtime(0).tm_gmtoff]))
"""


@pytest.mark.skipif(os.name != "posix", reason="a process can't set its zone on Windows")
def test_no_zone_changes_anything(tmp_path: Path, python: Python) -> None:
    """In zones 14 hours ahead, 12 behind and of odd minutes a process stores what one in UTC does."""
    times = [ms("2025-11-16T00:00:00") + hours * 3_600_000 + extra for hours in range(0, 30, 3) for extra in (-1, 0)]
    results, offsets = [], set()
    for zone in ZONES:
        process = python(in_zone(zone, IN_ZONE), tmp_path / f"{len(results)}.db", json.dumps(times))
        out, err = process.communicate(timeout=60)
        assert err == ""
        rows, daily, removed, text, now, offset = json.loads(out)
        assert text == (EPOCH + datetime.timedelta(milliseconds=now)).strftime("%Y-%m-%d %H:%M:%S")
        offsets.add(offset)
        results.append((rows, daily, removed))
    assert results == [results[0]] * len(ZONES)
    assert len(offsets) >= 4
    rows, daily, removed = results[0]
    assert dict(map(tuple, daily)) == recounted(times)
    assert removed == sum(time < max(times) - DAY_MS // 2 for time in times)


@pytest.mark.skipif(os.name != "posix", reason="a process can't set its zone on Windows")
def test_version_one_texts_are_utc_in_any_zone(v1: Any, python: Python) -> None:
    """Texts of version 1 are times in UTC for the process that adopts them, wherever it runs."""
    path = v1([("deploy", "canvas", "skill", "2025-11-16 23:30:00", None)])
    out, err = python(in_zone("XYZ-14", ADOPT), path).communicate(timeout=60)
    assert err == ""
    assert json.loads(out) == [ms("2025-11-16T23:30:00"), ms("2025-11-16T00:00:00") // DAY_MS]


ADOPT = """
import json, sys
from usagetrace.store import Store
with Store(sys.argv[1]) as store:
    row = store.connection.execute("SELECT ts_ms, (SELECT day FROM usage_daily) FROM events").fetchone()
    print(json.dumps(list(row)))
"""
