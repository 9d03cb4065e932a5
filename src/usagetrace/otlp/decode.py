"""OTLP requests in, rows and metric points out: parsed, mapped, redacted, bounded.

This module owns what becomes of a request as a whole. Everything in the result may be stored as it is. Identity: a span
has its own ids; a log event has those of :mod:`usagetrace.otlp.calls`; a point those of :mod:`usagetrace.otlp.points`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from usagetrace import semconv
from usagetrace.errors import RedactionError
from usagetrace.otlp import lean
from usagetrace.otlp.answers import answer, response, status
from usagetrace.otlp.attributes import AttributeReader
from usagetrace.otlp.calls import Around, CallReader, Row
from usagetrace.otlp.faults import MalformedError, TooManyError
from usagetrace.otlp.limits import Limits
from usagetrace.otlp.refused import Refused, RefusedError
from usagetrace.otlp.signals import LOGS, METRICS, TRACES
from usagetrace.otlp.values import read_pair
from usagetrace.redaction import Redactor, default_redactor
from usagetrace.redaction.engine import whose

if TYPE_CHECKING:
    from usagetrace.otlp.mapping import Mapping
    from usagetrace.redaction.policy import Policy
    from usagetrace.store.streams import ReceivedPoint

__all__ = [
    "LOGS",
    "METRICS",
    "TRACES",
    "Decoded",
    "Decoder",
    "Limits",
    "MalformedError",
    "TooManyError",
    "answer",
    "response",
    "status",
]

_SERVICE: bytes = semconv.SERVICE_NAME.encode()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a request held.

    Attributes:
        rows: Fields of events, in the order of :class:`usagetrace.events.Event`: redacted, clean and bounded.
        points: Metric points, redacted.
        ignored: Spans, records or points that are no usage events: accepted, and not kept.
        rejected: Those of ours that can't be kept.
        reasons: Why, at most a few; no text of the sender's stands in them.
    """

    rows: list[Row] = field(default_factory=list)
    points: list[ReceivedPoint] = field(default_factory=list)
    ignored: int = 0
    rejected: int = 0
    reasons: tuple[str, ...] = ()


class Decoder:
    """Reads requests. Threads may share one: it remembers texts and attributes, which mostly come again.

    Args:
        redactor: Sees everything that is kept; by default the process's own.
        mappings: Make events of other instrumentations' spans and log events; the first that fits is taken.
        limits: How much a request may hold.
    """

    def __init__(
        self, *, redactor: Redactor | None = None, mappings: Sequence[Mapping] = (), limits: Limits | None = None
    ) -> None:
        self._redactor = redactor if redactor is not None else default_redactor()
        self._attributes = AttributeReader(self._redactor)
        self._mappings = tuple(mappings)
        self._limits = limits if limits is not None else Limits()

    def __reduce__(self) -> tuple[Callable[..., Decoder], tuple[Any, ...]]:
        # For another process: by which rules it reads, and not what it remembers.
        if not self.is_portable():
            raise TypeError("what this decoder reads by is of this process alone")
        return _again, (whose(self._redactor), self._redactor.policy, self._mappings, self._limits)

    def is_portable(self) -> bool:
        """Return whether another process can read as this one does: a policy's callback is of this process alone."""
        policy = self._redactor.policy
        # Of a redactor of another kind nobody knows what it is made of: one that lets nothing out must not become one
        # that does.
        known = type(self) is Decoder and type(self._redactor) is Redactor
        return known and (policy is None or policy.callback is None)

    def decode(self, signal: str, body: bytes, *, json: bool = False) -> Decoded:
        """Return what a request holds.

        Args:
            signal: :data:`TRACES`, :data:`METRICS` or :data:`LOGS`.
            body: The request, not compressed.
            json: Whether it is in OTLP's JSON form.

        Raises:
            MalformedError: It can't be parsed.
            TooManyError: It holds more than a request may.
        """
        if json:
            from usagetrace.otlp.jsonform import to_protobuf

            body = to_protobuf(signal, body, self._limits.depth)
        self._attributes.settle()
        if signal == METRICS:
            from usagetrace.otlp.points import read_points

            return Decoded(**read_points(body, self._redactor, self._limits))
        if signal == TRACES:
            return self._calls(lean.parse(lean.CLASSES["Traces"], body).resource_spans, "scope_spans", "spans")
        if signal == LOGS:
            return self._calls(lean.parse(lean.CLASSES["Logs"], body).resource_logs, "scope_logs", "log_records")
        raise ValueError(f"signal must be {TRACES}, {METRICS} or {LOGS}, not {signal!r}")

    def read(self, signal: str, request: Any) -> Decoded:
        """Return what a request holds that was parsed already. Arguments and errors as for :meth:`decode`.

        Args:
            signal: As for :meth:`decode`.
            request: The standard message, ``ExportTraceServiceRequest`` or one of its likes.
        """
        return self.decode(signal, request.SerializeToString())

    def _calls(self, groups: Sequence[Any], scopes: str, members: str) -> Decoded:
        """Return the events of spans or of log records."""
        total = sum(len(getattr(scope, members)) for group in groups for scope in getattr(group, scopes))
        if total > self._limits.members:
            raise TooManyError(f"a request may have {self._limits.members} {members.replace('_', ' ')}, not {total}")
        reader = CallReader(self._attributes, self._limits)
        read = reader.span if members == "spans" else reader.record
        rows: list[Row] = []
        ignored, refused = 0, Refused(self._limits.faults)
        for group in groups:
            try:
                service, pairs = self._service(group.resource), group.resource.attributes
            except RedactionError:
                refused.add(
                    "a resource can't be redacted", sum(len(getattr(s, members)) for s in getattr(group, scopes))
                )
                continue
            for scope in getattr(group, scopes):
                fitting = [mapping for mapping in self._mappings if mapping.fits_scope(scope.scope.name)]
                ignored += _read_all(
                    read, getattr(scope, members), Around(service, scope.scope.name, pairs, fitting), rows, refused
                )
                if len(rows) > self._limits.rows:
                    raise TooManyError(f"a request may become {self._limits.rows} events, and this one becomes more")
        return Decoded(rows, [], ignored, refused.count, refused.reasons())

    def _service(self, resource: Any) -> str | None:
        """Return the name of the tool that a resource says, redacted; None where it says none."""
        for raw in resource.attributes:
            if _SERVICE in raw:
                name, value = read_pair(raw)
                if name == semconv.SERVICE_NAME:
                    return self._attributes.text(semconv.SERVICE_NAME, value)
        return None


def _again(
    who: tuple[tuple[str, ...], str, str], policy: Policy | None, mappings: Sequence[Mapping], limits: Limits
) -> Decoder:
    """Return a decoder like the one that was pickled."""
    homes, user, host = who
    return Decoder(redactor=Redactor("", user, host, homes, policy=policy), mappings=mappings, limits=limits)


def _read_all(
    read: Callable[[Any, Around], list[Row]], members: Sequence[Any], around: Around, rows: list[Row], refused: Refused
) -> int:
    """Read all members of a scope into rows; return how many are no events."""
    ignored = 0
    for member in members:
        try:
            made = read(member, around)
        except RefusedError as error:
            refused.add(str(error))
            continue
        if made:
            rows.extend(made)
        else:
            ignored += 1
    return ignored
