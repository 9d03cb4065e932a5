"""The narrow waist: what one event is, and what is known of each event type.

Spans, log events, imports and OTLP posts all become :class:`Event`, already redacted, and the store takes
nothing else. This module knows no OpenTelemetry and no database.
"""

from __future__ import annotations

from collections import namedtuple
from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final, NamedTuple

# Longest text that a name, type, path or id may have in the store, in characters.
NAME_LIMIT: Final = 512
# Longest text inside metadata, in characters.
TEXT_LIMIT: Final = 4096
# Longest metadata of one event, in characters of JSON.
METADATA_LIMIT: Final = 65536


class Category(str, Enum):
    """Class of an event type."""

    USAGE = "usage"
    PERFORMANCE = "performance"
    ERROR = "error"
    BUSINESS = "business"
    SECURITY = "security"
    SYSTEM = "system"
    CUSTOM = "custom"


class Priority(str, Enum):
    """How much an event matters: low may be sampled away, critical is written at once."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class Status(str, Enum):
    """How an operation ended. An abandoned one never said that it ended."""

    OK = "ok"
    ERROR = "error"
    ABANDONED = "abandoned"


if TYPE_CHECKING:

    class _Fields(NamedTuple):
        event_type: str
        artifact_name: str
        artifact_type: str
        ts_ms: int
        collection_name: str | None = None
        project_path: str | None = None
        metadata: Mapping[str, Any] | None = None
        duration_ms: float | None = None
        status: str = "ok"
        error_type: str | None = None
        category: str = "custom"
        priority: str = "normal"
        session_id: str | None = None
        service_name: str | None = None
        trace_id: str | None = None
        span_id: str | None = None
        item: int | None = None

else:
    # The same, without loading `typing`: a test compares the two.
    _Fields = namedtuple(
        "_Fields",
        "event_type artifact_name artifact_type ts_ms collection_name project_path metadata duration_ms status "
        "error_type category priority session_id service_name trace_id span_id item",
        defaults=(None, None, None, None, "ok", None, "custom", "normal", None, None, None, None, None),
    )


class Event(_Fields):
    """One row of ``events``: something a person did with an artifact. Every text in it is redacted. It can't change.

    A named tuple takes a tenth of a frozen dataclass's time to make, and to import.

    Attributes:
        event_type: ``deploy``, ``update``, ``sync``, ``remove``, ``search``, or any other type.
        artifact_name: Name of the thing; ``""`` where the operation touched none (a search without results).
        artifact_type: Kind of the thing; ``""`` where unknown.
        ts_ms: When the operation began: milliseconds since 1970-01-01 UTC.
        collection_name: Group that the artifact belongs to.
        project_path: Project that the operation worked on.
        metadata: Further keys; values are JSON values.
        duration_ms: How long the operation took; None for a point in time.
        status: ``ok``, ``error`` or ``abandoned``.
        error_type: Qualified name of the exception, when there was one.
        category: Class of the event type.
        priority: ``low``, ``normal``, ``high`` or ``critical``.
        session_id: Session that the operation belongs to.
        service_name: The tool.
        trace_id: 32 hexadecimal digits, or None.
        span_id: 16 hexadecimal digits, or None.
        item: Position of this artifact among those of one call, from 0; None for a call with one artifact.
    """

    __slots__ = ()

    def timestamp(self) -> str:
        """Return when the operation began as UTC text, in the form of SQLite's CURRENT_TIMESTAMP."""
        return timestamp_text(self.ts_ms)

    def metadata_json(self) -> str | None:
        """Return the metadata as JSON text, or None where there is none."""
        if not self.metadata:
            return None
        # Imported here, as in `timestamp_text`: what is only decorated needs neither.
        import json

        return json.dumps(self.metadata, ensure_ascii=False, separators=(",", ":"), default=str)

    def to_json(self) -> str:
        """Return the event as JSON text, on one line; `event_json` says what becomes of values that JSON has not."""
        from usagetrace.event_json import to_text

        return to_text(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Event:
        """Return the event that :meth:`to_json` wrote.

        Raises:
            EventError: The text is not JSON, or not an event; says where, and shows no value.
        """
        from usagetrace.event_json import from_text

        return from_text(text)


def timestamp_text(ts_ms: int) -> str:
    """Return milliseconds since 1970 as ``YYYY-MM-DD HH:MM:SS`` in UTC."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(ts_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def clean_text(text: str) -> str:
    """Return a text that every store and wire format can hold: no NUL, no lone surrogate.

    NUL becomes U+2400 (the symbol for it), a lone surrogate U+FFFD. Most texts are returned as they are.
    """
    if text.isascii():
        return text.replace("\0", "\u2400") if "\0" in text else text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "\u2400") if "\0" in text else text


def bound_text(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` characters; one that was cut ends with how long it was.

    Redact first, cut afterwards: half a secret is not recognised.
    """
    if len(text) <= limit:
        return text
    mark = f"\u2026[cut from {len(text)} characters]"
    return text[: max(limit - len(mark), 0)] + mark


# Event types that this version knows by name, each with its category; any other type is a custom one until it is
# registered (`usagetrace.event_types`). Tables of plain literals: every program with a tracked call makes them.
CATEGORIES: Final[Mapping[str, Category]] = {
    # The operations of a tool on its artifacts.
    **dict.fromkeys(("deploy", "update", "sync", "remove", "search", "invoke"), Category.USAGE),
    # What happens to what a registry offers. Compiling is usage as well: a person asked for it and waits for it. As a
    # performance event nine of ten would be sampled away; its times are in the duration histogram either way.
    **dict.fromkeys(("download", "view", "compile"), Category.USAGE),
    **dict.fromkeys(("ai_block_used", "chapter_visit"), Category.USAGE),
    "error_event": Category.ERROR,
    **dict.fromkeys(
        (
            "session_started", "session_ended", "mission_created", "mission_completed", "mission_failed",
            "mission_cancelled", "command_executed", "feature_used", "backend_selected", "tool_invoked",
        ),
        Category.USAGE,
    ),
    **dict.fromkeys(
        (
            "response_latency", "memory_usage", "cpu_usage", "disk_usage", "network_latency", "cache_hit",
            "cache_miss",
        ),
        Category.PERFORMANCE,
    ),
    **dict.fromkeys(
        (
            "error_occurred", "warning_raised", "panic_caught", "validation_failed", "timeout_occurred",
            "retry_attempted",
        ),
        Category.ERROR,
    ),
    **dict.fromkeys(("tokens_consumed", "cost_incurred", "quota_checked", "budget_alerted"), Category.BUSINESS),
    **dict.fromkeys(("auth_attempted", "permission_denied", "sensitive_data_accessed"), Category.SECURITY),
    **dict.fromkeys(
        (
            "config_changed", "plugin_loaded", "plugin_unloaded", "update_available", "system_started",
            "system_shutdown",
        ),
        Category.SYSTEM,
    ),
}  # fmt: skip

# Priorities of those that are not normal. Low may be sampled away; high and critical never are; critical is also
# written to the database at once. Normal, the rest: what somebody did, of which each one counts, and of which a tool's
# author may still choose to keep fewer rows.
PRIORITIES: Final[Mapping[str, Priority]] = {
    # A measurement: one says little, thousands a distribution, which a sample of them has as well.
    "response_latency": Priority.LOW,
    "memory_usage": Priority.LOW,
    "cpu_usage": Priority.LOW,
    "disk_usage": Priority.LOW,
    "network_latency": Priority.LOW,
    "cache_hit": Priority.LOW,
    "cache_miss": Priority.LOW,
    # Looked at, not used: far more frequent than anything else of the same artifact.
    "view": Priority.LOW,
    # A look at a number that the next look repeats; that a limit was passed is `budget_alerted`.
    "quota_checked": Priority.LOW,
    # The same news at each start, until the update is made.
    "update_available": Priority.LOW,
    # What a person wanted did not come about.
    "mission_failed": Priority.HIGH,
    # Failures: the rare ones are those that are looked for. `warning_raised` and `retry_attempted` are normal: nothing
    # has failed yet, and a loop makes thousands of them.
    "error_occurred": Priority.HIGH,
    "error_event": Priority.HIGH,
    "validation_failed": Priority.HIGH,
    "timeout_occurred": Priority.HIGH,
    # The process may be about to die.
    "panic_caught": Priority.CRITICAL,
    # Their amounts are added up, and are in the metadata alone: a row that is missing makes the bill wrong.
    "tokens_consumed": Priority.HIGH,
    "cost_incurred": Priority.HIGH,
    # Somebody has to act on it.
    "budget_alerted": Priority.HIGH,
    # A record of who was let in and who was not is worth nothing with gaps.
    "auth_attempted": Priority.HIGH,
    "permission_denied": Priority.HIGH,
    "sensitive_data_accessed": Priority.HIGH,
}

# Share of the events that is kept, how many are kept in each window at least, and how long a window is, in seconds.
SAMPLING: Final[Mapping[Category, tuple[float, int, float]]] = {
    Category.PERFORMANCE: (0.1, 10, 60.0),
    Category.ERROR: (1.0, 100, 60.0),
    Category.SECURITY: (1.0, 100, 60.0),
}
# The same for every other category.
SAMPLING_ELSE: Final = (1.0, 1, 60.0)

# Types that code or plugins registered, as `(category, priority, sampling)`. Filled by `usagetrace.event_types`; what
# is asked at each call is here, so that asking loads nothing more.
REGISTERED: Final[dict[str, tuple[Category, Priority, tuple[float, int, float]]]] = {}

# Called with the name of a type after it was registered, or registered anew: by who keeps what was asked.
CHANGED: Final[list[Callable[[str], None]]] = []

_UNKNOWN: Final = (Category.CUSTOM, Priority.NORMAL, SAMPLING_ELSE)
# Whether installed packages may still bring types that nobody has asked for.
_plugins_wait = True


def category_of(event_type: str) -> Category:
    """Return the category of an event type; one that neither code nor a plugin registered is a custom one."""
    found = CATEGORIES.get(event_type)
    return _registered(event_type)[0] if found is None else found


def priority_of(event_type: str) -> Priority:
    """Return the default priority of an event type; normal where nobody has said another."""
    if event_type in CATEGORIES:
        return PRIORITIES.get(event_type, Priority.NORMAL)
    return _registered(event_type)[1]


def sampling_of(event_type: str) -> tuple[float, int, float]:
    """Return an event type's own sampling: rate from 0.0 to 1.0, minimum of events a window, window in seconds."""
    found = CATEGORIES.get(event_type)
    return _registered(event_type)[2] if found is None else SAMPLING.get(found, SAMPLING_ELSE)


def _registered(event_type: str) -> tuple[Category, Priority, tuple[float, int, float]]:
    global _plugins_wait
    found = REGISTERED.get(event_type)
    if found is None and _plugins_wait:
        # Imported here: only who has a type of an unknown name pays for the look at what is installed.
        from usagetrace.event_plugins import load

        _plugins_wait = load()
        found = REGISTERED.get(event_type)
    return _UNKNOWN if found is None else found


def ask_plugins() -> None:
    """Ask the installed packages anew when a type of an unknown name is asked for. For test suites."""
    global _plugins_wait
    _plugins_wait = True
