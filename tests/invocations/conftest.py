"""What the tests of invocations look at: the events that were recorded, and those that would be of what never ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.invocations import reader
from usagetrace.redaction import default_redactor
from usagetrace.testing import FixedClock
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime


class Recorded:
    """What a runtime of local mode was given, with a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FixedClock(step_ms=0)
        self.events: list[Event] = []
        self.begun: list[Event] = []
        self.runtime = Runtime(
            None,
            redactor=default_redactor(),
            clock=self.clock.wall_ns,
            ticks=self.clock.tick_ns,
            record=self._take,
            record_start=self._take_start,
            service_name="tool",
        )

    def _take(self, rows: list[tuple[Any, ...]]) -> bool:
        self.events.extend(map(Event._make, rows))
        return True

    def _take_start(self, row: tuple[Any, ...]) -> bool:
        self.begun.append(Event._make(row))
        return True

    def one(self) -> Event:
        """Return the only event."""
        assert len(self.events) == 1, self.events
        return self.events[0]

    def sessions(self) -> list[str | None]:
        """Return the session of each event."""
        return [event.session_id for event in self.events]


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time: reads wait for the spool as long as that takes, and no query is slow."""
    monkeypatch.setattr(reader, "BUDGET_S", 60.0)
    monkeypatch.setattr(reader, "_ticks", lambda: 0)


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Record in memory, redacted, as local mode does."""
    made = Recorded()
    runtime.install(made.runtime)
    yield made
    runtime.install(None)
