"""How many of a type were kept in each window, in this process: what keeps the minimum of a rate for what is sent.

The local store has windows over all processes of a tool, and does not use these. Loaded where something is sent, or by
a sampler.
"""

from __future__ import annotations

import os
import threading
import weakref

from usagetrace.semconv import EVENT_PRIORITY, OUTCOME
from usagetrace.track import conventions
from usagetrace.track.rates import SURE_PRIORITIES, Rate, identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from usagetrace.track.local import LocalOperation
    from usagetrace.track.reading import Items

# Windows of a type that are remembered, those used last: calls come in about the order of their beginnings.
_REMEMBERED = 8
# Most types that are remembered.
_MOST = 4096


class Windows:
    """Counts what is kept. For any number of threads."""

    def __init__(self) -> None:
        # By event type: the length and the number of each window, and how many were kept in it.
        self._kept: dict[str, dict[tuple[int, int], int]] = {}
        self._begin_anew()
        _known.add(self)

    def keeps(self, event_type: str, rate: Rate, identity: int, ts_ms: int, *, sure: bool = False) -> bool:
        """Return whether a call is kept: by its rate, or because its window has fewer than the minimum yet.

        Args:
            event_type: The call's.
            rate: Of that type.
            identity: The trace id, or the span id where there is no trace.
            ts_ms: When the call began, in milliseconds since 1970 UTC.
            sure: Whether it is kept in any case.
        """
        if rate.bound is None:
            return True
        kept = sure or rate.keeps(identity)
        # Windows of another length are others.
        window = (rate.window_ms, ts_ms // rate.window_ms)
        with self._lock:
            windows = self._kept.get(event_type)
            if windows is None:
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                windows = self._kept[event_type] = {}
            number = windows.get(window, 0)
            if kept or number < rate.minimum:
                # To the end. The first goes, not the earliest: after a clock was set back that would be the present.
                windows.pop(window, None)
                windows[window] = number + 1
                if len(windows) > _REMEMBERED:
                    windows.pop(next(iter(windows)), None)
                return True
        return False

    def _begin_anew(self) -> None:
        # Re-entrant: a signal handler or a finalizer may come here while this thread is in here.
        self._lock = threading.RLock()
        self._kept = {}


_known: weakref.WeakSet[Windows] = weakref.WeakSet()
# Of what this process sends by itself.
_sent = Windows()


def is_sent(operation: LocalOperation, merged: Mapping[str, Any], items: Items | None, *, failed: bool) -> bool:
    """Return whether a call that ended is sent, as a span or a log event. A failure always is.

    Args:
        operation: The call.
        merged: All of its attributes.
        items: Its artifacts, where it touched several.
        failed: Whether it ended in an error.
    """
    rate = operation.plan.rate
    if rate.bound is None:
        return True
    sure = (
        failed
        or merged.get(EVENT_PRIORITY) in SURE_PRIORITIES
        or any(item.get(OUTCOME) == conventions.ERROR for item in items or ())
    )
    identity = identity_of(operation.trace_id or operation.span_id)
    return _sent.keeps(operation.plan.event_type, rate, identity, operation.started_ns // 1_000_000, sure=sure)


def _in_child() -> None:
    # Another thread of the parent may have held a lock: nobody would ever give it back here.
    for windows in list(_known):
        windows._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
