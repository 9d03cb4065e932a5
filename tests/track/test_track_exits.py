"""Exceptions by which a command line ends as it means to: success, and what its user broke off."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest

from usagetrace import track
from usagetrace.exporters.convert import events_from_span


def typer_exit(code: int) -> BaseException:
    """Return an exit as a package makes it that carries click within itself."""
    base = type("Exit", (RuntimeError,), {"__module__": "typer._click.exceptions"})
    error: BaseException = type("Exit", (base,), {"__module__": "tool.cli"})("planted")
    error.exit_code = code  # type: ignore[attr-defined]
    return error


EXITS: dict[str, tuple[Any, str, str | None, dict[str, Any]]] = {
    "SystemExit(0)": (lambda: SystemExit(0), "ok", None, {"success": True}),
    "SystemExit(None)": (lambda: SystemExit(None), "ok", None, {"success": True}),
    "SystemExit(3)": (lambda: SystemExit(3), "error", "SystemExit", {"success": False}),
    "click Exit(0)": (lambda: click.exceptions.Exit(0), "ok", None, {"success": True}),
    "click Exit(2)": (lambda: click.exceptions.Exit(2), "error", "click.exceptions.Exit", {"success": False}),
    "typer Exit(0)": (lambda: typer_exit(0), "ok", None, {"success": True}),
    "typer Exit(1)": (lambda: typer_exit(1), "error", "tool.cli.Exit", {"success": False}),
    "click Abort": (click.Abort, "ok", None, {"success": False, "outcome": "cancelled"}),
    "KeyboardInterrupt": (KeyboardInterrupt, "error", "KeyboardInterrupt", {"success": False}),
    "another Exit": (
        lambda: type("Exit", (Exception,), {"__module__": "tool", "exit_code": 0})(),
        "error",
        "tool.Exit",
        {"success": False},
    ),
    "click UsageError": (
        lambda: click.UsageError("planted"), "error", "click.exceptions.UsageError", {"success": False}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXITS)
def test_how_a_call_ended_that_left_by(spans: Any, name: str) -> None:
    """The exception passes untouched, and the event says whether it was success, a failure or a cancellation."""
    make, status, error_type, metadata = EXITS[name]
    error = make()

    @track.deploy(outcome="$result")
    def leaves(artifact_name: str) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        leaves("canvas")
    assert caught.value is error
    ((event,),) = [events_from_span(span, "t") for span in spans.finished]
    assert (event.status, event.error_type, dict(event.metadata or {})) == (status, error_type, metadata)


def test_what_was_asked_for_and_broken_off_is_cancelled(spans: Any) -> None:
    """Where the user breaks a call off, each artifact that was asked for and not done is cancelled."""

    @track.remove(each="$result", requested="$names", artifact_name="$item")
    def remove(names: list[str]) -> list[str]:
        raise click.Abort

    with pytest.raises(click.Abort):
        remove(["a", "b"])
    events = events_from_span(spans.finished[0], "t")
    assert [(e.artifact_name, e.status, (e.metadata or {})["outcome"]) for e in events] == [
        ("a", "ok", "cancelled"), ("b", "ok", "cancelled")
    ]  # fmt: skip


def test_a_cancelled_sync_has_no_error_message(spans: Any) -> None:
    """A synchronisation that its user refused failed with nothing."""

    @track.sync
    def sync(name: str) -> None:
        raise click.Abort

    with pytest.raises(click.Abort):
        sync("canvas")
    assert spans.metadata() == {"result": "cancelled"}


def test_click_is_not_imported_to_find_out() -> None:
    """A call that raises loads no command line library."""
    program = (
        "import sys\nfrom usagetrace import track\nfrom usagetrace.track import runtime\n"
        "runtime.install(runtime.Runtime(None, record=lambda rows: True))\n"
        "@track.deploy\ndef f(name): raise KeyError(name)\n"
        "try:\n    f('a')\nexcept KeyError: print('click' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class Clash(Exception):
    """Stands for an exception that is a program's way to say something."""


@pytest.mark.parametrize(
    ("outcome", "error", "expected"),
    [
        ({"$error.__class__.__name__ == 'Clash'": "conflict"}, Clash(), ("ok", None, "conflict")),
        ({"$error.__class__.__name__ == 'Clash'": "conflict"}, OSError(), ("error", "OSError", None)),
        ({"$error": "success"}, Clash(), ("ok", None, None)),
        ({"$error": "cancelled"}, click.Abort(), ("ok", None, "cancelled")),
        ("not $error", OSError(), ("error", "OSError", None)),
        ("$error", OSError(), ("error", "OSError", None)),
        ("$result.state | conflict", OSError(), ("error", "OSError", None)),
        (lambda call: "conflict", OSError(), ("error", "OSError", None)),
    ],
)
def test_an_outcome_that_looks_at_the_exception_says_what_it_means(
    spans: Any, outcome: Any, error: BaseException, expected: Any
) -> None:
    """What a function raises wins, unless the field names $error and says something of it."""

    @track.update(outcome=outcome)
    def update(artifact_name: str) -> None:
        raise error

    with pytest.raises(type(error)):
        update("canvas")
    ((event,),) = [events_from_span(span, "t") for span in spans.finished]
    assert (event.status, event.error_type, (event.metadata or {}).get("outcome")) == expected
