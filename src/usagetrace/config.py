"""Settings: what all sources say, and which of them counts. What there is to set is declared in
:mod:`usagetrace.setting_declarations`.

Precedence, highest first: the user's no (:mod:`usagetrace.consent`); arguments to ``configure()``; environment;
project file (``usagetrace.toml``, or ``[tool.usagetrace]`` in ``pyproject.toml``); user file; defaults.
Reading settings creates nothing. Every fault is found and reported at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from usagetrace import places
from usagetrace.consent import Consent, consent
from usagetrace.errors import ConfigurationError
from usagetrace.guard import said, warn_once
from usagetrace.setting_declarations import DECLARED
from usagetrace.setting_files import Source, looked_up, read_files, unknown_keys
from usagetrace.setting_types import (
    Declaration,
    InvalidTableError,
    InvalidValueError,
    entry_faults,
    is_loopback,
    shown,
    to_url,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any, Final, NoReturn

    from usagetrace.redaction.policy import Policy
    from usagetrace.sampling_table import Rules

__all__ = [
    "Settings",
    "Source",
    "argument_faults",
    "consent",
    "declarations",
    "load_settings",
    "settings_or_off",
]

# Tables of the settings files whose contents other modules read and check: :mod:`usagetrace.redaction.policy_table`,
# :mod:`usagetrace.autoinstrument.target`, :mod:`usagetrace.otlp.mapping` and :mod:`usagetrace.sampling_table`.
_OTHER_TABLES: Final = frozenset({"targets", "track", "fields", "redaction", "receiver", "sampling"})


_DEFAULTS: Final = {**{declared.name: declared.default for declared in DECLARED}, "redaction": None}
_REDACTION_MODE: Final = "USAGETRACE_REDACTION_MODE"
_HTTP: Final = "http/protobuf"
_OF_TRACES: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"


class Settings:
    """Everything that can be set, resolved. It can't be changed.

    A plain class, because the module :mod:`dataclasses` costs a short command 2 ms.

    Args:
        off_reason: Why nothing is recorded; empty where recording is on.
        sources: What people call the source of each setting that one of them speaks of, by name.
        environ: The environment; ``os.environ`` by default.
        values: Settings by name; the others have their defaults.

    Raises:
        TypeError: There is no such setting.
    """

    enabled: bool
    local: bool
    db_path: Path | None
    retention_days: int
    archive_dir: Path | None
    exit_timeout: float
    service_name: str
    service_version: str | None
    otlp_endpoint: str | None
    otlp_protocol: str
    otlp_delivery: str
    metrics: str
    environment: tuple[str, ...]
    event_strict: bool
    event_clock_skew: float
    event_max_age_days: int
    sampling: Rules | None
    redaction: Policy | None

    off_reason: str
    sources: Mapping[str, str]
    environ: Mapping[str, str]

    def __init__(
        self,
        *,
        off_reason: str = "",
        sources: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        **values: Any,
    ) -> None:
        unknown = [name for name in values if name not in _DEFAULTS]
        if unknown:
            raise TypeError(f"Settings: {', '.join(unknown)}: unknown, expected {', '.join(_DEFAULTS)}")
        self.__dict__.update(_DEFAULTS)
        self.__dict__.update(values)
        self.__dict__.update(
            off_reason=off_reason,
            sources={} if sources is None else sources,
            environ=os.environ if environ is None else environ,
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Settings can't be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._said() == other._said()

    def __repr__(self) -> str:
        # An endpoint may hold a password, and somebody's log this text.
        shown = {
            name: said(repr(value)) if isinstance(value, str) else repr(value) for name, value in self._said().items()
        }
        return f"Settings({', '.join(f'{name}={value}' for name, value in shown.items())})"

    def _said(self) -> dict[str, object]:
        """Return everything but the environment, most of which is nobody's business."""
        return {name: value for name, value in self.__dict__.items() if name != "environ"}

    def otlp_target(self, signal: str) -> str | None:
        """Return where a signal is sent by OTLP; None where nobody named an endpoint, or somebody said none.

        Args:
            signal: ``TRACES``, ``METRICS`` or ``LOGS``, as the standard environment variables name them.
        """
        # An outbox holds events: no metrics of ours.
        off = signal == "METRICS" and (self.otlp_delivery == "outbox" or self.metrics == "off")
        if off or self.said_none(signal) or (signal == "LOGS" and self._meant_none_of_logs()):
            return None
        if self.said_endpoint() is not None:
            return self.said_endpoint()
        return self.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip() or self.otlp_endpoint

    def said_none(self, signal: str) -> bool:
        """Return whether somebody said by the standard variable that a signal is sent nowhere."""
        return self.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none"

    def _meant_none_of_logs(self) -> bool:
        """Return whether who said that no spans are sent meant points in time as well, having said nothing of logs."""
        of_logs = ("OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
        return self.said_none("TRACES") and not any(self.environ.get(name, "").strip() for name in of_logs)

    def said_endpoint(self) -> str | None:
        """Return the endpoint that code or a file names; one in the environment the standard exporters read."""
        return self.otlp_endpoint if self._said_by_us("otlp_endpoint") else None

    def said_protocol(self) -> str | None:
        """Return the protocol that code or a file names; None leaves it to the standard variables."""
        return self.otlp_protocol if self._said_by_us("otlp_protocol") else None

    def _said_by_us(self, name: str) -> bool:
        return name in self.sources and not self.sources[name].startswith("environment")

    def store_path(self, service_name: str | None = None) -> Path:
        """Return the path of the SQLite file, whether or not it exists.

        Args:
            service_name: A tool other than the one that these settings are of.
        """
        if self.db_path is not None:
            return self.db_path
        return places.store_path(self.environ, service_name or self.service_name)

    def store_text(self) -> str:
        """Return the path of the SQLite file as text: a short command has no other use for :mod:`pathlib`."""
        if self.db_path is not None:
            return os.fspath(self.db_path)
        return places.store_text(self.environ, self.service_name)


def declarations() -> Iterator[Declaration]:
    """Yield every setting in the order of declaration."""
    yield from DECLARED


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Return the settings in force.

    Args:
        overrides: Arguments of ``configure()`` by name; those that are None are left out.
        environ: The environment; ``os.environ`` by default.
        cwd: Where the search for a project file starts; the working directory by default.

    Raises:
        ConfigurationError: Lists every fault of every source. The user's no comes first: when the user said no,
            nothing else is looked at and nothing raises.
    """
    env: Mapping[str, str] = os.environ if environ is None else environ
    said = consent(env)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    if not said.allowed:
        return _off(said, env, given)
    resolved = resolve(given, env, cwd)
    if resolved.faults:
        raise ConfigurationError(resolved.faults)
    values, sources = {**resolved.values}, resolved.sources
    values.setdefault("service_name", default_service_name(env))
    reason = "" if values.get("enabled", True) else f"{sources['enabled']} says no"
    return Settings(**values, sources=sources, environ=env, off_reason=reason)


class Resolved:
    """What the sources say, before anybody's consent is looked at.

    Attributes:
        values: Settings that a source says something of, by name; faulty ones are left out.
        sources: What people call that source.
        faults: One sentence for each fault.
    """

    __slots__ = ("faults", "sources", "values")

    def __init__(self, values: Mapping[str, Any], sources: Mapping[str, str], faults: tuple[str, ...]) -> None:
        self.values = values
        self.sources = sources
        self.faults = faults


def resolve(given: Mapping[str, object], env: Mapping[str, str], cwd: Path | None = None) -> Resolved:
    """Return what every source says, with every fault; this raises nothing and creates nothing.

    Args:
        given: Arguments of ``configure()``.
        env: The environment.
        cwd: Where the search for a project file starts; the working directory by default.
    """
    faults: list[str] = []
    files = read_files(env, cwd, faults)
    for source in files:
        faults.extend(unknown_keys(source, {declared.key for declared in DECLARED}, _OTHER_TABLES))
    policy = _policy_of(given.get("redaction"), env, files, faults)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for declared in DECLARED:
        said: list[tuple[str, Any]] = []
        # The weaker sources are read as well: a fault in one of them is a fault, overruled today or not.
        for label, raw in _candidates(declared, given, env, files, faults):
            try:
                said.append((label, declared.parse(raw)))
            except InvalidTableError as error:
                faults.extend(entry_faults(f"{label}{': ' if _lasts(label) else '.'}", error.faults))
            except InvalidValueError as error:
                faults.append(f"{label}: {error}, found {shown(raw)}")
        if said and declared.joined:
            values[declared.name], sources[declared.name] = _joined(said)
        elif said:
            sources[declared.name], values[declared.name] = said[0]
    if policy is not None:
        values["redaction"] = policy
    if values.get("otlp_delivery") == "outbox":
        faults.extend(_outbox_faults(values, sources, env))
    return Resolved(values, sources, tuple(faults))


def _joined(said: list[tuple[str, Any]]) -> tuple[Any, str]:
    """Return one table of several, the strongest first, each entry the strongest's; and all sources it has some of."""
    joined = said[0][1].empty()
    sources = [label for label, table in said if joined.take(table, lasting=_lasts(label)) or len(said) == 1]
    return joined, "; ".join(sources)


def _lasts(label: str) -> bool:
    """Return whether a source stays as it is while a process runs: only files change."""
    return label.startswith(("configure(", "environment variable"))


def _outbox_faults(values: Mapping[str, Any], sources: Mapping[str, str], env: Mapping[str, str]) -> Iterator[str]:
    """Yield what the outbox can't be with: it sends what the local file holds, and by HTTP."""
    outbox = f"{sources['otlp_delivery']} says outbox, which"
    if not values.get("local", True):
        yield f"{sources['local']}: expected true: {outbox} sends what the local file holds"
    label, protocol = sources.get("otlp_protocol", ""), values.get("otlp_protocol", _HTTP)
    if env.get(_OF_TRACES, "").strip() and (not label or label.startswith("environment")):
        label, protocol = f"environment variable {_OF_TRACES}", env[_OF_TRACES].strip().lower()
    if protocol != _HTTP:
        yield f"{label}: expected {_HTTP}, with the endpoint's port for HTTP: {outbox} speaks that alone"


def _policy_of(given: object, env: Mapping[str, str], files: list[Source], faults: list[str]) -> Policy | None:
    if given is None and not env.get(_REDACTION_MODE) and not any("redaction" in source.table for source in files):
        return None
    # Imported here: most people say nothing of redaction, and must not pay for reading it.
    from usagetrace.redaction.policy_table import policy_of

    return policy_of(given, env, files, faults)


def argument_faults(overrides: Mapping[str, object]) -> list[str]:
    """Return the faults of the arguments of ``configure()`` alone: those are the developer's own."""
    try:
        load_settings(overrides)
    except ConfigurationError as error:
        return [fault for fault in error.faults if fault.startswith("configure(")]
    return []


def settings_or_off(overrides: Mapping[str, object] | None = None) -> Settings | None:
    """Return the settings in force, or None where telemetry is off; a fault in them means off, with one warning."""
    try:
        settings = load_settings(overrides)
    except ConfigurationError as error:
        faults = "\n  ".join(error.faults)
        warn_once("configuration", "recording is off, because the settings have faults:\n  %s", faults)
        return None
    return settings if settings.enabled else None


def _off(said: Consent, env: Mapping[str, str], given: Mapping[str, object]) -> Settings:
    name = given.get("service_name")
    service = name if isinstance(name, str) and name else default_service_name(env)
    return Settings(enabled=False, off_reason=said.reason, service_name=service, environ=env)


def default_service_name(environ: Mapping[str, str]) -> str:
    """Return the tool's name: OTEL_SERVICE_NAME, else OTEL_RESOURCE_ATTRIBUTES, else the program that runs."""
    if environ.get("OTEL_SERVICE_NAME"):
        return environ["OTEL_SERVICE_NAME"]
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            return value.strip()
    # What follows the last separator, the one at the end of a directory's name left out.
    program = os.path.normpath(sys.argv[0] if sys.argv and sys.argv[0] else "python")
    name = os.path.basename(program)
    if name == "__main__.py":
        return os.path.basename(os.path.dirname(program)) or "python"
    name = name.removesuffix(".py").removesuffix(".exe")
    return name if name not in ("", ".") and not name.startswith("-") else "python"


def _candidates(
    declared: Declaration,
    given: Mapping[str, object],
    env: Mapping[str, str],
    files: list[Source],
    faults: list[str],
) -> Iterator[tuple[str, object]]:
    """Yield what each source says of a setting, the strongest first."""
    if declared.name in given:
        yield f"configure({declared.name}=...)", given[declared.name]
    for name in declared.env:
        if env.get(name, "").strip():
            yield f"environment variable {name}", env[name]
    for source in files:
        raw = looked_up(source.table, declared.key)
        if raw is None:
            continue
        label = f"{source.label}: {declared.key}"
        if source.is_project and not declared.project and not (declared.parse is to_url and is_loopback(raw)):
            only = "only name this machine (127.0.0.1, ::1, localhost)" if declared.parse is to_url else "not set it"
            faults.append(
                f"{label}: a project file may {only}, because it may come from somebody else; set it in your own "
                "settings file or in the environment"
            )
            continue
        yield label, raw
