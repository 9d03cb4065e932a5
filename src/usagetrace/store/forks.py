"""What a fork must not share: connections, locks and threads of the parent.

This module owns the handlers that the interpreter calls around ``os.fork``; what is to be done is asked of each
object. A connection is closed before the fork and opened again where it is needed. One that could not be closed
in time is never used or closed in the child, and its file is not opened there either: SQLite keeps one record of
locks for all connections of a process to a file, the child inherits that record without the locks themselves, and
a new connection would believe in locks that other processes don't see.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from typing import Protocol

from usagetrace.guard import guard


class ForkAware(Protocol):
    """Something whose threads, locks or connections a child must not take over."""

    def before_fork(self) -> bool:
        """Come to rest, within a moment; return whether ``after_fork_in_parent`` is to be called."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self, *, at_rest: bool) -> None:
        """Give up what is the parent's; ``at_rest`` tells whether ``before_fork`` had said yes."""


_known: weakref.WeakSet[ForkAware] = weakref.WeakSet()
# Two threads may fork at once: each wakes what it brought to rest.
_local = threading.local()


# Files of connections that a parent had in use at the fork.
_inherited: set[str] = set()


def remember(thing: ForkAware) -> None:
    """Tell an object about forks for as long as it lives."""
    _known.add(thing)


def is_inherited(path: str) -> bool:
    """Return whether a file was in use at the fork that made this process, so that it can't be opened here."""
    return path in _inherited


def abandon(path: str, connection: sqlite3.Connection | None) -> None:
    """Keep a parent's connection from ever being used or closed in this child, and its file from being opened."""
    _inherited.add(path)
    if connection is not None:
        # Imported here: only a child of a process that forked in the middle of a transaction pays for it.
        import ctypes

        # A list would be emptied at the end of the interpreter, and the connection closed with it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def prepare() -> None:
    """Bring everything to rest for a fork that has begun, where this module was loaded too late to be asked."""
    if _resting() is None:
        _before()


def _resting() -> list[ForkAware] | None:
    """Return what this thread brought to rest for the fork that has begun; None before it was asked."""
    resting: list[ForkAware] | None = getattr(_local, "resting", None)
    return resting


def _before() -> None:
    _local.resting = resting = []
    for thing in list(_known):
        with guard:
            if thing.before_fork():
                resting.append(thing)


def _in_parent() -> None:
    resting, _local.resting = _resting() or (), None
    for thing in resting:
        with guard:
            thing.after_fork_in_parent()


def _in_child() -> None:
    resting, _local.resting = _resting() or (), None
    for thing in list(_known):
        with guard:
            thing.after_fork_in_child(at_rest=any(thing is each for each in resting))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
