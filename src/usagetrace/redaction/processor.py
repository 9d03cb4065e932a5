"""RedactingSpanProcessor: hands a redacted copy of each finished span to the processor that it wraps.

The SDK gives one span object to every processor of a provider, so a redactor that stood beside an exporter
would protect nothing: this one stands before it. It fails closed. It knows no rules and no destination.
"""

from __future__ import annotations

import threading

from opentelemetry.sdk.trace import SpanProcessor

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.carriers import CarrierCache
from usagetrace.redaction.spans import redact_span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from usagetrace.redaction.engine import Redactor


class RedactingSpanProcessor(SpanProcessor):
    """Redact finished spans before another processor sees them.

    Args:
        next_processor: Gets the redacted spans; for example a ``BatchSpanProcessor``.
        redactor: The engine; None takes the process's shared one.

    A span that can't be redacted is dropped and counted in :attr:`dropped`. Nothing is raised.
    """

    def __init__(self, next_processor: SpanProcessor, redactor: Redactor | None = None) -> None:
        self._next = next_processor
        self._redactor = redactor if redactor is not None else default_redactor()
        self._cache = CarrierCache(self._redactor)
        self._lock = threading.Lock()
        self._dropped = 0
        # The provider's processors when they were last looked at.
        self._neighbours: object = None

    @property
    def dropped(self) -> int:
        """How many spans could not be redacted and went nowhere."""
        return self._dropped

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Tell the wrapped processor that a span began; warn once where a processor beside this one sees raw spans.

        The wrapped processor gets the live span here, so that it can set attributes; what it sets is redacted later.
        """
        with guard:
            self._neighbours = _look_around(span, self._neighbours)
        with guard:
            self._next.on_start(span, parent_context)

    def _on_ending(self, span: Span) -> None:
        with guard:
            self._next._on_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a redacted copy of a finished span on; the span itself where nothing in it is private."""
        try:
            redacted = redact_span(span, self._redactor, self._cache)
        except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted goes no further
            with self._lock:
                self._dropped += 1
            guard.note(error)
            return
        with guard:
            self._next.on_end(redacted)

    def shutdown(self) -> None:
        """Shut the wrapped processor down."""
        with guard:
            self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the wrapped processor; False where that failed."""
        with guard:
            return self._next.force_flush(timeout_millis)
        return False


def _look_around(span: Span, known: object) -> object:
    """Warn of the neighbours of a processor; nothing is done while they are the ones that are known."""
    if known is not None and getattr(getattr(span, "_span_processor", None), "_span_processors", None) is known:
        return known
    # Imported here: that module builds on this one.
    from usagetrace.redaction.protection import warn_of_neighbours

    return warn_of_neighbours(span, known)
