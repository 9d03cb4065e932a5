"""What this package says of itself, in logs and errors: somebody's log exporter may send it, so it is redacted."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from usagetrace import guard as module
from usagetrace.config import Settings, load_settings
from usagetrace.errors import ConfigurationError
from usagetrace.guard import Guard, warn_once

CANARIES = {
    "token": "ghp" + "_" + "Canary7" * 6,
    "password": "password=" + "Canary7-and-more",
    "e-mail": "canary7" + "@example.org",
    "home": "/home/Canary7/shop/plan.txt",
    "directory": "/srv/Canary7/plan.txt",
    "url": "https://ada:" + "Canary7pw" + "@example.org/x",
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Take everything down that a handler of the standard library would write, exceptions included."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(args)s"))
    logger = logging.getLogger("usagetrace")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize("kind", CANARIES)
def test_a_failure_is_noted_without_what_it_held(written: io.StringIO, kind: str) -> None:
    """Type and place of a failure are logged; message, cause and source lines are redacted."""
    canary = CANARIES[kind]
    guard = Guard("a test")
    with guard:
        try:
            raise OSError(2, "no such file", canary)
        except OSError as cause:
            raise ValueError(f"bad {canary}", canary) from cause  # ask Canary7@example.org
    text = written.getvalue()
    assert "DEBUG usagetrace: a test failed" in text
    assert "ValueError" in text
    assert "test_a_failure_is_noted_without_what_it_held" in text
    assert "canary7" not in text.lower()


@pytest.mark.parametrize("kind", CANARIES)
def test_a_warning_says_no_canary(written: io.StringIO, kind: str) -> None:
    """Texts, paths and exceptions among the values of a warning are redacted; numbers stay numbers."""
    canary = CANARIES[kind]
    warn_once(f"test:{canary}", "%s and %s and %s, %d times", canary, Path(f"/srv/{canary}"), ValueError(canary), 3)
    text = written.getvalue()
    assert "WARNING usagetrace: " in text
    assert ", 3 times" in text
    assert "canary7" not in text.lower()


def test_before_redaction_is_there_only_types_are_named(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a function that redacts, a value is named by its type; the same where that function fails."""

    def broken(text: str) -> str:
        raise RuntimeError(text)

    monkeypatch.setattr(module, "_redact", None)
    warn_once("first", "%s and %d", CANARIES["token"], 3)
    monkeypatch.setattr(module, "_redact", broken)
    warn_once("second", "%s and %d", CANARIES["token"], 4)
    text = written.getvalue()
    assert "<str> and 3" in text
    assert "<str: RuntimeError> and 4" in text
    assert "Canary7" not in text


def test_a_handler_that_fails_in_our_hands_does_not_lead_in_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log handler that leads back to the guard, as a redacting log exporter may, is told once."""
    guard = Guard("a test")
    told: list[str] = []

    class Leading(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())
            guard.note(ValueError("again"))

    logger = logging.getLogger("usagetrace")
    handler = Leading()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        guard.note(ValueError("once"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert (len(told), guard.failures) == (1, 2)


def test_a_fault_in_the_settings_shows_no_password() -> None:
    """The value that is wrong is shown, without what is private in it."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"otlp_endpoint": "ftp" + CANARIES["url"][5:], "metrics": CANARIES["token"]})
    text = str(caught.value)
    assert "configure(otlp_endpoint=...)" in text
    assert "example.org" in text
    assert "Canary7" not in text


def test_settings_do_not_show_an_endpoints_password() -> None:
    """The text of the settings, as a debugger or a log shows it, has the endpoint's host and not its password."""
    text = repr(Settings(otlp_endpoint=CANARIES["url"], service_name="shop"))
    assert "service_name='shop'" in text
    assert "example.org" in text
    assert "Canary7" not in text
