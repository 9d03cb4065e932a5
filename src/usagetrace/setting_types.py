"""The kinds of values that settings have: each turns what a person wrote into the setting's value, or says what was
expected. What settings there are is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from usagetrace.consent import to_bool

# A thousand years: more is a slip, and would leave the calendar.
_MOST_DAYS = 365_000


class InvalidValueError(ValueError):
    """A value that a setting can't take; the message says what was expected."""


def to_flag(value: object) -> bool:
    """Return yes or no; the text "false" is not true."""
    if isinstance(value, bool):
        return value
    word = to_bool(value) if isinstance(value, str) else None
    if word is None:
        raise InvalidValueError("expected true or false")
    return word


def to_days(value: object) -> int:
    """Return a number of days."""
    number = _number(value, "a whole number of days, 0 or more (0 keeps for ever)")
    if not 0 <= number <= _MOST_DAYS or number != int(number):
        raise InvalidValueError("expected a whole number of days, 0 or more (0 keeps for ever)")
    return int(number)


def to_seconds(value: object) -> float:
    """Return a number of seconds."""
    number = _number(value, "a number of seconds from 0 to 60")
    if not 0 <= number <= 60:
        raise InvalidValueError("expected a number of seconds from 0 to 60")
    return number


def _number(value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidValueError(f"expected {expected}")
    try:
        return float(value)
    except ValueError:
        raise InvalidValueError(f"expected {expected}") from None


def to_name(value: object) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError("expected a text that is not empty")
    return value.strip()


def to_path(value: object) -> Path:
    """Return a path; a leading ~ is the home directory."""
    if isinstance(value, str) and not value.strip():
        raise InvalidValueError("expected a path")
    if not isinstance(value, str | os.PathLike):
        raise InvalidValueError("expected a path")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InvalidValueError("expected a path; there is no such user") from None


def to_url(value: object) -> str:
    """Return the base URL of a receiver."""
    text = to_name(value)
    try:
        # The standard allows host:port for gRPC.
        parts = urlsplit(text if "://" in text else f"http://{text}")
        # A wrong port raises when it is asked for.
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or "://" in text)
    except ValueError:
        known = False
    if not known:
        raise InvalidValueError("expected an URL such as http://localhost:4318")
    return text


def choice(*words: str) -> Callable[[object], str]:
    """Return the kind of setting that is one of a few words."""

    def parse(value: object) -> str:
        if isinstance(value, bool):
            value = "on" if value else "off"
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise InvalidValueError("expected " + " or ".join(words))
        return value.strip().lower()

    return parse
