"""``usagetrace forward``: sends what the local file holds to an OTLP endpoint, once or until it is told to stop.

This module owns the options, the signals, and what people are told. How events are sent, and what is remembered of it,
is in :mod:`usagetrace.delivery`.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.options import format_option
from usagetrace.cli.output import emit, say, show_size, show_time, tell
from usagetrace.cli.settings import examine
from usagetrace.cli.stores import absent, chosen_store, exists, is_between
from usagetrace.cli.waiting import has_segments, some
from usagetrace.delivery.report import Report
from usagetrace.errors import StoreError, UsageTraceError
from usagetrace.redaction import govern
from usagetrace.reports.jsonshape import dump, iso_time

if TYPE_CHECKING:
    from usagetrace.config import Settings
    from usagetrace.delivery.forwarder import Forwarder
    from usagetrace.delivery.transport import Transport
    from usagetrace.store.deliveries import Waiting

# Seconds that the end waits for what is under way, after it was told to stop.
_GRACE_S: Final = 0.7
# Calls that were set aside which are told of, one by one.
_TOLD: Final = 20
# How often to look whether a key was pressed, where a wait can't be interrupted, in seconds.
_LOOK_S: Final = 0.2 if sys.platform == "win32" else None
_FAILED: Final = 1


@click.command("forward")
@click.option("--endpoint", metavar="URL", help="Send there, instead of where the settings say: a base URL.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME=VALUE",
    help="Send this header too; may be repeated. For secrets there is OTEL_EXPORTER_OTLP_HEADERS: others see commands.",
)  # fmt: skip
@click.option(
    "--follow/--once", default=False, show_default="once",
    help="Go on until SIGTERM or SIGINT, or end when everything is sent.",
)  # fmt: skip
@click.option(
    "--max-rate", type=click.IntRange(min=1), metavar="BYTES",
    help="Send at most so many bytes a second, on the average.",
)  # fmt: skip
@click.option("--retry-set-aside", is_flag=True, help="Send what was set aside once more, too.")
@format_option("table", "json")
@pass_cli
@click.pass_context
def forward(
    ctx: click.Context,
    cli: Cli,
    endpoint: str | None,
    headers: tuple[str, ...],
    follow: bool,
    max_rate: int | None,
    retry_set_aside: bool,
    form: str,
) -> None:
    """Send events that wait in the local file to an OTLP endpoint; exit code 1 where some still wait.

    What lies in the spool is moved in first. An event is sent until the endpoint has taken it, and once more where that
    is in doubt: its ids tell a receiver that it is the same. One that the endpoint refuses while it takes others is set
    aside and named, and the rest goes on.
    """
    named = _headers(headers)
    examined = examine(cli.environ, cli.cwd)
    path = chosen_store(cli)
    if examined.off_reason:
        _show_idle(path, form, Report(ended="off", reason=f"nothing is sent, because {examined.off_reason}"))
        ctx.exit(_FAILED)
    if path is None and follow:
        raise click.UsageError("nothing recorded yet: name the tool: usagetrace --service NAME forward --follow")
    if path is None or not (follow or exists(path) or has_segments(path) or is_between(path)):
        _show_idle(path, form, Report(reason=absent(cli, path)))
        return
    govern(examined.settings.redaction)
    forwarder = _forwarder(cli, path, _transport(examined.settings, endpoint, named), max_rate, follow=follow)
    show = _Shown(path, forwarder, form)
    if follow:
        _until_told(lambda: forwarder.run(show, retry_set_aside=retry_set_aside), forwarder)
        return
    reports: list[Report] = []
    _until_told(lambda: reports.append(forwarder.run_once(retry_set_aside=retry_set_aside)), forwarder)
    if not reports:
        raise UsageTraceError("stopped before everything was sent")
    try:
        show(reports[0])
    finally:
        forwarder.close()
    if not reports[0].complete:
        ctx.exit(_FAILED)


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for number, text in enumerate(given, 1):
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            # Not repeated: it may be a password.
            raise click.UsageError(f"--header, the {number}. one: expected NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _transport(settings: Settings, endpoint: str | None, headers: Mapping[str, str]) -> Transport:
    """Return what speaks to the endpoint.

    Raises:
        UsageTraceError: What it needs is not installed, or the settings have faults.
    """
    # Imported here: the list of commands must not load it, nor fail where it is not installed.
    try:
        from usagetrace.delivery.options import TRACES
        from usagetrace.delivery.transport import Transport
    except ImportError as error:
        raise UsageTraceError(f"sending needs {error.name}, not installed: pip install 'usagetrace[otlp]'") from error
    transport = Transport.from_settings(settings, endpoint=endpoint, headers=headers)
    if not transport.sends(TRACES):
        # Nearly all events are spans: to send the others alone would leave them behind for good.
        raise UsageTraceError("nothing is sent, because OTEL_TRACES_EXPORTER says none, or names no address for traces")
    return transport


def _forwarder(cli: Cli, path: Path, transport: Transport, max_rate: int | None, *, follow: bool) -> Forwarder:
    from usagetrace.delivery.forwarder import FOREVER, ONCE, Forwarder

    return Forwarder(
        path,
        transport,
        bytes_per_s=max_rate,
        patience=FOREVER if follow else ONCE,
        refusal=lambda: _refusal(cli),
        tell=lambda message: say(f"{transport.endpoint} {message}"),
    )


def _refusal(cli: Cli) -> str:
    said = examine(cli.environ, cli.cwd).off_reason
    return f"nothing is sent, because {said}" if said else ""


# --- until told to stop ------------------------------------------------------------------------------------


def _until_told(work: Callable[[], object], forwarder: Forwarder) -> None:
    """Do something on a thread of its own, and stop the forwarder on SIGTERM or SIGINT; then let go of it.

    On a thread, because a signal must be able to end an exchange that this one would be in the middle of.

    Raises:
        Exception: What the work raised.
    """
    # May be put into by a signal handler in the middle of anything, which other queues and events may not.
    words: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            work()
            words.put(None)
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits, which raises it
            words.put(error)
        finally:
            forwarder.close()

    thread = threading.Thread(target=run, name="usagetrace-forward", daemon=True)
    stop = KeyboardInterrupt()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: words.put(stop))
    try:
        thread.start()
        word = _next(words)
        forwarder.stop()
        thread.join(_GRACE_S)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if word is not None and word is not stop:
        raise word


def _next(words: queue.SimpleQueue[BaseException | None]) -> BaseException | None:
    while True:
        try:
            return words.get(timeout=_LOOK_S)
        except queue.Empty:
            continue


# --- what people are told ----------------------------------------------------------------------------------


class _Shown:
    """Tells what was done.

    Args:
        path: The database.
        forwarder: Knows what waits.
        form: ``table`` or ``json``.
    """

    def __init__(self, path: Path, forwarder: Forwarder, form: str) -> None:
        self._path = path
        self._forwarder = forwarder
        self._form = form

    def __call__(self, report: Report) -> None:
        try:
            waiting = self._forwarder.waiting()
        except StoreError:
            # The report says that, too.
            waiting = None
        if self._form == "json":
            emit(dump(_shape(self._path, self._forwarder.endpoint, report, waiting)))
        else:
            self._tell(report, waiting)
        sys.stdout.flush()

    def _tell(self, report: Report, waiting: Waiting | None) -> None:
        sent = f", {some(report.requests, 'request')} of {show_size(report.sent_bytes)}" if report.requests else ""
        tell(f"{self._path}: {some(report.delivered, 'event')} delivered to {self._forwarder.endpoint}{sent}")
        if report.rejected:
            tell(f"spans and log records among them that it rejected, by its own word: {report.rejected}")
        for aside in report.set_aside[:_TOLD]:
            tell(f"set aside: event {aside.events[0]}, {aside.name}: it {aside.reason}")
        if len(report.set_aside) > _TOLD:
            tell(f"set aside: {len(report.set_aside) - _TOLD} more; `usagetrace status` counts them")
        if waiting is not None:
            tell(_rest(waiting))
        if report.reason:
            say(report.reason if report.ended in _OURS else f"{self._forwarder.endpoint} {report.reason}")


# Ends whose reason is not the endpoint's.
_OURS: Final = frozenset(("off", "claimed", "spool", "store", "time", "stopped"))


def _show_idle(path: Path | None, form: str, report: Report) -> None:
    """Tell why nothing was sent at all."""
    say(report.reason)
    if form == "json":
        emit(dump(_shape(path, None, report, None)))


def _rest(waiting: Waiting) -> str:
    if not waiting.events:
        left = "nothing waits"
    else:
        oldest = f", the oldest of {show_time(waiting.oldest_ms)} UTC" if waiting.oldest_ms else ""
        left = f"{some(waiting.events, 'event')} still waiting{oldest}"
    aside = (
        f"; set aside until now: {waiting.set_aside}, --retry-set-aside sends them again" if waiting.set_aside else ""
    )
    return left + aside


def _shape(path: Path | None, endpoint: str | None, report: Report, waiting: Waiting | None) -> dict[str, Any]:
    return {
        "report": "forward",
        "store": None if path is None else str(path),
        "endpoint": endpoint,
        "delivered": report.delivered,
        "rejected": report.rejected,
        "set_aside": [
            {"events": list(aside.events), "name": aside.name, "reason": aside.reason} for aside in report.set_aside
        ],
        "requests": report.requests,
        "sent_bytes": report.sent_bytes,
        "complete": report.complete,
        "ended": report.ended or None,
        "reason": report.reason or None,
        "waiting_events": None if waiting is None else waiting.events,
        "waiting_since": None if waiting is None else iso_time(waiting.oldest_ms),
        "set_aside_events": None if waiting is None else waiting.set_aside,
    }
