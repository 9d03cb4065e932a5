"""How often each target was called in this process, told to the local store when the pipeline is flushed or closed.

A process that is killed has told nothing since it was last flushed. A child that was forked counts from there on: what
came before is its parent's. Names are redacted and bounded before they leave. Where they are kept is not known here.
"""

from __future__ import annotations

import os

from usagetrace import semconv
from usagetrace.autoinstrument import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final, Protocol

    from usagetrace.autoinstrument.active import State
    from usagetrace.track.runtime import Redacts

    class Takes(Protocol):
        """What is needed of a recorder."""

        def submit_calls(self, counts: Mapping[str, int], service_name: str = "") -> bool:
            """Take how often functions were called."""
            ...


# Functions of one process that are told of, those that were called most.
MOST: Final = 1000

# By the target's function: its state, and the calls of it that were told of, or are the parent's.
_told: dict[str, tuple[State, int]] = {}
# Calls of targets that are no longer in force, and were not told of yet.
_left: dict[str, int] = {}


def tell(recorder: Takes, redactor: Redacts, service_name: str = "") -> bool:
    """Tell a recorder of the calls since this was last done.

    Args:
        recorder: Takes them.
        redactor: Sees each function's name.
        service_name: The tool, redacted.

    Returns:
        True where there was nothing to tell, or it was taken. What was not taken is told the next time.
    """
    # Imported here: what is only watched for needs no events.
    from usagetrace.events import NAME_LIMIT

    counts = _take(active.instrumentation.states())
    for name, calls in _left.items():
        counts[name] = counts.get(name, 0) + calls
    _left.clear()
    shown: dict[str, int] = {}
    for name, calls in sorted(counts.items(), key=lambda pair: -pair[1])[:MOST]:
        redacted = redactor.redact(semconv.CODE_FUNCTION_NAME, name)
        if isinstance(redacted, str):
            shown[redacted[:NAME_LIMIT]] = shown.get(redacted[:NAME_LIMIT], 0) + calls
    taken = recorder.submit_calls(shown, service_name) if shown else True
    if not taken:
        _left.update(counts)
    return taken


def settle(states: Iterable[State]) -> None:
    """Keep the calls of targets that are about to be taken back, to be told of later. Twice is as good as once."""
    for name, calls in _take(states).items():
        _left[name] = _left.get(name, 0) + calls


def name_of(function: str) -> str:
    """Return a target's function as attributes name functions: ``skillshelf.shelf.Shelf.deploy``."""
    return function.replace(":", ".")


def _take(states: Iterable[State]) -> dict[str, int]:
    """Return the calls of targets that were not told of yet; they count as told."""
    counts: dict[str, int] = {}
    for state in states:
        function, calls = state.target.function, state.calls
        known, told = _told.get(function, (None, 0))
        # A target that was put in force anew counts from zero.
        new = calls - told if known is state else calls
        _told[function] = state, calls
        if new > 0:
            counts[name_of(function)] = counts.get(name_of(function), 0) + new
    return counts


def _in_child() -> None:
    """Leave to the parent what was called before the fork."""
    _left.clear()
    for state in active.instrumentation.states():
        _told[state.target.function] = state, state.calls


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
