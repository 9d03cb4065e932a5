"""A target of a framework put in force, and what was recorded, for the tests of frameworks."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.target import Target
from usagetrace.events import Event
from usagetrace.testing import capture_events


def load(name: str) -> ModuleType:
    """Import a module as a program does."""
    return importlib.import_module(name)


def load_anew(name: str) -> ModuleType:
    """Import a module that may have been imported already, as another process would."""
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@contextlib.contextmanager
def in_force(
    framework: str, function: str, events: Mapping[str, str] | None = None, **fields: Any
) -> Iterator[Instrumentation]:
    """Put one target in force."""
    instrumentation = Instrumentation()
    instrumentation.begin([Target(function, "", fields, where="here", framework=framework, events=events)])
    try:
        yield instrumentation
    finally:
        instrumentation.end()


@contextlib.contextmanager
def recorded() -> Iterator[list[Event]]:
    """Catch the events of what runs inside."""
    with capture_events() as events:
        yield events


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    """Return of each event its type, its artifact, and how it ended."""
    return [(event.event_type, event.artifact_name, outcome_of(event)) for event in events]


def outcome_of(event: Event) -> str:
    """Return how an event ended: its outcome, else its error type, else its status."""
    said = (event.metadata or {}).get("outcome")
    return str(said or event.error_type or event.status)
