"""The user's no, which wins over any code and any project setting.

A no is one of: ``DO_NOT_TRACK``, ``USAGETRACE_DISABLED``, ``OTEL_SDK_DISABLED``, ``USAGETRACE_ENABLED=false``, or
``enabled = false`` in the user's own settings file. A variable or file that can't be read means no as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NO_WORDS = frozenset({"0", "false", "no", "off", "n", "f"})
_YES_WORDS = frozenset({"1", "true", "yes", "on", "y", "t"})
# Variables that say no by being set to anything that is not a plain no.
_OPT_OUT = ("DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED")


class Consent:
    """Whether telemetry may run at all, and who said no.

    Attributes:
        allowed: False when the user said no, or when what the user said can't be read.
        reason: Where the no comes from, for people; empty where there is none.
        fault: What could not be read; empty where everything could.
    """

    __slots__ = ("allowed", "fault", "reason")

    def __init__(self, allowed: bool, reason: str = "", fault: str = "") -> None:
        self.allowed = allowed
        self.reason = reason
        self.fault = fault


def to_bool(text: str) -> bool | None:
    """Return a word for yes or no as a bool, and None for any other word."""
    word = text.strip().lower()
    if word in _YES_WORDS:
        return True
    if word in _NO_WORDS:
        return False
    return None


def environment_consent(environ: Mapping[str, str]) -> Consent:
    """Return what the environment alone says; this touches no file."""
    for name in _OPT_OUT:
        value = environ.get(name, "").strip()
        if value and to_bool(value) is not False:
            fault = "" if to_bool(value) else f"environment variable {name}: expected true or false; taken as true"
            return Consent(False, f"the environment variable {name} is set", fault)
    value = environ.get("USAGETRACE_ENABLED", "").strip()
    if value and to_bool(value) is not True:
        fault = (
            ""
            if to_bool(value) is False
            else "environment variable USAGETRACE_ENABLED: expected true or false; taken as false"
        )
        return Consent(False, "the environment variable USAGETRACE_ENABLED says no", fault)
    return Consent(True)


def consent(environ: Mapping[str, str] | None = None) -> Consent:
    """Return whether telemetry may run: the environment first, then the user's own settings file.

    Args:
        environ: The environment; ``os.environ`` by default.
    """
    env: Mapping[str, str] = os.environ if environ is None else environ
    said = environment_consent(env)
    if not said.allowed:
        return said
    # Imported here: an environment that says no is all that has to be read.
    from usagetrace import places

    path = places.config_text(env)
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        return Consent(False, f"the settings file {path} can't be read", f"{path}: {fault_text(error)}")
    if table is None:
        return said
    return _file_consent(table, path)


def _file_consent(table: Mapping[str, Any], path: str) -> Consent:
    analytics = table.get("analytics", {})
    enabled = analytics.get("enabled", True) if isinstance(analytics, Mapping) else analytics
    if isinstance(enabled, str):
        enabled = to_bool(enabled)
    if enabled is True:
        return Consent(True)
    fault = "" if enabled is False else f"{path}: analytics.enabled: expected true or false; taken as false"
    return Consent(False, f"the settings file {path} says enabled = false", fault)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return a TOML file as nested dicts, or None where there is no such file.

    Raises:
        OSError: The file exists and can't be read.
        ValueError: The file is not TOML in UTF-8; the message has line and column.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Imported here: most runs of a host find no file and must not pay for a parser.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(raw.decode("utf-8-sig"))


def fault_text(error: Exception) -> str:
    """Return why a file could not be read, without echoing its contents."""
    if isinstance(error, UnicodeDecodeError):
        if error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "not UTF-8 at byte 0 but UTF-16: save it as UTF-8"
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"not valid TOML: {error}"
