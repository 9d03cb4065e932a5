"""Telemetry never breaks the host: the one place where failures of this package end.

Code that runs inside somebody else's call is wrapped in :data:`guard`, as a context manager or as a decorator.
What fails there is counted and logged at DEBUG with its traceback; nothing is raised. ``KeyboardInterrupt``
and ``SystemExit`` pass: they are the host's.

:func:`warn_once` is the one way this package speaks up at run time: a warning a process for each cause.

What is logged may leave the machine by somebody's log exporter: every text of it is redacted first, by the function
that :func:`speak_through` was given. This module knows no rules; until it has that function it names types alone.
"""

from __future__ import annotations

import functools
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from types import TracebackType
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


# Makes a text fit to be logged; None until redaction is loaded.
_redact: Callable[[str], str] | None = None
# Set on a thread while it logs: a log handler may lead back into this package.
_speaking = threading.local()


def speak_through(redact: Callable[[str], str]) -> None:
    """Name the function that redacts what this package logs."""
    global _redact
    _redact = redact


def said(value: object) -> object:
    """Return a value as a message may say it: a number as it is, anything else as its redacted text."""
    if value is None or isinstance(value, (int, float)):
        return value
    try:
        return f"<{type(value).__name__}>" if _redact is None else _redact(str(value))
    except Exception as error:  # noqa: BLE001 -- fail closed: a foreign __str__ may raise anything
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _log(level: str, message: str, *args: object) -> None:
    """Log a message, redacted; nothing where this thread is logging already."""
    if getattr(_speaking, "now", False):
        return
    _speaking.now = True
    try:
        getattr(logger(), level)("usagetrace: " + message, *map(said, args))
    finally:
        _speaking.now = False


class _Traceback:
    """An exception whose traceback is written when somebody reads it."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        import traceback

        return "".join(traceback.format_exception(type(self._error), self._error, self._error.__traceback__))


def logger() -> Logger:
    """Return this package's logger. The module that it comes from is imported when there is something to say."""
    import logging

    return logging.getLogger("usagetrace")


class Guard:
    """Context manager and decorator that lets no exception of ours out.

    One object may be shared by threads and entered recursively: it keeps a count, no state of an entry.
    """

    __slots__ = ("_lock", "_what", "failures")

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.RLock()
        self.failures = 0

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        self.note(error)
        return True

    def note(self, error: BaseException) -> None:
        """Count and log one failure."""
        with self._lock:
            self.failures += 1
        try:
            # Asked first: a traceback takes its time to write, and to redact. 10 is DEBUG.
            if logger().isEnabledFor(10):
                # As text, not as `exc_info`: a handler would write the exception out as it is.
                _log("debug", "%s failed; the program is not affected\n%s", self._what, _Traceback(error))
        except Exception:  # noqa: BLE001 -- without a free file descriptor not even logging can be imported
            return

    def __call__(self, function: Callable[P, R]) -> Callable[P, R | None]:
        """Return the function in a form that gives None where it would have raised."""

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- this is the boundary that the package promises
                self.note(error)
                return None

        return guarded


guard = Guard("telemetry")

# Most causes that are told of. Some have in them what a program makes up, an event type say, and it may make up more
# for ever; nobody reads so many, and each would take memory.
_MOST_CAUSES = 500

_warned: set[str] = set()
_warned_lock = threading.RLock()


def warn_once(cause: str, message: str, *args: object) -> None:
    """Log one warning a process for each cause.

    Args:
        cause: What makes two warnings the same, for example ``"store:/path"``.
        message: A ``%`` format that names the thing and the remedy.
        args: Values for the format; all but numbers are redacted.
    """
    with _warned_lock:
        if cause in _warned or len(_warned) > _MOST_CAUSES:
            return
        _warned.add(cause)
        if len(_warned) > _MOST_CAUSES:
            message, args = "that was the last of %d different warnings that this process shows", (_MOST_CAUSES,)
    try:
        _log("warning", message, *args)
    except Exception as error:  # noqa: BLE001 -- as above: what could not be said is counted
        guard.note(error)


def forget_warnings() -> None:
    """Allow every warning once more. For test suites."""
    with _warned_lock:
        _warned.clear()
