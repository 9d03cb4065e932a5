"""The time a report looks at, from what people write.

Pure: the present is a parameter. Dates and times without an offset are UTC, as the days of every report are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

_SPAN: Final = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}([ t]\d{2}:\d{2}[0-9:.+-]*z?)?", re.ASCII)
_EXPECTED: Final = (
    "expected a date (2026-11-01), a date with a time (2026-11-01T09:30, in UTC unless it says otherwise), a time "
    "back from now (30m, 24h, 7d, 4w), or all"
)


class WindowError(ValueError):
    """A text that names no time; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when, in milliseconds since 1970 UTC; None where it is open.

    Attributes:
        since_ms: The first moment that counts.
        until_ms: The first moment that does not count any more.
    """

    since_ms: int | None = None
    until_ms: int | None = None


# Everything, whenever it happened.
ALL: Final = Window()


def parse_window(since: str | None, until: str | None, now_ms: int) -> Window:
    """Return the window between two texts.

    Args:
        since: A date, a date with a time, a time back from now such as ``7d``, or ``all``; None for ``all``.
        until: The same; a date means the end of that day.
        now_ms: The present, in milliseconds since 1970 UTC.

    Raises:
        WindowError: A text names no time, or the window ends before it begins.
    """
    begin = _moment(since, now_ms, end_of_day=False)
    end = _moment(until, now_ms, end_of_day=True)
    if begin is not None and end is not None and end <= begin:
        raise WindowError(f"the window is empty: it ends ({until}) before it begins ({since})")
    return Window(begin, end)


def _moment(text: str | None, now_ms: int, *, end_of_day: bool) -> int | None:
    word = "all" if text is None else text.strip().lower()
    if word == "all":
        return None
    span = _SPAN.fullmatch(word)
    if span is not None:
        return now_ms - int(span[1]) * _UNITS[span[2]]
    written = _MOMENT.fullmatch(word)
    wrong = WindowError(f"{text!r} is no time: {_EXPECTED}")
    if written is None:
        raise wrong
    try:
        # Python 3.10 does not read the Z.
        moment = datetime.fromisoformat(word.upper().removesuffix("Z") + ("+00:00" if word.endswith("z") else ""))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        if end_of_day and written[1] is None:
            moment += timedelta(days=1)
        return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise wrong from None
