"""What events carry: one frozen dataclass for each kind of payload.

::

    from usagetrace.payloads import Business, BusinessMetric

    Business(BusinessMetric.INPUT_TOKENS, 1200, "tokens", model="small")

A payload's fields become metadata keys, and are read back from them. To make one never fails for what a field holds,
because that is data of a running program; `payload_of` and `validation` say what does not fit. This module knows the
kinds, `payload_checks` the checking. Which event type has which kind is in the taxonomy (`event_types`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from usagetrace import payload_checks
from usagetrace.errors import EventError
from usagetrace.payload_checks import FLATTENED, LEAST

if TYPE_CHECKING:
    from typing_extensions import Self

    from usagetrace.event_types import EventType

__all__ = [
    "AIBlockUsed",
    "Business",
    "BusinessMetric",
    "ChapterVisit",
    "Compile",
    "Custom",
    "Download",
    "ErrorEvent",
    "ErrorPayload",
    "Payload",
    "Performance",
    "Severity",
    "Usage",
    "View",
    "payload_of",
    "to_metadata",
]


class Severity(str, Enum):
    """How bad an error is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class BusinessMetric(str, Enum):
    """What a business event measures."""

    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOTAL_TOKENS = "total_tokens"
    COST_USD = "cost_usd"
    COST_CREDITS = "cost_credits"
    QUOTA_USED = "quota_used"
    QUOTA_REMAINING = "quota_remaining"


def _not_negative() -> Any:
    return field(default=None, metadata={LEAST: 0})


@dataclass(frozen=True)
class Payload:
    """Base of the payloads of this package."""

    def __post_init__(self) -> None:
        payload_checks.settle(self)

    def to_metadata(self) -> dict[str, Any]:
        """Return the metadata keys and values; what is None is left out."""
        return payload_checks.write(self)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the payload that metadata describes; keys that it has no field for are left aside.

        Raises:
            EventError: A field is missing, or does not fit; every such field is named.
        """
        found, faults = payload_checks.read(cls, metadata)
        if faults:
            raise EventError(f"{cls.__name__}: {'; '.join(faults)}")
        payload: Self = found
        return payload


@dataclass(frozen=True)
class Usage(Payload):
    """Something that a person did.

    Attributes:
        feature: What was used.
        action: What was done with it.
        target: What it was done to.
        duration_ms: How long it took, in milliseconds.
        success: Whether it worked.
        extra: Further keys; they stand beside the others in the metadata.
    """

    feature: str
    action: str
    target: str | None = None
    duration_ms: float | None = _not_negative()
    success: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict, metadata={FLATTENED: True})


@dataclass(frozen=True)
class Performance(Payload):
    """A measurement.

    Attributes:
        metric: What was measured.
        value: The number.
        unit: Of the number, as in ``ms`` or ``By``.
        tags: What the measurement can be grouped by.
    """

    metric: str
    value: float
    unit: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ErrorPayload(Payload):
    """A failure.

    Attributes:
        code: A short name that stays the same for the same fault.
        message: What happened; redacted before it is stored.
        severity: How bad it is.
        component: Where it happened.
        stack_trace: Where in the code, if that may be recorded.
        recovered: Whether the program went on.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    component: str = ""
    stack_trace: str | None = None
    recovered: bool = False


@dataclass(frozen=True)
class Business(Payload):
    """An amount that somebody pays for, or that is limited.

    Attributes:
        metric_type: What is measured.
        value: How much.
        unit: Of the amount: a currency, or what is counted.
        backend: Who provided it.
        model: The model that was used.
    """

    metric_type: BusinessMetric
    value: float
    unit: str
    backend: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Custom(Payload):
    """Data of any structure.

    Attributes:
        data: A JSON value.
    """

    data: Any


@dataclass(frozen=True)
class Download(Payload):
    """An artifact was fetched.

    Attributes:
        version: Of the artifact.
        size_bytes: How much was sent.
        duration_ms: How long it took, in milliseconds.
        success: Whether all of it arrived.
        cache_hit: Whether it came from a cache.
        client: Program that fetched it.
        client_version: Version of that program.
        error_message: What went wrong; redacted before it is stored.
    """

    version: str | None = None
    size_bytes: int | None = _not_negative()
    duration_ms: float | None = _not_negative()
    success: bool = True
    cache_hit: bool | None = None
    client: str | None = None
    client_version: str | None = None
    error_message: str | None = None


@dataclass(frozen=True)
class View(Payload):
    """An artifact was looked at.

    Attributes:
        version: Of the artifact.
        source: Where from: ``web``, ``api`` or ``cli``, say.
        page_type: What was shown: ``list``, ``detail`` or ``search``, say.
        referrer: What led there.
        duration_ms: How long it took to show, in milliseconds.
        success: Whether it could be shown.
        size_bytes: How much was sent.
        cache_hit: Whether it came from a cache.
        client: Program that showed it.
    """

    version: str | None = None
    source: str | None = None
    page_type: str | None = None
    referrer: str | None = None
    duration_ms: float | None = _not_negative()
    success: bool = True
    size_bytes: int | None = _not_negative()
    cache_hit: bool | None = None
    client: str | None = None


@dataclass(frozen=True)
class Compile(Payload):
    """An artifact was built.

    Attributes:
        version: Of the artifact.
        size_bytes: Of what was built.
        file_count: How many files were built.
        duration_ms: How long it took, in milliseconds.
        success: Whether it worked.
        cache_hit: Whether the result came from a cache.
        client: Program that asked for it.
        compiler_version: Version of the compiler.
        error_type: Class of the failure.
        error_message: What went wrong; redacted before it is stored.
    """

    version: str | None = None
    size_bytes: int | None = _not_negative()
    file_count: int | None = _not_negative()
    duration_ms: float | None = _not_negative()
    success: bool = True
    cache_hit: bool | None = None
    client: str | None = None
    compiler_version: str | None = None
    error_type: str | None = None
    error_message: str | None = None


@dataclass(frozen=True)
class AIBlockUsed(Payload):
    """A block of a page that answers by a model was used.

    Attributes:
        user_id: Who.
        chapter_id: Where: the chapter.
        section_id: And its section.
        block_type: Which block, as in ``ask-question``.
        query: What was asked; redacted before it is stored.
        timestamp: When, as the application tells it.
    """

    user_id: str | int
    chapter_id: str | int
    section_id: str | int | None
    block_type: str
    query: str | None
    timestamp: str | float | None = None


@dataclass(frozen=True)
class ChapterVisit(Payload):
    """A chapter was opened.

    Attributes:
        user_id: Who.
        chapter_id: Which chapter.
        timestamp: When, as the application tells it.
    """

    user_id: str | int
    chapter_id: str | int
    timestamp: str | float | None = None


@dataclass(frozen=True)
class ErrorEvent(Payload):
    """A request failed.

    Attributes:
        error_type: Class of the failure.
        error_message: What went wrong; redacted before it is stored.
        chapter_id: Where: the chapter.
        section_id: And its section.
        timestamp: When, as the application tells it.
    """

    error_type: str
    error_message: str
    chapter_id: str | int | None = None
    section_id: str | int | None = None
    timestamp: str | float | None = None


# Kinds that a whole category has: beside them, keys and values of any kind may be given, or none.
_GENERAL: Final = frozenset((Usage, Performance, ErrorPayload, Business, Custom))
# Of such a kind, but worth nothing without what it says.
_NEEDED: Final = frozenset(("tokens_consumed", "error_occurred"))


def to_metadata(payload: object) -> dict[str, Any]:
    """Return any payload as metadata: one of ours, any dataclass instance, or a mapping.

    Raises:
        EventError: It is nothing of these.
    """
    if isinstance(payload, Mapping):
        return {str(key): value for key, value in payload.items()}
    if is_payload(payload):
        return payload_checks.write(payload)
    raise EventError(f"payload: expected a payload, a dataclass or a mapping, got {type(payload).__name__}")


def is_payload(value: object) -> bool:
    """Return whether a value is an instance of a dataclass."""
    return hasattr(type(value), "__dataclass_fields__")


def payload_of(event_type: EventType, given: object) -> tuple[Any, list[str]]:
    """Return what was given with an event as the payload of its type, and what does not fit.

    Nothing and any keys may be given with types whose payload is that of a whole category; of ``tokens_consumed`` and
    ``error_occurred`` the payload is needed, as is that of types with a payload of their own.

    Args:
        event_type: Says which payload.
        given: A payload, a mapping, or None.

    Returns:
        The payload, None where the type has none or something is wrong; and one sentence for each fault, as in
        ``value: missing; expected a number``: the field first, or ``payload``, and never a value.
    """
    kind = event_type.payload
    if is_payload(given):
        return _given_payload(kind, given)
    if given is not None and not isinstance(given, Mapping):
        return None, [f"payload: expected a payload or a mapping, got {type(given).__name__}"]
    metadata: Mapping[str, Any] = given or {}
    if kind is None:
        return None, []
    if kind in _GENERAL and event_type.name not in _NEEDED and not _means(kind, metadata):
        return None, []
    return payload_checks.read(kind, metadata)


def _given_payload(kind: type[Any] | None, given: object) -> tuple[Any, list[str]]:
    if kind is None or (isinstance(given, Custom) and kind in _GENERAL):
        return given, []
    if not isinstance(given, kind):
        return None, [f"payload: expected {kind.__name__}, got {type(given).__name__}"]
    faults = payload_checks.faults_of(given)
    return (None if faults else given), faults


def _means(kind: type[Any], metadata: Mapping[str, Any]) -> bool:
    """Return whether keys are meant as a payload: one of them is a field that it can't do without."""
    return any(name in metadata for name in payload_checks.required_names(kind))
