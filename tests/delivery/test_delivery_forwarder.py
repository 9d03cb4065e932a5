"""The forwarder against a real OTLP server on loopback that answers as a script says."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted_otlp import DROP, HANG, OK, Answer, Request, scripted_server
from usagetrace.config import Settings
from usagetrace.delivery import forwarder as forwarder_module
from usagetrace.delivery import sending
from usagetrace.delivery.backoff import Backoff
from usagetrace.delivery.forwarder import FOREVER, Forwarder
from usagetrace.delivery.rate import Rate
from usagetrace.delivery.report import Report
from usagetrace.delivery.sending import Patience
from usagetrace.delivery.transport import Transport
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.deliveries import Deliveries

NOW = 1_793_534_400_000
# Tries go on for about so many pauses of nothing.
SHORT = Patience(busy_s=2.0, unreachable_s=0.3)


def event(number: int, *, log: bool = False, name: str = "", **more: Any) -> Event:
    """Return an event of a call of its own."""
    duration = None if log else 1.5
    return Event(
        "deploy",
        name or f"a{number}",
        "skill",
        NOW + number,
        duration_ms=duration,
        span_id=f"{number + 1:016x}",
        **more,
    )


def filled(path: Path, events: list[Event]) -> Path:
    """Write events into a store."""
    with Store(path) as store:
        store.write(events)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "data" / "analytics.db"


def transport_to(endpoint: str) -> Transport:
    """Return a transport to an endpoint."""
    return Transport.from_settings(Settings(environ={"OTEL_EXPORTER_OTLP_TIMEOUT": "5"}), endpoint=endpoint)


@contextmanager
def forwarding(path: Path, endpoint: str, **more: Any) -> Iterator[Forwarder]:
    """Give a forwarder that does not pause, and let go of it."""
    more.setdefault("patience", SHORT)
    more.setdefault("backoff", Backoff(draw=lambda: 0.0))
    forwarder = Forwarder(path, transport_to(endpoint), **more)
    try:
        yield forwarder
    finally:
        forwarder.stop()
        forwarder.close()


def forward(path: Path, endpoint: str, *, retry_set_aside: bool = False, **more: Any) -> Report:
    """Send what waits, once."""
    with forwarding(path, endpoint, **more) as forwarder:
        return forwarder.run_once(retry_set_aside=retry_set_aside)


def eventually(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ends(report: Report) -> tuple[int, str]:
    """Return what matters most of a report."""
    return report.delivered, report.ended


def waiting(path: Path, endpoint: str) -> tuple[int, int]:
    """Return how many events wait, and how many were set aside."""
    with Store(path) as store:
        found = Deliveries(store, endpoint).waiting()
    return found.events, found.set_aside


def on(number: int, answer: Answer) -> Callable[[Request], Answer]:
    """Return a script that answers one request otherwise than with 200."""
    return lambda request: answer if request.number == number else OK


def refuses(*names: str) -> Callable[[Request], Answer]:
    """Return a script that refuses each request with one of some artifacts in it."""
    return lambda request: Answer(400, text="bad value") if set(names) & set(request.names) else OK


# --- all goes well -----------------------------------------------------------------------------------------


def test_everything_arrives_once_spans_as_spans_and_points_in_time_as_logs(path: Path) -> None:
    """700 events of the store and the spool go out compressed, in batches; a second run finds nothing to do."""
    filled(path, [event(n, log=n % 3 == 0) for n in range(600)])
    spool = Spool(spool_directory(path))
    assert spool.append([event(n) for n in range(600, 700)])
    spool.close()
    with scripted_server() as server:
        assert ends(forward(path, server.endpoint)) == (700, "")
        sent = len(server.requests)
        assert ends(forward(path, server.endpoint)) == (0, "")
    assert server.names == {f"a{n}": 1 for n in range(700)}
    assert sum(count for _, count in server.taken.items()) == 700
    assert {request.headers["content-encoding"] for request in server.requests} == {"gzip"}
    assert set(server.paths) == {"/v1/traces", "/v1/logs"}
    assert len(server.requests) == sent <= 12


def test_a_call_with_many_artifacts_is_one_span_and_never_cut_in_two(path: Path) -> None:
    """Three calls of 100 artifacts each go whole, though a batch has 64 events at first."""
    filled(
        path,
        [
            Event("search", f"c{call}-{item}", "skill", NOW, duration_ms=1.0, span_id=f"{call:016x}", item=item)
            for call in (1, 2, 3)
            for item in range(100)
        ],
    )
    with scripted_server() as server:
        assert ends(forward(path, server.endpoint)) == (300, "")
    assert server.taken == {f"{call:016x}": 1 for call in (1, 2, 3)}


def test_another_endpoint_gets_everything_for_itself(path: Path) -> None:
    """How far an endpoint is, is remembered for each."""
    filled(path, [event(n) for n in range(5)])
    with scripted_server() as one, scripted_server() as other:
        assert ends(forward(path, one.endpoint)) == (5, "")
        assert ends(forward(path, other.endpoint)) == (5, "")
    assert one.names == other.names


def test_large_events_go_in_several_requests_each_below_its_bound(path: Path) -> None:
    """A batch of long events is divided before it is sent; no request but that of one call is above the bound."""
    filled(path, [event(n, metadata={"text": chr(97 + n % 26) * 3000, "number": n}) for n in range(200)])
    with scripted_server() as server, forwarding(path, server.endpoint) as forwarder:
        forwarder._sending._most_bytes = 50_000
        assert ends(forwarder.run_once()) == (200, "")
    assert max(request.size for request in server.requests) <= 50_000
    assert server.names == {f"a{n}": 1 for n in range(200)}


def test_nothing_is_made_where_nothing_was_recorded(path: Path) -> None:
    """A tool that never recorded gets neither a database nor a directory."""
    with scripted_server() as server:
        assert ends(forward(path, server.endpoint)) == (0, "")
    assert not path.parent.exists()
    assert server.requests == []


def test_bytes_a_second_are_paid_for_before_the_next_request() -> None:
    """A request of 500 bytes at 100 a second makes the next wait for 5 seconds; waiting saves nothing up."""
    now = [10.0]
    rate = Rate(100, clock=lambda: now[0])
    assert rate.pause() == 0
    rate.spend(500)
    assert rate.pause() == 5
    now[0] += 60
    assert rate.pause() == 0
    rate.spend(100)
    assert rate.pause() == 1
    unbounded = Rate(None, clock=lambda: now[0])
    unbounded.spend(10**9)
    assert unbounded.pause() == 0
    with pytest.raises(ValueError, match="expected more than 0"):
        Rate(0)


def test_a_bound_makes_small_requests_and_pauses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 20,000 bytes a second everything is sent in requests of 4 seconds' worth at most."""
    paused: list[float] = []
    monkeypatch.setattr(sending.Sending, "_pause", lambda self, seconds: paused.append(seconds))
    filled(path, [event(n, metadata={"text": f"{n}" * 400}) for n in range(300)])
    with scripted_server() as server:
        assert ends(forward(path, server.endpoint, bytes_per_s=20_000)) == (300, "")
    assert max(request.size for request in server.requests) <= 80_000
    assert sum(pause > 0 for pause in paused) >= 2


@pytest.mark.e2e
def test_a_folder_that_takes_no_lock_is_named(path: Path) -> None:
    """Where a file stands in the place of the folder for the lock, that is said with its path, and nothing is sent.

    It takes the five seconds that another drainer is waited for.
    """
    filled(path, [event(1)])
    folder = Path(spool_directory(path))
    shutil.rmtree(folder)
    folder.write_text("", encoding="utf-8")
    with scripted_server() as server:
        report = forward(path, server.endpoint)
    assert (ends(report), len(server.requests)) == ((0, "store"), 0)
    assert report.reason.startswith(f"{folder}: ")
    assert report.reason.endswith(": to send, its folder must be there and writable")


# --- what may yet succeed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [Answer(429), Answer(502), Answer(503, {"Retry-After": "0"}), Answer(504), DROP],
    ids=["429", "502", "503", "504", "dropped"],
)
def test_what_fails_for_the_moment_is_sent_again(path: Path, answer: Answer) -> None:
    """Busy, away, or a connection that is dropped: the same batch comes again, and nothing is set aside."""
    filled(path, [event(n) for n in range(100)])
    with scripted_server(on(1, answer)) as server:
        report = forward(path, server.endpoint)
    assert (ends(report), report.set_aside) == ((100, ""), ())
    assert len(server.requests) == 3
    assert server.names == {f"a{n}": 1 for n in range(100)}


def test_the_endpoint_says_how_long_to_wait(path: Path) -> None:
    """Retry-After goes before what would be drawn; where it is longer than the patience, that ends at once."""
    filled(path, [event(1)])
    with scripted_server(lambda _: Answer(503, {"Retry-After": "77"})) as server:
        report = forward(path, server.endpoint)
    assert (report.ended, report.retry_after_s, len(server.requests)) == ("busy", 77.0, 1)
    assert "HTTP 503" in report.reason


def test_who_is_not_there_is_asked_for_a_while_and_loses_nothing(path: Path) -> None:
    """Nothing listens: the report says so in words, and everything waits."""
    filled(path, [event(n) for n in range(3)])
    with scripted_server() as server:
        endpoint = server.endpoint
    report = forward(path, endpoint, patience=Patience(0, 0), backoff=Backoff(draw=lambda: 1.0))
    assert ends(report) == (0, "unreachable")
    assert "nothing listens" in report.reason
    assert waiting(path, endpoint) == (3, 0)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_setting_that_is_wrong_is_told_and_no_event_is_blamed(path: Path, status: int) -> None:
    """Credentials or a path that are wrong: one request, nothing set aside, everything waits."""
    filled(path, [event(n) for n in range(3)])
    with scripted_server(lambda _: Answer(status)) as server:
        report = forward(path, server.endpoint)
        assert (ends(report), report.set_aside) == ((0, "misconfigured"), ())
        assert len(server.requests) == 1
        server.script = lambda _: OK
        assert ends(forward(path, server.endpoint)) == (3, "")


def test_a_partial_success_is_counted_and_not_repeated(path: Path) -> None:
    """What the endpoint rejects of a request that it took is not sent again, and told."""
    filled(path, [event(n) for n in range(10)])
    told: list[str] = []
    with scripted_server(lambda _: Answer(rejected=4, text="too old")) as server:
        report = forward(path, server.endpoint, tell=told.append)
    assert told == ["took the request, but not 4 of it: too old"]
    assert (ends(report), report.rejected, len(server.requests)) == ((10, ""), 4, 1)


# --- one event at fault ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "log"), [(400, False), (422, True), (413, False), (500, True)])
def test_the_one_event_at_fault_is_found_and_the_rest_arrives(path: Path, status: int, log: bool) -> None:
    """Of 64 events one is refused whatever it comes with: it is set aside with the reason, by itself."""
    filled(path, [event(n, log=log) for n in range(64)])
    with scripted_server(lambda r: Answer(status, text="bad value") if "a43" in r.names else OK) as server:
        report = forward(path, server.endpoint)
        assert ends(report) == (63, "")
        assert [(aside.events, aside.name) for aside in report.set_aside] == [((44,), "deploy a43")]
        assert f"HTTP {status}" in report.set_aside[0].reason
        assert waiting(path, server.endpoint) == (0, 1)
        assert len(server.requests) < 20
        server.script = lambda _: OK
        assert ends(forward(path, server.endpoint)) == (0, "")
        assert ends(forward(path, server.endpoint, retry_set_aside=True)) == (1, "")
        assert waiting(path, server.endpoint) == (0, 0)
    assert set(server.names) == {f"a{n}" for n in range(64)}


def test_what_is_refused_again_stays_aside_with_the_new_reason(path: Path) -> None:
    """Sent once more in vain, an event is where it was; the others that were set aside arrive."""
    filled(path, [event(n) for n in range(20)])
    with scripted_server(refuses("a3", "a7")) as server:
        assert ends(forward(path, server.endpoint)) == (18, "")
        server.script = lambda r: Answer(422, text="still bad") if "a7" in r.names else OK
        assert ends(forward(path, server.endpoint, retry_set_aside=True)) == (1, "")
        with Store(path) as store:
            (left,) = Deliveries(store, server.endpoint).reasons()
    assert (left.artifact_name, left.reason) == ("a7", "did not take the request (HTTP 422): still bad")


def test_many_events_at_fault_in_a_row_do_not_stop_the_rest(path: Path) -> None:
    """A whole batch is refused, one by one, while newer events are taken: all of them are set aside, and no other."""
    bad = {f"a{n}" for n in range(20)}
    filled(path, [event(n) for n in range(40)])
    with scripted_server(refuses(*bad)) as server:
        report = forward(path, server.endpoint, batch=16)
        assert ends(report) == (20, "")
        assert waiting(path, server.endpoint) == (0, 20)
    assert {aside.name.removeprefix("deploy ") for aside in report.set_aside} == bad
    assert set(server.names) == {f"a{n}" for n in range(20, 40)}


def test_an_endpoint_that_takes_only_what_is_new_gets_it(path: Path) -> None:
    """Everything of last week is refused for its age: it is set aside, and today's events arrive."""
    filled(path, [event(n) for n in range(100)])
    old = {f"a{n}" for n in range(90)}
    with scripted_server(refuses(*old)) as server:
        assert ends(forward(path, server.endpoint, batch=16)) == (10, "")
        assert waiting(path, server.endpoint) == (0, 90)
    assert set(server.names) == {f"a{n}" for n in range(90, 100)}


def test_an_endpoint_that_refuses_everything_costs_no_event(path: Path) -> None:
    """No event is taken: it is told so after a few requests, and nothing is set aside."""
    filled(path, [event(n) for n in range(300)])
    with scripted_server(lambda _: Answer(400, text="wrong tenant")) as server:
        report = forward(path, server.endpoint)
        assert ends(report) == (0, "refused")
        assert "wrong tenant" in report.reason
        assert "none is set aside" in report.reason
        assert waiting(path, server.endpoint) == (300, 0)
        assert len(server.requests) < 30
        server.script = lambda _: OK
        assert ends(forward(path, server.endpoint)) == (300, "")


def test_one_event_alone_waits_for_another_to_try_with(path: Path) -> None:
    """Whether the event or the endpoint is at fault shows when another event comes, and is taken."""
    filled(path, [event(1, name="poison")])
    with scripted_server(refuses("poison")) as server:
        report = forward(path, server.endpoint)
        assert (ends(report), waiting(path, server.endpoint)) == ((0, "alone"), (1, 0))
        assert "deploy poison" in report.reason
        filled(path, [event(2)])
        assert ends(forward(path, server.endpoint)) == (1, "")
        assert waiting(path, server.endpoint) == (0, 1)


def test_an_endpoint_that_turns_against_everything_in_the_middle_costs_no_event(path: Path) -> None:
    """Batches were taken, then nothing is: what was taken before proves nothing."""
    filled(path, [event(n) for n in range(1000)])
    with scripted_server(lambda r: OK if r.number < 2 else Answer(400)) as server:
        report = forward(path, server.endpoint)
        assert (report.ended, report.set_aside) == ("refused", ())
        assert waiting(path, server.endpoint) == (1000 - report.delivered, 0)


def test_an_event_that_kills_its_reader_is_set_aside_too(path: Path) -> None:
    """The connection breaks whenever one event is in the request: the others arrive, and that one is named."""
    filled(path, [event(n) for n in range(20)])
    with scripted_server(lambda r: DROP if "a13" in r.names else OK) as server:
        report = forward(path, server.endpoint)
    assert ends(report) == (19, "")
    assert [aside.name for aside in report.set_aside] == ["deploy a13"]


def test_an_event_that_cannot_be_encoded_is_set_aside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of our own in one event keeps no other from being sent."""
    real = sending.encode

    def encode(rows: Any, **more: Any) -> Any:
        if any(stored.row[1] == "a5" for stored in rows):
            raise OverflowError
        return real(rows, **more)

    monkeypatch.setattr(sending, "encode", encode)
    filled(path, [event(n) for n in range(20)])
    with scripted_server() as server:
        report = forward(path, server.endpoint)
    assert ends(report) == (19, "")
    assert [(aside.name, "OverflowError" in aside.reason) for aside in report.set_aside] == [("deploy a5", True)]


# --- the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["exchange", "pause"])
def test_it_stops_at_once_in_the_middle_of_anything(path: Path, moment: str) -> None:
    """In an exchange that hangs, and in a pause of minutes, stopping is a matter of moments; nothing is lost."""
    filled(path, [event(1)])
    script = (lambda _: HANG) if moment == "exchange" else (lambda _: Answer(503, {"Retry-After": "200"}))
    told: list[str] = []
    with scripted_server(script) as server:
        with forwarding(path, server.endpoint, patience=FOREVER, tell=told.append) as forwarder:
            reports: list[Report] = []
            thread = threading.Thread(target=lambda: reports.append(forwarder.run_once()))
            thread.start()
            assert server.asked.wait(30)
            eventually(lambda: told or moment == "exchange")
            began = time.monotonic()
            forwarder.stop()
            thread.join(20)
            took = time.monotonic() - began
        assert [report.ended for report in reports] == ["stopped"]
        # Far below the 5 s of the exchange and the 200 s of the pause.
        assert took < 4
        assert waiting(path, server.endpoint) == (1, 0)


def test_following_sends_what_comes_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends what is there, then what a tool leaves in the spool, until it is stopped."""
    monkeypatch.setattr(forwarder_module, "_POLL_S", 0.01)
    filled(path, [event(1)])
    told: list[Report] = []
    with scripted_server() as server, forwarding(path, server.endpoint, patience=FOREVER) as forwarder:
        thread = threading.Thread(target=forwarder.run, args=(told.append,))
        thread.start()
        server.wait_for_requests(1)
        spool = Spool(spool_directory(path))
        assert spool.append([event(2), event(3)])
        spool.close()
        server.wait_for_requests(2)
        forwarder.stop()
        thread.join(20)
    assert server.names == {"a1": 1, "a2": 1, "a3": 1}
    assert sum(report.delivered for report in told) >= 1


def test_following_a_refused_event_alone_is_set_aside_when_another_one_comes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause after a refusal of everything is long, and ends when there is another event to try with."""
    monkeypatch.setattr(forwarder_module, "_POLL_S", 0.01)
    filled(path, [event(1, name="poison")])
    told: list[Report] = []
    with scripted_server(refuses("poison")) as server, forwarding(path, server.endpoint) as forwarder:
        thread = threading.Thread(target=forwarder.run, args=(told.append,))
        thread.start()
        eventually(lambda: len(told) == 1)
        filled(path, [event(2)])
        eventually(lambda: len(told) == 2)
        forwarder.stop()
        thread.join(20)
    assert [(report.ended, report.delivered, len(report.set_aside)) for report in told] == [
        ("alone", 0, 0),
        ("", 1, 1),
    ]


def test_a_no_ends_it_before_the_next_request(path: Path) -> None:
    """Somebody says no in the middle: what was under way is done, and nothing more leaves."""
    filled(path, [event(n) for n in range(500)])
    with scripted_server() as server:
        no = lambda: "the user said no" if server.requests else ""  # noqa: E731 -- a word of two states
        report = forward(path, server.endpoint, refusal=no)
    assert (ends(report), report.reason) == ((64, "off"), "the user said no")
    assert len(server.requests) == 1


def test_two_at_once_one_sends(path: Path) -> None:
    """While one forwarder is at work on a store for an endpoint, another one leaves it alone; then it may."""
    filled(path, [event(1)])
    with scripted_server(lambda _: HANG) as server:
        with forwarding(path, server.endpoint) as first:
            thread = threading.Thread(target=first.run_once)
            thread.start()
            assert server.asked.wait(30)
            assert ends(forward(path, server.endpoint)) == (0, "claimed")
            first.stop()
            thread.join(20)
        server.script = lambda _: OK
        assert ends(forward(path, server.endpoint)) == (1, "")


def test_a_database_that_cannot_be_used_is_a_reason(path: Path) -> None:
    """A file that is no database: the report says so, nothing is sent, and the file is as it was."""
    path.parent.mkdir()
    path.write_bytes(b"a letter to somebody" * 100)
    with scripted_server() as server:
        report = forward(path, server.endpoint)
    assert (ends(report), server.requests) == ((0, "store"), [])
    assert str(path) in report.reason
    assert path.read_bytes() == b"a letter to somebody" * 100
