"""Every setting with its value and where it comes from, also while telemetry is off.

:func:`usagetrace.config.load_settings` stops at the first no, as a program at work should. Who asks about settings
wants them all, and all their faults: this module reads the same sources by the same rules, without the stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from usagetrace import config
from usagetrace.config import Settings
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
    faults: list[str] = []
    files = config._read_files(environ, cwd, faults)
    for source in files:
        faults.extend(config._unknown_keys(source))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for declared in config.declarations():
        for label, raw in config._candidates(declared, {}, environ, files, faults):
            try:
                values[declared.name] = declared.parse(raw)
                sources[declared.name] = label
            except ValueError as error:
                faults.append(f"{label}: {error}, found {config._shown(raw)}")
            break
    settings = Settings(**values, sources=sources, environ=environ)
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
    """Return where data is sent to over the network: ``traces`` and ``metrics`` by URL; empty where nowhere.

    The same judgement as the pipeline's: somebody named an endpoint, and nobody said none.
    """
    environ = settings.environ
    from_file = not settings.sources.get("otlp_endpoint", "environment").startswith("environment")
    found = {}
    for signal in ("TRACES", "METRICS"):
        if environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none":
            continue
        own = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip()
        target = settings.otlp_endpoint if from_file else own or settings.otlp_endpoint
        if target and not (signal == "METRICS" and settings.metrics == "off"):
            found[signal.lower()] = target
    return found


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
