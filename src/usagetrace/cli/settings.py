"""Every setting with its value and where it comes from, also while telemetry is off.

:func:`usagetrace.config.load_settings` stops at the first no, as a program at work should. Who asks about settings
wants them all, and all their faults: this module reads the same sources by the same rules, without the stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from usagetrace.config import Settings, resolve
from usagetrace.consent import consent, environment_consent


@dataclass(frozen=True, slots=True)
class Examined:
    """What the settings say.

    Attributes:
        settings: The values; a faulty one has its default. ``service_name`` is empty where nobody says it.
        faults: One sentence for each fault of each source.
        off_reason: Why nothing is recorded; empty where recording is on.
    """

    settings: Settings
    faults: tuple[str, ...]
    off_reason: str


def examine(environ: Mapping[str, str], cwd: Path) -> Examined:
    """Return the settings in force in a directory, with every fault; this raises nothing and creates nothing.

    Args:
        environ: The environment.
        cwd: Where the search for a project's settings file begins.
    """
    resolved = resolve({}, environ, cwd)
    settings = Settings(**resolved.values, sources=resolved.sources, environ=environ)
    faults = list(resolved.faults)
    unread = environment_consent(environ).fault
    if unread and "USAGETRACE_ENABLED" not in unread:
        # That variable is a setting as well, and its fault is in the list already.
        faults.append(unread)
    return Examined(settings, tuple(dict.fromkeys(faults)), _off_reason(settings, faults, environ))


def _off_reason(settings: Settings, faults: list[str], environ: Mapping[str, str]) -> str:
    said = consent(environ)
    if not said.allowed:
        return said.reason
    if faults:
        return "the settings have faults"
    return "" if settings.enabled else f"{settings.sources['enabled']} says no"


def endpoints(settings: Settings) -> dict[str, str]:
    """Return where data is sent to over the network, by signal (``traces``, ``metrics``, ``logs``); empty: nowhere."""
    targets = {signal.lower(): settings.otlp_target(signal) for signal in ("TRACES", "METRICS", "LOGS")}
    return {signal: target for signal, target in targets.items() if target}


def shown_url(url: str) -> str:
    """Return an address without its user, password and parameters: it is read from screens and in bug reports.

    Host, port and path stay, the redactor's markers for addresses notwithstanding: who reads this wants to know
    where the data goes.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(not an URL)"
    user = "***@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, user + host, parts.path, "***" if parts.query else "", ""))
