"""What people may write for a time, and what it means."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.reports import Window, WindowError, parse_window

NOW = 1_793_534_400_000  # 2026-11-01 12:00 UTC
DAY = 86_400_000


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("all", None, None),
        (" ALL ", None, None),
        ("2026-11-01", ms(2026, 11, 1), ms(2026, 11, 2)),
        ("2026-11-01T09:30", ms(2026, 11, 1, 9, 30), ms(2026, 11, 1, 9, 30)),
        ("2026-11-01 09:30:15", ms(2026, 11, 1, 9, 30, 15), ms(2026, 11, 1, 9, 30, 15)),
        ("2026-11-01T09:30:00Z", ms(2026, 11, 1, 9, 30), ms(2026, 11, 1, 9, 30)),
        ("2026-11-01T09:30+02:00", ms(2026, 11, 1, 7, 30), ms(2026, 11, 1, 7, 30)),
        ("1969-12-31", -DAY, 0),
        ("30m", NOW - 1_800_000, NOW - 1_800_000),
        ("24h", NOW - DAY, NOW - DAY),
        ("7d", NOW - 7 * DAY, NOW - 7 * DAY),
        ("4w", NOW - 28 * DAY, NOW - 28 * DAY),
    ],
)
def test_each_form_names_its_moment(text: str, since: int | None, until: int | None) -> None:
    """Dates are whole days in UTC, times say their offset or are UTC, spans go back from now."""
    assert parse_window(text, None, NOW) == Window(since, None)
    assert parse_window(None, text, NOW) == Window(None, until)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7", "7x", "-7d", "2026-13-01", "2026-02-30", "2026-11", "20261101", "2026-W44-1",
             "2026-11-01T25:00", "9999-12-31T23:59:60", "\x1b[31m", "７d"]
)  # fmt: skip
def test_any_other_text_is_refused_with_what_was_expected(text: str) -> None:
    """The message shows the text and the forms there are; an empty text, a variable left unset, is none of them."""
    with pytest.raises(WindowError, match="expected a date"):
        parse_window(text, None, NOW)


def test_the_last_day_there_is_does_not_overflow() -> None:
    """A date whose end Python can't name is refused like any other wrong text."""
    with pytest.raises(WindowError):
        parse_window(None, "9999-12-31", NOW)


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    """Such a window is a slip of the pen, not an empty report."""
    with pytest.raises(WindowError, match="ends"):
        parse_window("2026-11-02", "2026-11-01", NOW)
    assert parse_window("2026-11-01", "2026-11-01", NOW) == Window(ms(2026, 11, 1), ms(2026, 11, 2))


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 30)))
def test_every_moment_that_python_writes_is_read_back(moment: datetime) -> None:
    """ISO text of any date-time names that date-time, to the millisecond."""
    aware = moment.replace(tzinfo=timezone.utc)
    expected = (aware - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
    assert parse_window(aware.isoformat(), None, NOW).since_ms == expected
