"""The narrow waist: what one event is, and what is known of each event type.

Spans, log events, imports and OTLP posts all become :class:`Event`, already redacted, and the store takes
nothing else. This module knows no OpenTelemetry and no database.
"""

from __future__ import annotations

from collections import namedtuple
from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
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


# Event types that this version knows by name; any other is a custom one.
CATEGORIES: Final[Mapping[str, Category]] = dict.fromkeys(
    ("deploy", "update", "sync", "remove", "search", "invoke"), Category.USAGE
)


def category_of(event_type: str) -> Category:
    """Return the category of an event type; an unknown type is a custom one."""
    return CATEGORIES.get(event_type, Category.CUSTOM)


def priority_of(event_type: str) -> Priority:
    """Return the default priority of an event type."""
    return Priority.NORMAL
