"""The guard: what fails inside it ends there, and what is the host's passes."""

from __future__ import annotations

import logging
import threading

import pytest

from usagetrace import guard as guard_module
from usagetrace.guard import Guard, warn_once
from usagetrace.guard import guard as shared


@pytest.mark.parametrize("error", [ValueError("x"), LookupError("x"), MemoryError(), RecursionError(), StopIteration()])
def test_exceptions_end_in_the_guard(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An exception is counted and logged at DEBUG with its traceback, by block and by decorator, and not raised."""
    caplog.set_level(logging.DEBUG, "usagetrace")
    guard = Guard("a test")

    @guard
    def fails() -> int:
        raise error

    with guard:
        raise error
    assert fails() is None
    assert guard.failures == 2
    assert [(r.levelno, r.exc_info) for r in caplog.records] == [(logging.DEBUG, None)] * 2
    assert [f"{type(error).__name__}" in record.getMessage() for record in caplog.records] == [True] * 2
    assert ["Traceback" in record.getMessage() for record in caplog.records] == [True] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_the_hosts_passes(error: BaseException) -> None:
    """KeyboardInterrupt, SystemExit and their like pass, the same object, uncounted."""
    guard = Guard("a test")
    with pytest.raises(type(error)) as caught, guard:
        raise error
    assert caught.value is error
    assert guard.failures == 0


def test_what_cannot_be_logged_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even logging can be loaded, as without a free file descriptor, nothing is raised either."""

    def unavailable() -> logging.Logger:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("usagetrace.guard.logger", unavailable)
    guard = Guard("a test")
    with guard:
        raise ValueError("x")
    before = shared.failures
    warn_once("what cannot be logged", "%s", "said")
    assert (guard.failures, shared.failures) == (1, before + 1)


def test_guarded_function_keeps_its_name_and_result() -> None:
    """A guarded function returns its result and is called what it was."""

    @Guard("a test")
    def answer(base: int) -> int:
        """Answer."""
        return base + 2

    assert (answer(40), answer.__name__, answer.__doc__) == (42, "answer", "Answer.")


def test_one_guard_serves_threads_and_itself() -> None:
    """One guard entered recursively and by threads counts each failure once."""
    guard = Guard("a test")

    def fail() -> None:
        for _ in range(50):
            with guard, guard:
                raise ValueError("x")

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guard.failures == 200


def test_warnings_are_given_once_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    """A cause is warned of once a process, another cause again."""
    for number in range(3):
        warn_once("a", "first %s", number)
        warn_once("b", "second")
    assert [r.getMessage() for r in caplog.records] == ["usagetrace: first 0", "usagetrace: second"]


def test_warnings_of_causes_that_a_program_makes_up_end(caplog: pytest.LogCaptureFixture) -> None:
    """Of ever new causes some hundreds are shown, the last of them says so, and no more are remembered."""
    for number in range(3000):
        warn_once(f"event:page-{number}", "event page-%d: nobody registered this type", number)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 501
    assert "page-499:" in messages[-2]
    assert "the last of 500" in messages[-1]
    assert len(guard_module._warned) == 501
