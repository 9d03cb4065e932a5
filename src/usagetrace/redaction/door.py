"""Door: what each of our processors and exporters does alike, whatever it carries.

A carrier (a span, a log record) leaves redacted, or not at all and counted; what stands behind the door is asked so
that no failure of it reaches the application. This module knows no rules, no signal and no destination.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.carriers import CarrierCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usagetrace.redaction.engine import Redactor


class Behind(Protocol):
    """What a processor and an exporter have in common: something that stands behind a door."""

    def shutdown(self) -> Any:
        """Stop."""
        ...

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what waits."""
        ...


class BehindExporter(Behind, Protocol):
    """An exporter of spans or log records that stands behind a door."""

    def export(self, batch: Any, /) -> Any:
        """Export a batch."""
        ...


Carrier = TypeVar("Carrier")
Next = TypeVar("Next", bound=Behind)
NextExporter = TypeVar("NextExporter", bound=BehindExporter)
Result = TypeVar("Result")


class Dropped:
    """Counts what could not be redacted and went nowhere. Threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self, error: Exception, number: int = 1) -> None:
        """Count so many things that one error kept from leaving, and note the error."""
        with self._lock:
            self.count += number
        guard.note(error)


class Door(Generic[Carrier, Next]):
    """What stands before a processor or an exporter, and hands it redacted carriers alone.

    Args:
        behind: The processor or exporter.
        redact: Returns a carrier redacted, and raises where it can't be.
        redactor: The engine; None takes the process's shared one.
    """

    def __init__(
        self, behind: Next, redact: Callable[[Carrier, Redactor, CarrierCache], Carrier], redactor: Redactor | None
    ) -> None:
        self._next = behind
        self._redact = redact
        self._redactor = redactor if redactor is not None else default_redactor()
        self._cache = CarrierCache(self._redactor)
        self._dropped = Dropped()

    @property
    def dropped(self) -> int:
        """How many spans or log records could not be redacted and went nowhere."""
        return self._dropped.count

    def shutdown(self) -> None:
        """Shut down what is wrapped."""
        with guard:
            self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush what is wrapped; False where that failed."""
        with guard:
            return self._next.force_flush(timeout_millis)
        return False

    def _redacted(self, carrier: Carrier) -> Carrier | None:
        """Return a carrier redacted; None where it can't be, and has to be dropped."""
        try:
            return self._redact(carrier, self._redactor, self._cache)
        except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted goes no further
            self._dropped.add(error)
            return None


class ExporterDoor(Door[Carrier, NextExporter]):
    """A door before an exporter. Arguments as for :class:`Door`."""

    # Says to `protect` that nothing private passes here.
    redacts_itself = True

    def _hand_on(self, batch: Sequence[Carrier], success: Result, failure: Result) -> Result:
        """Export what can be redacted of a batch; return what the exporter says.

        Args:
            batch: Carriers, not redacted.
            success: Returned where nothing of the batch is left to export.
            failure: Returned where the exporter raises.
        """
        redacted = [copy for carrier in batch if (copy := self._redacted(carrier)) is not None]
        if not redacted:
            return success
        with guard:
            answer: Result = self._next.export(redacted)
            return answer
        return failure
