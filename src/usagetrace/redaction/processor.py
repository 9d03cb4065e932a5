"""RedactingSpanProcessor: hands a redacted copy of each finished span to the processor that it wraps.

The SDK gives one span object to every processor of a provider, so a redactor that stood beside an exporter
would protect nothing: this one stands before it. It fails closed. It knows no rules and no destination.
"""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from usagetrace.guard import guard
from usagetrace.redaction.door import Door
from usagetrace.redaction.spans import redact_span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from usagetrace.redaction.engine import Redactor


class RedactingSpanProcessor(Door[ReadableSpan, SpanProcessor], SpanProcessor):
    """Redact finished spans before another processor sees them.

    Args:
        next_processor: Gets the redacted spans; for example a ``BatchSpanProcessor``.
        redactor: The engine; None takes the process's shared one.

    A span that can't be redacted is dropped and counted in :attr:`dropped`. Nothing is raised.
    """

    def __init__(self, next_processor: SpanProcessor, redactor: Redactor | None = None) -> None:
        super().__init__(next_processor, redact_span, redactor)
        # The provider's processors when they were last looked at.
        self._neighbours: object = None

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
        redacted = self._redacted(span)
        if redacted is None:
            return
        with guard:
            self._next.on_end(redacted)


def _look_around(span: Span, known: object) -> object:
    """Warn of the neighbours of a processor; nothing is done while they are the ones that are known."""
    if known is not None and getattr(getattr(span, "_span_processor", None), "_span_processors", None) is known:
        return known
    # Imported here: that module builds on this one.
    from usagetrace.redaction.protection import warn_of_neighbours

    return warn_of_neighbours(span, known)
