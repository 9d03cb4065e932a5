"""Times of all forms, with and without a zone."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.errors import UsageTraceError
from usagetrace.importers.times import ZoneError, time_reader, zone_of

# 2026-11-01 09:30:15.123 UTC
MOMENT = 1_793_525_415_123


@pytest.mark.parametrize(
    ("value", "ts_ms"),
    [
        ("2026-11-01T09:30:15.123Z", MOMENT), ("2026-11-01 09:30:15.123456789", MOMENT),
        ("2026-11-01T11:30:15,123+02:00", MOMENT), ("2026-11-01 04:30:15.123 -0500", MOMENT),
        ("2026-11-01T09:30:15.123+00", MOMENT), ("2026-11-01 09:30:15.123 UTC", MOMENT),
        ("2026-11-01", 1_793_491_200_000), (" 2026-11-01T09:30 ", 1_793_525_400_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000), (MOMENT, MOMENT), (MOMENT / 1000, MOMENT), (str(MOMENT), MOMENT),
        (MOMENT * 1000 + 999, MOMENT), (MOMENT * 1_000_000 + 999_999, MOMENT), ("1793525415.123", MOMENT), (0, 0),
        ("-86400", -86_400_000), ("1969-12-31", -86_400_000),
    ],
)  # fmt: skip
def test_a_time_is_read_in_any_form(value: Any, ts_ms: int) -> None:
    """ISO 8601, and numbers since 1970 whose size tells the unit; what says no zone is in the one that was chosen."""
    assert time_reader("auto", timezone.utc)(value) == ts_ms


@pytest.mark.parametrize(
    "value",
    ["", "now", "12:00", "2026-13-01", "2026-02-30", "2026-11-01T25:00", "2026-11-01T09", "1e9", "0x10", "１２", True,
     [1], None, float("nan"), float("inf"), "9" * 20],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: Any) -> None:
    """None of these becomes a moment."""
    with pytest.raises(ValueError, match=r"time|number|day|month|hour"):
        time_reader("auto", timezone.utc)(value)


@pytest.mark.parametrize(
    ("form", "value"),
    [("s", "1793525415.123"), ("ms", MOMENT), ("us", MOMENT * 1000), ("ns", str(MOMENT * 1_000_000)),
     ("%d.%m.%Y %H:%M:%S.%f", "01.11.2026 09:30:15.123"), ("iso", "2026-11-01T09:30:15.123")],
)  # fmt: skip
def test_a_form_that_is_named_is_the_only_one(form: str, value: Any) -> None:
    """Without guessing."""
    read = time_reader(form, timezone.utc)
    assert read(value) == MOMENT
    with pytest.raises(ValueError, match=r"time|number|day|month|hour"):
        read("2026/11/01")


@pytest.mark.parametrize(
    ("zone", "hours"), [("utc", 0), ("Z", 0), ("+02:00", -2), ("-0530", 5.5), ("Europe/Vienna", -1)]
)
def test_zones(zone: str, hours: float) -> None:
    """An offset, and a name with its summer times; a time that says a zone has that one."""
    read = time_reader("auto", zone_of(zone))
    assert read("2026-11-01 09:30:15.123") == MOMENT + hours * 3_600_000
    assert read("2026-11-01 09:30:15.123Z") == MOMENT


def test_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its summer times, whatever holds at the moment."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system's zone can't be set for one process")
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        read = time_reader("auto", zone_of("local"))
        assert read("2026-11-01 10:30:15.123") == MOMENT
        assert read("2026-07-01 02:00:00") == read("2026-07-01T00:00:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("zone", ["Nowhere/None", "", "../etc", "CEST?"])
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    """With what may be said instead."""
    with pytest.raises(ZoneError, match=r"expected local, utc, an offset such as \+02:00"):
        zone_of(zone)
    with pytest.raises(UsageTraceError, match="a time's form is auto"):
        time_reader("day", None)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_what_python_writes_is_read_back(ts_ms: int) -> None:
    """Any moment of the years 1 to 9999, to the millisecond."""
    seconds, rest = divmod(ts_ms, 1000)
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest * 1000)
    except (OverflowError, OSError, ValueError):
        # Some systems have no such years here.
        return
    assert time_reader("iso", None)(moment.isoformat()) == ts_ms
