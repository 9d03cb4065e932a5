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
# Seconds: a clock that is further off is set to another day.
_DAY = 86_400


class InvalidValueError(ValueError):
    """A value that a setting can't take; the message says what was expected."""


class InvalidTableError(InvalidValueError):
    """A table, or a list of pairs, with entries that can't be taken.

    Args:
        faults: For each of them its key, what was expected, and what was found.
    """

    def __init__(self, faults: list[tuple[str, str, object]]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{key}: {expected}" for key, expected, _found in faults))


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
        joined: Whether it is a table whose entries come from several sources, each from the strongest that has it.
    """

    __slots__ = ("default", "env", "help", "joined", "key", "name", "parse", "project")

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
        joined: bool = False,
    ) -> None:
        self.name = name
        self.default = default
        self.parse = parse
        self.env = env
        self.key = key
        self.help = help
        self.project = project
        self.joined = joined


def to_flag(value: object) -> bool:
    """Return yes or no; the text "false" is not true."""
    if isinstance(value, bool):
        return value
    word = to_bool(value) if isinstance(value, str) else None
    if word is None:
        raise InvalidValueError("expected true or false")
    return word


def to_days(value: object) -> int:
    """Return for how many days something is kept."""
    return _whole_days(value, "expected a whole number of days, 0 or more (0 keeps for ever)")


def to_age(value: object) -> int:
    """Return how many days old something may be."""
    return _whole_days(value, "expected a whole number of days, 0 or more (0 for any age)")


def _whole_days(value: object, expected: str) -> int:
    number = to_number(value, expected)
    if not 0 <= number <= _MOST_DAYS or number != int(number):
        raise InvalidValueError(expected)
    return int(number)


def to_seconds(value: object) -> float:
    """Return a number of seconds."""
    number = to_number(value, "expected a number of seconds from 0 to 60")
    if not 0 <= number <= 60:
        raise InvalidValueError("expected a number of seconds from 0 to 60")
    return number


def to_skew(value: object) -> float:
    """Return by how many seconds a clock may be fast."""
    expected = "expected a number of seconds from 0 to 86400 (a day)"
    number = to_number(value, expected)
    if not 0 <= number <= _DAY:
        raise InvalidValueError(expected)
    return number


def to_number(value: object, expected: str) -> float:
    """Return a number.

    Raises:
        InvalidValueError: It is none; the message is what was expected.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidValueError(expected)
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise InvalidValueError(expected) from None


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


def to_names_of(*words: str) -> Callable[[object], tuple[str, ...]]:
    """Return the kind of setting that is some of a few words: a list, or a text with commas; ``none`` is none."""
    expected = f"expected some of {', '.join(words)}, or none"

    def parse(value: object) -> tuple[str, ...]:
        given = value.split(",") if isinstance(value, str) else value
        if not isinstance(given, list | tuple | set | frozenset) or not all(isinstance(word, str) for word in given):
            raise InvalidValueError(expected)
        said = {word.strip().lower() for word in given}
        if said == {"none"}:
            said = set()
        if not said <= set(words):
            raise InvalidValueError(expected)
        return tuple(word for word in words if word in said)

    return parse


def entry_faults(label: str, found: list[tuple[str, str, object]]) -> list[str]:
    """Return one sentence for each faulty entry of a table.

    Args:
        label: What people call its source, up to where the key follows.
        found: The key of each, what was expected, and what is there; without a key it is the source itself.
    """
    sentences = []
    for key, expected, raw in found:
        place = label + key if key else label.rstrip(".: ")
        sentences.append(f"{place}: {expected}, found {shown(raw)}")
    return sentences


def shown(raw: object) -> str:
    """Return a faulty value for a message: redacted, since an endpoint may hold a password, and short."""
    text = str(said(repr(raw)))
    return text if len(text) <= 60 else text[:57] + "..."
