"""Which session a call belongs to, where its own fields say none: that of its context, else that of the environment.

Outside of both a call has no session, but for an invocation, which then has the one that is made for its process. What
is here goes through redaction where it is recorded, like any value.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Final

# Names the session of all calls of a process, and of the processes that it starts.
VARIABLE: Final = "USAGETRACE_SESSION_ID"


class _Within:
    """A block that names a session, with the one around it."""

    __slots__ = ("below", "block", "session_id")

    def __init__(self, block: use, session_id: object, below: _Within | None) -> None:
        self.block = block
        self.session_id = session_id
        self.below = below


# The innermost block that names a session, in this thread or task. Read by each tracked call.
innermost: ContextVar[_Within | None] = ContextVar("usagetrace-session", default=None)


class use:  # noqa: N801 -- used as `with session("..."):`
    """Name the session of everything that is tracked inside a ``with`` block, tasks that begin there included.

    One object may be entered again, and by several threads or tasks. A new thread begins outside of every block.

    Args:
        session_id: The session; None or an empty text leaves things as they are.
    """

    __slots__ = ("_session_id",)

    def __init__(self, session_id: object) -> None:
        self._session_id = session_id

    def __enter__(self) -> None:
        if self._session_id is not None and not (type(self._session_id) is str and not self._session_id):
            innermost.set(_Within(self, self._session_id, innermost.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not by a token: a generator may be closed in another context than its block was entered in.
        innermost.set(_without(innermost.get(), self))


def _without(within: _Within | None, block: use) -> _Within | None:
    """Return the blocks that are open when one of them has ended, which need not be the innermost."""
    above: list[_Within] = []
    found = within
    while found is not None and found.block is not block:
        above.append(found)
        found = found.below
    if found is None:
        return within
    left = found.below
    for one in reversed(above):
        left = _Within(one.block, one.session_id, left)
    return left


def of_environment() -> str | None:
    """Return the session that the environment names; None where it names none."""
    return os.environ.get(VARIABLE) or None


def current() -> object | None:
    """Return the session of the context, else of the environment; None where neither names one."""
    within = innermost.get()
    return of_environment() if within is None else within.session_id


# The session of this process, once somebody asked for it.
_of_process: list[str] = []


def process_session() -> str:
    """Return the session that is made for this process: the same in all of its threads, another in a forked child."""
    if not _of_process:
        # Whoever comes second appends in vain.
        _of_process.append(os.urandom(16).hex())
    return _of_process[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_of_process.clear)
