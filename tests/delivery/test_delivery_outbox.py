"""Sending later, from the local file: the setting, what a tool's process loads and does for it, and the courier."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from tests.support.scripted_otlp import HANG, OK, Answer, Scripted, scripted_server
from usagetrace import track
from usagetrace.config import Settings, load_settings
from usagetrace.delivery import courier as courier_module
from usagetrace.delivery.courier import Courier, courier_of
from usagetrace.delivery.forwarder import Forwarder
from usagetrace.delivery.outbox import Outbox
from usagetrace.delivery.sending import Patience
from usagetrace.delivery.transport import Transport
from usagetrace.errors import ConfigurationError
from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.deliveries import Deliveries

NOW = 1_793_534_400_000
OUTBOX = "USAGETRACE_OTLP_DELIVERY"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


def eventually(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def filled(path: Path, count: int = 3, first: int = 0) -> Path:
    """Write events into a store."""
    with Store(path) as store:
        store.write(
            [
                Event("deploy", f"a{n}", "skill", NOW + n, duration_ms=1.0, span_id=f"{n + 1:016x}")
                for n in range(first, first + count)
            ]
        )
    return path


# --- the setting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({PROTOCOL: "grpc"}, f"environment variable {PROTOCOL}: expected http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, "variable OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: expected http"),
        ({"USAGETRACE_LOCAL": "false"}, "environment variable USAGETRACE_LOCAL: expected true"),
        ({OUTBOX: "later"}, "expected direct or outbox"),
    ],
)
def test_what_the_outbox_cannot_be_with_is_named(tmp_path: Path, environ: dict[str, str], fault: str) -> None:
    """Another protocol than HTTP's, no local file, a word that means nothing: one fault each, with its place."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ={"HOME": str(tmp_path), OUTBOX: "outbox", **environ}, cwd=tmp_path)
    (found,) = caught.value.faults
    assert fault in found


@pytest.mark.parametrize(
    "environ",
    [{OUTBOX: "direct", PROTOCOL: "grpc"}, {PROTOCOL: "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}],
)
def test_what_it_can_be_with_is_no_fault(tmp_path: Path, environ: dict[str, str]) -> None:
    """Sent directly, gRPC is fine; and the variable of one signal goes before the one for all."""
    settings = load_settings(environ={"HOME": str(tmp_path), OUTBOX: "outbox", **environ}, cwd=tmp_path)
    assert settings.otlp_delivery == environ.get(OUTBOX, "outbox")


def test_a_wrong_argument_is_the_developers_fault() -> None:
    """configure() says no to what can't be together, where both are its own arguments."""
    with pytest.raises(ConfigurationError, match=r"configure\(otlp_protocol=\.\.\.\): expected http/protobuf"):
        usagetrace.configure(otlp_delivery="outbox", otlp_protocol="grpc", otlp_endpoint="http://127.0.0.1:9")


ONE_SHOT = """
import sys
import wrapt

before = set(sys.modules)
from usagetrace import track

@track.deploy
def deploy(artifact_name, artifact_type):
    return True

deploy("canvas", "skill")
ours = ("usagetrace.delivery", "usagetrace.otlp", "usagetrace.store.background")
others = ("urllib3", "requests", "google", "sqlite3", "ssl", "opentelemetry")
print([name for name in set(sys.modules) - before if name.startswith(ours) or name.split(".")[0] in others])
"""


def test_a_short_command_loads_nothing_of_networks_and_waits_for_nobody(tmp_path: Path) -> None:
    """One call in outbox mode, with an endpoint where nobody listens: an event in the spool, and no word about it."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        OUTBOX: "outbox",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    (tmp_path / "tool.py").write_text(ONE_SHOT)
    done = subprocess.run(
        [sys.executable, "tool.py"], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert len(list(tmp_path.rglob("*.seg"))) == 1


# --- a process that lives longer ---------------------------------------------------------------------------


@track.deploy
def deploy(artifact_name: str, artifact_type: str) -> None:
    """Do nothing, tracked."""


def test_a_process_that_records_much_sends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,100 calls: the recorder drains them, the courier sends them, no metric of ours, and no exporter is made."""
    monkeypatch.setattr(courier_module, "_FIRST_S", 0.0)
    path = tmp_path / "analytics.db"
    with scripted_server() as server:
        usagetrace.configure(service_name="shelf", db_path=path, otlp_endpoint=server.endpoint, otlp_delivery="outbox")
        for number in range(1100):
            deploy(f"a{number}", "skill")
        eventually(lambda: len(server.names) == 1100)
        usagetrace.shutdown()
    assert set(server.paths) == {"/v1/traces"}
    assert set(server.names.values()) == {1}


def test_with_a_provider_of_the_application_nothing_is_sent_besides(tmp_path: Path) -> None:
    """Spans go where the application's provider sends them: the courier would send them twice."""
    from opentelemetry.sdk.trace import TracerProvider

    from usagetrace import pipeline
    from usagetrace.track.changes import Watch

    usagetrace.configure(
        db_path=tmp_path / "a.db",
        otlp_endpoint="http://127.0.0.1:9",
        otlp_delivery="outbox",
        tracer_provider=TracerProvider(shutdown_on_exit=False),
    )
    active = pipeline.active()
    assert active is not None
    assert active.recorder is not None
    assert active.recorder._onward is not None
    # It looks whether the settings have changed, and sends nothing.
    assert type(active.recorder._onward()) is Watch


def courier_to(server: Scripted, path: Path, **more: Any) -> Courier:
    """Return a courier that sends at once, and often."""

    def make() -> Forwarder:
        transport = Transport.from_settings(Settings(environ={}), endpoint=server.endpoint)
        return Forwarder(path, transport, drain=False, patience=Patience(0, 0))

    more = {"first_s": 0.0, "interval_s": 0.02, **more}
    return Courier(make, **more)


def test_a_courier_sends_what_is_new_and_rests_when_nothing_is(tmp_path: Path) -> None:
    """Each time that the recorder brought in something it goes out; then the thread is gone until the next time."""
    path = filled(tmp_path / "a.db")
    with scripted_server() as server:
        courier = courier_to(server, path)
        courier.look(3)
        eventually(lambda: len(server.names) == 3 and courier._thread is None)
        courier.look(3)
        assert courier._thread is None
        filled(path, first=3)
        courier.look(6)
        eventually(lambda: len(server.names) == 6)
        courier.stop()
        eventually(lambda: courier._thread is None)
    assert set(server.names.values()) == {1}


def test_a_courier_comes_back_later_and_later_to_who_takes_nothing(tmp_path: Path) -> None:
    """One try a turn; the pauses double; when the endpoint is back, everything that waited arrives."""
    path = filled(tmp_path / "a.db")
    with scripted_server(lambda _: Answer(503)) as server:
        courier = courier_to(server, path)
        courier.look(3)
        server.wait_for_requests(3)
        pauses = [courier._pause()]
        server.wait_for_requests(4)
        pauses.append(courier._pause())
        server.script = lambda _: OK
        eventually(lambda: len(server.names) == 3)
        courier.stop()
        eventually(lambda: courier._thread is None)
    assert pauses[1] >= pauses[0] >= 0.02 * 4
    assert len(server.requests) <= 7


def test_an_exit_does_not_wait_for_a_courier(tmp_path: Path) -> None:
    """The endpoint hangs: stopping breaks the exchange off, and the cursor has not moved."""
    path = filled(tmp_path / "a.db")
    with scripted_server(lambda _: HANG) as server:
        courier = courier_to(server, path)
        courier.look(3)
        assert server.asked.wait(30)
        began = time.monotonic()
        courier.stop()
        assert time.monotonic() - began < 5
        eventually(lambda: courier._thread is None)
        courier.look(99)
        assert courier._thread is None
        with Store(path) as store:
            assert Deliveries(store, server.endpoint).waiting().events == 3


def test_a_no_that_comes_later_stops_a_courier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The user says no while the process runs: from then on nothing leaves."""
    path = filled(tmp_path / "a.db")
    with scripted_server() as server:
        environ = {"HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
        settings = Settings(
            db_path=path, otlp_endpoint=server.endpoint, otlp_delivery="outbox",
            sources={"otlp_endpoint": "configure"}, environ=environ,
        )  # fmt: skip
        monkeypatch.setattr(courier_module, "_FIRST_S", 0.0)
        courier = courier_of(settings, str(path))
        courier.look(3)
        eventually(lambda: courier._thread is None)
        assert server.requests == []
        del environ["DO_NOT_TRACK"]
        monkeypatch.setattr(courier, "_due", 0.0)
        courier.look(4)
        eventually(lambda: len(server.names) == 3)
        courier.stop()
        eventually(lambda: courier._thread is None)


def test_settings_that_name_no_usable_endpoint_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate that is not there: one warning, no thread that tries for ever."""
    monkeypatch.setattr(courier_module, "_FIRST_S", 0.0)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:9", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/not/there.pem"}
    settings = Settings(otlp_endpoint="https://127.0.0.1:9", otlp_delivery="outbox", environ=environ)
    courier = courier_of(settings, str(tmp_path / "a.db"))
    courier.look(1)
    eventually(lambda: courier._thread is None)
    courier.look(2)
    assert courier._thread is None
    (record,) = caplog.records
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in record.getMessage()


# --- the outbox --------------------------------------------------------------------------------------------


def test_a_lock_of_somebody_elses_is_waited_for(tmp_path: Path) -> None:
    """Another program writes for a moment: what became of a batch is remembered when it is done."""
    path = filled(tmp_path / "a.db")
    outbox = Outbox(path, "http://one", stop=threading.Event())
    (first, *_) = outbox.next(10)
    with Store(path) as other:
        other.connection.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.4, lambda: None)
        worker = threading.Thread(target=outbox.advance, args=(first[0].id,), kwargs={"delivered": 1})
        worker.start()
        release.start()
        release.join()
        assert worker.is_alive()
        other.connection.execute("ROLLBACK")
        worker.join(30)
    assert outbox.waiting().events == 2
    outbox.close()


def test_the_lock_is_one_for_each_endpoint_and_dies_with_its_holder(tmp_path: Path) -> None:
    """Two may send one store to two endpoints, not to one."""
    path = filled(tmp_path / "a.db")
    one, same, other = (Outbox(path, f"http://{name}", stop=threading.Event()) for name in ("one", "one", "other"))
    assert [one.claim(), one.claim(), same.claim(), other.claim()] == [True, True, False, True]
    one.close()
    assert same.claim()
    for outbox in (same, other):
        outbox.close()


def test_the_newest_calls_are_whole_and_still_wait(tmp_path: Path) -> None:
    """What comes last, without a call that would be cut, without what was set aside, and nothing that was sent."""
    path = filled(tmp_path / "a.db", 5)
    with Store(path) as store:
        store.write([Event("search", f"i{n}", "skill", NOW, span_id="ee" * 8, item=n) for n in range(3)])
    filled(path, 1, first=5)
    outbox = Outbox(path, "http://one", stop=threading.Event())
    assert [[event.id for event in call] for call in outbox.newest(3)] == [[9]]
    assert [[event.id for event in call] for call in outbox.newest(5)] == [[5], [6, 7, 8], [9]]
    outbox.set_aside(outbox.newest(1)[0], "no")
    outbox.next(100)
    outbox.advance(4, delivered=4)
    assert [[event.id for event in call] for call in outbox.newest(50)] == [[5], [6, 7, 8]]
    outbox.close()
