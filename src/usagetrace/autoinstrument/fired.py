"""How often each target was called in this process, told to the local store when the pipeline is flushed or closed.

A process that is killed has told nothing since it was last flushed. A child that was forked counts from there on: what
came before is its parent's. One that ``multiprocessing`` forked ends without exit handlers, and tells before that by
what ``multiprocessing`` has in their place. Names are redacted and bounded before they leave. Where they are kept is
not known here.
"""

from __future__ import annotations

import os
import sys

from usagetrace import semconv
from usagetrace.autoinstrument import active
from usagetrace.guard import guard
from usagetrace.track import runtime

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
# Of what multiprocessing runs when a child of it ends, the last: the program's own may call what is counted.
_LAST: Final = -1_000_000

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
    _await_child()


# Whether multiprocessing runs `_await_end` in each child of it; what knows of it is copied by a fork, as this is.
_awaiting = False


@guard
def _await_child() -> None:
    """Have children of ``multiprocessing`` tell when they end, if the program has loaded it."""
    global _awaiting
    register = getattr(sys.modules.get("multiprocessing.util"), "register_after_fork", None)
    if register is not None and not _awaiting:
        _awaiting = True
        # Called when such a child begins, however it was started. The first argument is only to live on.
        register(_await_end, _await_end)
        process = sys.modules.get("multiprocessing.process")
        if getattr(process, "parent_process", lambda: None)() is not None:
            # This one has begun already.
            _await_end()


def _await_end(_lives: object = None) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, guard(_tell_active), exitpriority=_LAST)


def _tell_active() -> None:
    """Tell whoever records in this process."""
    pipeline = sys.modules.get("usagetrace.pipeline")
    running = None if pipeline is None else pipeline.active()
    started = runtime.installed()
    if running is not None and running.recorder is not None and started is not None:
        tell(running.recorder, started.redactor, started.service_name)


_await_child()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
