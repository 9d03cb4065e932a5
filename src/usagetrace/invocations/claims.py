"""Which process completes an invocation that was open when its process forked: the first one, and no other.

This module owns the semaphores that parent and children share. An invocation that sees no fork costs none.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from usagetrace.guard import guard

if TYPE_CHECKING:
    # Claims that nobody has made yet, by their identity.
    Open = weakref.WeakValueDictionary[int, "Claim"]


class Claim:
    """The right to complete one invocation: the first thread, of the first process, that asks gets it."""

    __slots__ = ("__weakref__", "_first", "_shared", "pid")

    def __init__(self) -> None:
        # The process that the invocation began in.
        self.pid: Final = os.getpid()
        self._first = [True]
        # Shared with forked children, once there are any.
        self._shared: Any = None
        _open[id(self)] = self

    def make(self) -> bool:
        """Return whether the caller is the first to ask."""
        try:
            # In one step: of two threads one fails.
            self._first.pop()
        except IndexError:
            return False
        _open.pop(id(self), None)
        shared = self._shared
        if shared is None:
            # Where nothing could be shared a fork leaves it to the process that began it.
            return os.getpid() == self.pid
        return bool(shared.acquire(block=False))

    def is_elsewhere(self) -> bool:
        """Return whether this is the copy of a forked child, and the process that began it still lives."""
        if os.getpid() == self.pid:
            return False
        if _forker == self.pid:
            # A child gets another parent as soon as its own has ended, also where nobody has waited for that yet.
            return os.getppid() == self.pid
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            # It is there, and somebody else's.
            return True
        return True

    def share(self) -> None:
        """Have the children that are about to be forked ask in one place with this process."""
        if self._first and self._shared is None:
            # Imported here: few programs fork inside an invocation. Of a context that forks, as only that one's locks
            # have no name that somebody would have to remove.
            from multiprocessing import get_context

            self._shared = get_context("fork").Lock()


# So many are shared with children at most; the spool follows no more of one process, and a fork must not take long.
_MOST_SHARED: Final = 256

_open: Open = weakref.WeakValueDictionary()
# The last process that forked, of this one and those that it comes from: in a child, its parent.
_forker = 0


def _before_fork() -> None:
    global _forker
    _forker = os.getpid()
    for reference in _open.valuerefs()[:_MOST_SHARED]:
        claim = reference()
        if claim is not None:
            with guard:
                claim.share()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
