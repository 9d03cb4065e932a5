"""Times as people and programs write them, as milliseconds since 1970 UTC.

A time that says no zone is taken to be in the zone that was chosen: of this machine, UTC, an offset, or one by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from usagetrace.errors import UsageTraceError

# Reads one value; raises ValueError where it is no time: FieldError, or what datetime raises.
TimeReader = Callable[[Any], int]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|z|UTC|[+-]\d\d:?(?:\d\d)?)?)?",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?", re.ASCII)
_NO_ISO: Final = "expected a time such as 2026-11-01T09:30:00Z"
_NUMBER: Final = re.compile(r"-?\d{1,19}(?:\.\d{1,9})?", re.ASCII)
# Milliseconds of one unit.
UNITS: Final = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_MOST: Final = 1e20
# A number of at least so many is in the unit beside it: seconds reach the year 5138, as the others do.
_MAGNITUDES: Final = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0.0, "s"))


class FieldError(ValueError):
    """A value of a source that can't be what it is to be; the message holds nothing of the value."""


class ZoneError(UsageTraceError):
    """A time zone that is not known here."""


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone; None stands for that of this machine, whose summer times depend on the moment.

    Args:
        name: ``local``, ``utc``, an offset such as ``+02:00``, or a name such as ``Europe/Vienna``.

    Raises:
        ZoneError: There is none of that name.
    """
    low = name.strip().lower()
    if low == "local":
        return None
    if low in ("utc", "z"):
        return timezone.utc
    # Imported here: few ask for one by name.
    import zoneinfo

    offset = _OFFSET.fullmatch(name.strip())
    try:
        if offset is not None:
            return _offset(offset)
        return zoneinfo.ZoneInfo(name.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ZoneError(
            f"no time zone {name!r} is known here: expected local, utc, an offset such as +02:00, or a name such as "
            "Europe/Vienna (which needs the system's time zones, or the package tzdata)"
        ) from error


def time_reader(form: str, zone: tzinfo | None) -> TimeReader:
    """Return what reads times of one form.

    Args:
        form: ``auto`` (ISO 8601, or a number since 1970 whose size tells its unit), ``iso``, ``s``, ``ms``, ``us``,
            ``ns``, or a format of :meth:`datetime.datetime.strptime`.
        zone: Of times that say none, see :func:`zone_of`.

    Raises:
        UsageTraceError: The form is none of these.
    """
    if form == "auto":
        return lambda value: _auto(value, zone)
    if form == "iso":
        return lambda value: iso_ms(_text(value), zone)
    if form in UNITS:
        return lambda value: _in_unit(_number(value), UNITS[form])
    if "%" not in form or not _is_format(form):
        raise UsageTraceError(f"a time's form is auto, iso, s, ms, us, ns, or a format such as %d.%m.%Y, not {form!r}")
    return lambda value: _moment_ms(datetime.strptime(_text(value).strip(), form), zone)  # noqa: DTZ007 -- the zone is added


def _is_format(form: str) -> bool:
    """Return whether a format can read anything: its signs are known, and none stands in it twice."""
    try:
        datetime.strptime("", form)  # noqa: DTZ007 -- nothing is read
    except re.error:
        return False
    except ValueError as error:
        # That the empty text is no such time is said in other words.
        return not re.search("bad directive|stray %", str(error))
    return True


def iso_ms(text: str, zone: tzinfo | None) -> int:
    """Return a time in ISO 8601 as milliseconds since 1970.

    Raises:
        ValueError: It is none.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise FieldError(_NO_ISO)
    year, month, day, hour, minute, second, fraction, named = found.groups()
    # A leap second is told as the one after it.
    leap = second == "60"
    moment = datetime(  # noqa: DTZ001 -- the zone is added below
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), 59 if leap else int(second or 0),
        int((fraction or "0").ljust(6, "0")[:6]),
    )  # fmt: skip
    if named:
        offset = _OFFSET.fullmatch(named)
        zone = timezone.utc if offset is None else _offset(offset)
    return _moment_ms(moment + timedelta(seconds=leap), zone)


def _offset(found: re.Match[str]) -> timezone:
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def _moment_ms(moment: datetime, zone: tzinfo | None) -> int:
    if moment.tzinfo is None:
        try:
            moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
        except (OverflowError, OSError) as error:
            # Beyond what this machine's zone knows.
            raise FieldError("a time that this machine's zone has no word for") from error
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _auto(value: Any, zone: tzinfo | None) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) is None:
        if _ISO.fullmatch(value.strip()) is None:
            raise FieldError(f"{_NO_ISO}; another form is said by --time-format, as in --time-format '%d.%m.%Y %H:%M'")
        return iso_ms(value, zone)
    number = _number(value)
    return _in_unit(number, UNITS[next(unit for least, unit in _MAGNITUDES if abs(number) >= least)])


def _number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError("expected a time")
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text) is None:
            raise FieldError("expected a number since 1970")
        return float(text) if "." in text else int(text)
    if not -_MOST <= value <= _MOST:
        # Not a number, either.
        raise FieldError("expected a number since 1970")
    return value


def _in_unit(number: float | int, factor: float) -> int:
    try:
        if isinstance(number, int):
            # Without the rounding of floats: nanoseconds have more digits than those hold.
            return number * int(factor) if factor >= 1 else number // round(1 / factor)
        return int(number * factor)
    except (OverflowError, ValueError) as error:
        raise FieldError("a number that is no time") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError("expected a time as text")
    return value
