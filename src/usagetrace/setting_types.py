"""What a setting is, and the kinds of values that settings have: each turns what a person wrote into the setting's
value, or says what was expected. What settings there are is not known here.
"""

from __future__ import annotations

import os

from usagetrace.consent import to_bool
from usagetrace.guard import said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

# Names and addresses of this machine.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# A thousand years: more is a slip, and would leave the calendar.
_MOST_DAYS = 365_000


class InvalidValueError(ValueError):
    """A value that a setting can't take; the message says what was expected."""


class Declaration:
    """What there is to say of one setting.

    Attributes:
        name: Attribute of :class:`Settings` and argument of ``configure()``.
        default: Value where nothing else is said.
        parse: Turns a raw value into the setting's, or raises :class:`InvalidValueError`.
        env: Environment variables, the first that is set counts.
        key: Dotted key in the TOML files.
        help: One sentence for people.
        project: False where a project file must not set it (an URL: but to this machine); it may come from a
            stranger's repository.
    """

    __slots__ = ("default", "env", "help", "key", "name", "parse", "project")

    def __init__(
        self,
        name: str,
        default: object,
        parse: Callable[[object], Any],
        *,
        env: tuple[str, ...],
        key: str,
        help: str,  # noqa: A002 -- the word that every declaration of a setting uses
        project: bool = True,
    ) -> None:
        self.name = name
        self.default = default
        self.parse = parse
        self.env = env
        self.key = key
        self.help = help
        self.project = project


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
    # Imported here, as in `to_url`: most programs name neither a path nor an address, and must not pay for them.
    from pathlib import Path

    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InvalidValueError("expected a path; there is no such user") from None


def to_url(value: object) -> str:
    """Return the base URL of a receiver."""
    text = to_name(value)
    if _is_plain_url(text):
        return text
    from urllib.parse import urlsplit

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


def _is_plain_url(text: str) -> bool:
    """Return whether a text is certainly an URL: most are plain, and the module that knows all costs a start 3 ms."""
    scheme, _, rest = text.partition("://")
    host, _, path = rest.partition("/")
    name, colon, port = host.partition(":")
    return (
        scheme in ("http", "https")
        and host.isascii()
        and name.replace("-", "").replace(".", "").isalnum()
        and (not colon or (port.isdigit() and 0 < int(port) < 65536))
        and (not path or path.replace("/", "").replace("-", "").replace("_", "").isalnum())
    )


def is_loopback(value: object) -> bool:
    """Return whether a value is an URL of this machine."""
    from urllib.parse import urlsplit

    try:
        return isinstance(value, str) and urlsplit(value).hostname in _LOOPBACK
    except ValueError:
        return False


def choice(*words: str) -> Callable[[object], str]:
    """Return the kind of setting that is one of a few words."""

    def parse(value: object) -> str:
        if isinstance(value, bool):
            value = "on" if value else "off"
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise InvalidValueError("expected " + " or ".join(words))
        return value.strip().lower()

    return parse


def shown(raw: object) -> str:
    """Return a faulty value for a message: redacted, since an endpoint may hold a password, and short."""
    text = str(said(repr(raw)))
    return text if len(text) <= 60 else text[:57] + "..."
