"""Every setting, declared once: its environment variable, its TOML key, its type, its default and its help.

How the sources are read, and which of them counts, is :mod:`usagetrace.config`'s.
"""

from __future__ import annotations

from usagetrace.setting_types import (
    Declaration,
    choice,
    to_age,
    to_days,
    to_flag,
    to_name,
    to_names_of,
    to_path,
    to_seconds,
    to_skew,
    to_url,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

# What an endpoint may be told of the machine and the program.
ENVIRONMENT: Final = ("version", "os", "arch", "locale", "timezone")


def to_rules(value: object) -> Mapping[str, object]:
    """Return how much is kept of which events; see :func:`usagetrace.sampling_table.rules_of`."""
    # Imported here: most people never say anything of it, and must not pay for reading it.
    from usagetrace.sampling_table import rules_of

    return rules_of(value)


# In the order in which people read them; `usagetrace.config.Settings` only adds the types.
DECLARED: Final = (
    Declaration(
        "enabled", True, to_flag, env=("USAGETRACE_ENABLED",), key="analytics.enabled",
        help="Whether anything is recorded at all.",
    ),
    Declaration(
        "local", True, to_flag, env=("USAGETRACE_LOCAL",), key="analytics.local",
        help="Whether events are written to the local SQLite file.",
    ),
    Declaration(
        "db_path", None, to_path, env=("USAGETRACE_DB_PATH",), key="analytics.db-path",
        help="The SQLite file; by default analytics.db in the service's folder of the user data directory.",
    ),
    Declaration(
        "retention_days", 90, to_days, env=("USAGETRACE_RETENTION_DAYS",), key="analytics.retention-days",
        help="Days that single events are kept; counts stay for ever. 0 keeps events for ever too.",
    ),
    Declaration(
        "archive_dir", None, to_path, env=("USAGETRACE_ARCHIVE_DIR",), key="analytics.archive-dir", project=False,
        help="Folder for Parquet files of events that are about to be removed for their age; unset: no copy is kept.",
    ),
    Declaration(
        "exit_timeout", 1.0, to_seconds, env=("USAGETRACE_EXIT_TIMEOUT",), key="analytics.exit-timeout",
        help="Seconds that the end of a program may wait, at most, for what is still unwritten or unsent.",
    ),
    Declaration(
        "service_name", "", to_name, env=("OTEL_SERVICE_NAME",), key="service.name",
        help="Name of the tool; by default the name of the program that runs.",
    ),
    Declaration(
        "service_version", None, to_name, env=("USAGETRACE_SERVICE_VERSION",), key="service.version",
        help="Version of the tool.",
    ),
    Declaration(
        "otlp_endpoint", None, to_url, env=("OTEL_EXPORTER_OTLP_ENDPOINT",), key="otlp.endpoint", project=False,
        help="Base URL of an OTLP receiver. Unset: nothing leaves the machine.",
    ),
    Declaration(
        "otlp_protocol", "http/protobuf", choice("http/protobuf", "grpc", "http/json"),
        env=("OTEL_EXPORTER_OTLP_PROTOCOL",), key="otlp.protocol",
        help="How OTLP is spoken: http/protobuf or grpc; the standard's http/json is not spoken in Python.",
    ),
    Declaration(
        "otlp_delivery", "direct", choice("direct", "outbox"), env=("USAGETRACE_OTLP_DELIVERY",), key="otlp.delivery",
        help="How OTLP is sent: direct, by each program and at once; outbox, later, from the local file.",
    ),
    Declaration(
        "metrics", "auto", choice("auto", "on", "off"), env=("USAGETRACE_METRICS",), key="analytics.metrics",
        help="OpenTelemetry metrics: auto sends them where there is an OTLP endpoint, on keeps them in the local "
        "file as well, off makes none.",
    ),
    Declaration(
        "environment", ENVIRONMENT, to_names_of(*ENVIRONMENT), env=("USAGETRACE_ENVIRONMENT",),
        key="analytics.environment", project=False,
        help="What an OTLP endpoint is told of the machine and the program, as resource attributes.",
    ),
    Declaration(
        "event_strict", False, to_flag, env=("USAGETRACE_STRICT_EVENTS",), key="events.strict",
        help="Whether events of a type that nobody registered, or whose payload does not fit its type, are refused.",
    ),
    Declaration(
        "event_clock_skew", 60.0, to_skew, env=("USAGETRACE_CLOCK_SKEW",), key="events.clock-skew",
        help="Seconds that an event's time may lie in the future, at most: clocks differ.",
    ),
    Declaration(
        "event_max_age_days", 7, to_age, env=("USAGETRACE_EVENT_MAX_AGE",), key="events.max-age",
        help="Days that an event's time may lie in the past without a warning. 0 never warns.",
    ),
    Declaration(
        "sampling", None, to_rules, env=("USAGETRACE_SAMPLING",), key="sampling", joined=True,
        help="How many of the events of a type, or of a category, are kept as rows; all of them are counted. Where "
        "nothing is said: one in ten performance events, and all others.",
    ),
)  # fmt: skip
