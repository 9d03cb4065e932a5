"""What an endpoint is told of the machine and the program: versions and kinds, which many people share.

Standard names where the semantic conventions have some. Neither a name of a host or a person, nor any other text that
somebody made up: of a version only its numbers are told, of a locale only language and region. Read where something is
sent, once for each resource; nothing here costs a program that stays local anything.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Final

from usagetrace import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from usagetrace.config import Settings

# The numbers that a version begins with, three at most: four of them look like an address.
_NUMBERS: Final = re.compile(r"\d{1,6}(?:\.\d{1,6}){0,2}")
# A language, perhaps a script, and a region, then a character set: en_US.UTF-8, de-AT, zh_Hant_TW, es_419.
_LOCALE: Final = re.compile(
    r"([a-zA-Z]{2,3})(?:[_-]([a-zA-Z]{4}))?(?:[_-]([a-zA-Z]{2}|\d{3}))?(?:\.[\w-]+)?(?:@\w+)?", re.ASCII
)
# Of what Python calls a system, the conventions' word.
_SYSTEMS: Final = {"win32": "windows", "cygwin": "windows", "sunos": "solaris"}
# Of what systems call a processor, the conventions' word.
_PROCESSORS: Final = {
    "x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i386": "x86", "i486": "x86",
    "i586": "x86", "i686": "x86", "x86": "x86", "ppc64": "ppc64", "ppc64le": "ppc64", "ppc": "ppc32", "ia64": "ia64",
    "s390x": "s390x", "riscv64": "riscv64", "loongarch64": "loongarch64",
}  # fmt: skip


def attributes(settings: Settings) -> dict[str, str | int]:
    """Return the resource attributes that the settings allow; what can't be found out is left out.

    Args:
        settings: Say what may be told, and which version the tool has.
    """
    found: dict[str, str | int] = {}
    for part in settings.environment:
        found.update(_version(settings) if part == "version" else _READ[part]())
    return found


def _version(settings: Settings) -> Mapping[str, str]:
    return {} if settings.service_version is None else {semconv.SERVICE_VERSION: settings.service_version}


def _os() -> Mapping[str, str]:
    name = re.sub(r"\d+$", "", sys.platform)
    said = sys.platform if sys.platform in _SYSTEMS else name
    found = {semconv.OS_TYPE: _SYSTEMS.get(said, said)}
    told = platform.mac_ver()[0] if said == "darwin" else platform.version() if said == "win32" else platform.release()
    numbers = _NUMBERS.match(told)
    if numbers is not None:
        found[semconv.OS_VERSION] = numbers.group()
    return found


def _arch() -> Mapping[str, str]:
    told = platform.machine().lower()
    word = "arm32" if re.fullmatch(r"armv?[4-7]\w*", told) else _PROCESSORS.get(told)
    return {} if word is None else {semconv.HOST_ARCH: word}


def _locale() -> Mapping[str, str]:
    # In the order in which POSIX looks for the language of messages.
    told = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), None)
    if told is None:
        import locale

        told = locale.getlocale()[0] or ""
    parts = _LOCALE.fullmatch(told)
    # "C" and "POSIX" say that there is none, and are no languages.
    if parts is None:
        return {}
    language, script, region = parts.groups()
    tag = "-".join(filter(None, (language.lower(), script and script.title(), region and region.upper())))
    return {semconv.LOCALE: tag}


def _timezone() -> Mapping[str, int]:
    offset = datetime.now().astimezone().utcoffset()
    return {} if offset is None else {semconv.TIMEZONE_OFFSET: int(offset.total_seconds() // 60)}


_READ: Final[Mapping[str, Callable[[], Mapping[str, str | int]]]] = {
    "os": _os,
    "arch": _arch,
    "locale": _locale,
    "timezone": _timezone,
}
