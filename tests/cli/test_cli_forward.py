"""``usagetrace forward``: what it sends, what it says, how it ends, and when it refuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted_otlp import HANG, OK, Answer, Request, scripted_server
from usagetrace.delivery import forwarder
from usagetrace.delivery.sending import Patience
from usagetrace.events import Event
from usagetrace.spool.layout import spool_directory

NOW = 1_793_534_400_000
OFF = ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED", "settings file", "settings with a fault"]
SHAPE = Path(__file__).parents[2] / "docs" / "reference" / "json-shapes.md"


def events(*numbers: int) -> list[Event]:
    return [
        Event("deploy", f"a{number}", "skill", NOW + number, duration_ms=1.0, span_id=f"{number + 1:016x}")
        for number in numbers
    ]


def refusing(name: str) -> Callable[[Request], Answer]:
    return lambda request: Answer(400, text="bad value") if name in request.names else OK


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up at the first pause."""
    monkeypatch.setattr(forwarder, "ONCE", Patience(0.0, 0.0))


def test_everything_that_waits_is_sent_and_told(home: Any) -> None:
    """Events of the database and of the spool arrive; the second time there is nothing to send."""
    home.record(*events(1, 2))
    path = home.leave(*events(3))
    with scripted_server() as server:
        done = home.run(f"forward --endpoint {server.endpoint}")
        assert server.names == {"a1": 1, "a2": 1, "a3": 1}
        again = home.run(f"forward --endpoint {server.endpoint}")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{path}: 3 events delivered to {server.endpoint}, 1 request of ")
    assert lines[1:] == ["nothing waits"]
    assert again.stdout.splitlines() == [f"{path}: 0 events delivered to {server.endpoint}", "nothing waits"]
    assert done.stderr + again.stderr == ""


@pytest.mark.parametrize("source", ["environment", "settings file"])
def test_the_settings_name_the_endpoint(home: Any, source: str) -> None:
    """Without --endpoint it is the one of the environment, or of the settings file."""
    home.record(*events(1))
    with scripted_server() as server:
        if source == "environment":
            home.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = server.endpoint
        else:
            home.write_settings(f'[otlp]\nendpoint = "{server.endpoint}"\ndelivery = "outbox"\n')
        home.run("forward")
        assert server.names == {"a1": 1}


def test_without_an_endpoint_it_says_how_to_name_one(home: Any) -> None:
    """Nobody named one: exit code 1, and what to set."""
    home.record(*events(1))
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in home.run("forward", code=1).stderr


def test_whoever_wants_no_traces_sent_has_none_passed_over(home: Any) -> None:
    """OTEL_TRACES_EXPORTER=none: nothing is sent, log records neither, and everything still waits."""
    home.record(*events(1), Event("deploy", "point", "skill", NOW, span_id="f" * 16))
    with scripted_server() as server:
        home.environ.update(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT=server.endpoint)
        assert "OTEL_TRACES_EXPORTER" in home.run("forward", code=1).stderr
        del home.environ["OTEL_TRACES_EXPORTER"]
        home.environ["OTEL_LOGS_EXPORTER"] = "none"
        assert server.requests == []
        home.run("forward")
        assert server.names == {"a1": 1}


def test_gRPC_is_named_as_what_it_does_not_speak(home: Any) -> None:
    """The protocol that others use is set for all: it says what to do."""
    home.record(*events(1))
    home.environ.update(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317")
    assert "http/protobuf" in home.run("forward", code=1).stderr


@pytest.mark.parametrize("off", OFF)
def test_the_users_no_lets_nothing_leave_and_touches_nothing(home: Any, off: str) -> None:
    """Whoever said no: no request, exit code 1 with the reason, and what waits stays where it is."""
    path = home.leave(*events(1))
    if off.startswith("settings"):
        home.write_settings("[analytics]\nenabled = " + ("false\n" if off == "settings file" else '"perhaps"\n'))
    else:
        home.environ[off] = "1"
    with scripted_server() as server:
        done = home.run(f"forward --endpoint {server.endpoint}", code=1)
        assert server.requests == []
    assert "nothing is sent, because" in done.stderr
    assert not path.exists()
    assert len(list(Path(spool_directory(path)).glob("*.seg"))) == 1
    assert len(list(Path(spool_directory(path)).iterdir())) == len(list(Path(spool_directory(path)).glob("*.seg")))


def test_headers_go_with_each_request(home: Any) -> None:
    """--header may be repeated; the value may hold an equals sign."""
    home.record(*events(1))
    with scripted_server() as server:
        line = ["forward", "--endpoint", server.endpoint, "--header", "X-Tenant=a=b", "--header", "X-More=2"]
        home.run(line)
        (request,) = server.requests
    assert (request.headers["x-tenant"], request.headers["x-more"]) == ("a=b", "2")


def test_a_header_that_is_none_is_wrong_usage_and_not_repeated(home: Any) -> None:
    """What was typed may be a password."""
    done = home.run(["forward", "--header", "hunter" + "2"], code=2)
    assert "expected NAME=VALUE" in done.stderr
    assert "hunter2" not in done.output


def test_no_password_of_an_endpoint_is_shown_or_stored(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL holds a login: it is sent, and stands neither in the output nor in the database."""
    password = "hunt" + "er2hunter2"
    path = home.record(*events(1))
    with scripted_server(lambda r: OK if r.number == 0 else Answer(503)) as server:
        endpoint = server.endpoint.replace("http://", f"http://ada:{password}@")
        done = home.run(["forward", "--endpoint", endpoint, "--format", "json"])
        assert json.loads(done.stdout)["endpoint"] == server.endpoint
        assert server.requests[0].headers["authorization"].startswith("Basic ")
        home.record(*events(2))
        late = home.run(["forward", "--endpoint", endpoint], code=1)
    assert password not in done.output + late.output
    assert password.encode() not in b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())


def test_one_event_at_fault_is_named_and_can_be_sent_again(home: Any) -> None:
    """It is told with its name and the endpoint's words; the rest arrives, the exit code is 0."""
    home.record(*events(*range(20)))
    with scripted_server(refusing("a7")) as server:
        done = home.run(f"forward --endpoint {server.endpoint}")
        assert "set aside: event 8, deploy a7: it did not take the request (HTTP 400): bad value" in done.stdout
        assert "nothing waits; set aside until now: 1, --retry-set-aside sends them again" in done.stdout
        server.script = lambda _: OK
        again = home.run(f"forward --retry-set-aside --endpoint {server.endpoint}")
    assert "1 event delivered" in again.stdout
    assert len(server.names) == 20


def test_what_still_waits_is_told_with_the_reason(home: Any) -> None:
    """Nobody listens: exit code 1, how much waits since when, and why."""
    home.record(*events(1, 2))
    with scripted_server() as server:
        endpoint = server.endpoint
    done = home.run(f"forward --endpoint {endpoint}", code=1)
    assert "2 events still waiting, the oldest of 2026-11-01 12:00:00 UTC" in done.stdout
    assert done.stderr == f"{endpoint} is not there: nothing listens at this host and port\n"


@pytest.mark.parametrize("state", ["sent", "nothing", "off", "refused"])
def test_json_has_the_documented_shape(home: Any, state: str) -> None:
    """Whatever happens, one document of one shape stands on standard output."""
    from tests.cli.test_cli_documented import mismatches

    (block,) = re.findall(r"^## forward\n.*?```json\n(.*?)```", SHAPE.read_text("utf-8"), re.M | re.S)
    if state != "nothing":
        home.record(*events(*range(20)))
    if state == "off":
        home.environ["DO_NOT_TRACK"] = "1"
    with scripted_server(lambda r: refusing("a3")(r) if state == "sent" else Answer(400)) as server:
        found = home.json(f"forward --endpoint {server.endpoint}", code=0 if state in ("sent", "nothing") else 1)
    assert mismatches(json.loads(block), found, "forward") == []
    assert (found["ended"], found["complete"]) == ((state, False) if state in ("off", "refused") else (None, True))


def test_nothing_recorded_is_nothing_to_send(home: Any) -> None:
    """Exit code 0, no database made; to wait for a tool its name is needed."""
    done = home.run("--service shelf forward --endpoint http://127.0.0.1:9")
    assert "nothing recorded yet" in done.stderr
    assert not home.store_path().exists()
    assert "--service NAME" in home.run("forward --follow --endpoint http://127.0.0.1:9", code=2).stderr


def test_of_several_tools_one_must_be_named(home: Any) -> None:
    """Nothing of a tool leaves that nobody named."""
    home.record(*events(1), service="alpha")
    home.record(*events(2), service="beta")
    with scripted_server() as server:
        home.run(f"forward --endpoint {server.endpoint}", code=2)
        assert server.requests == []
        home.run(f"--service beta forward --endpoint {server.endpoint}")
        assert server.names == {"a2": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_following_ends_at_a_signal_in_the_middle_of_an_exchange(home: Any, number: signal.Signals) -> None:
    """A real process, a server that hangs: the exit code is 0, and no traceback stands on standard error."""
    home.record(*events(1))
    with scripted_server(lambda _: HANG) as server:
        command = [sys.executable, "-m", "usagetrace", "forward", "--follow", "--endpoint", server.endpoint]
        process = subprocess.Popen(
            command, cwd=home.work, env=home.process_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert server.asked.wait(30)
        process.send_signal(number)
        # Less than the exchange would take by itself.
        out, err = process.communicate(timeout=8)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_status_says_how_far_each_endpoint_is(home: Any) -> None:
    """What was sent and when, what waits since when, and what was set aside with the reason."""
    home.record(*events(*range(20)))
    with scripted_server(refusing("a7")) as server:
        home.run(f"forward --endpoint {server.endpoint}")
        home.record(*events(30, 31))
        (store,) = home.json("status")["stores"]
        text = home.run("status").stdout
    (delivery,) = store["deliveries"]
    told = {key: delivery[key] for key in ("endpoint", "delivered", "waiting_events", "set_aside_events")}
    assert told == {"endpoint": server.endpoint, "delivered": 19, "waiting_events": 2, "set_aside_events": 1}
    assert delivery["waiting_since"] == "2026-11-01T12:00:00.030Z"
    (aside,) = delivery["set_aside"]
    assert (aside["event"], aside["reason"]) == (8, "did not take the request (HTTP 400): bad value")
    assert f"to {server.endpoint}: 2 events to be sent, the oldest of 2026-11-01 12:00:00 UTC; 19 sent" in text
    assert "set aside: event 8, deploy a7: it did not take the request (HTTP 400): bad value" in text


def test_status_says_what_leaves_later(home: Any) -> None:
    """With an outbox, spans and log events leave, no metrics, and not at once: what was never sent is said to wait."""
    home.record(*events(1, 2))
    home.environ.update(USAGETRACE_OTLP_DELIVERY="outbox", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert set(home.json("status")["leaves_this_machine"]) == {"traces", "logs"}
    assert "logs, redacted, to http://127.0.0.1:4318, later, from the local file" in home.run("status").stdout
    (delivery,) = home.json("status")["stores"][0]["deliveries"]
    assert (delivery["endpoint"], delivery["waiting_events"], delivery["last_delivered"]) == (
        "http://127.0.0.1:4318", 2, None,
    )  # fmt: skip


def test_the_unit_for_systemd_starts_a_command_that_there_is(home: Any) -> None:
    """What ExecStart says is a command line that is understood."""
    unit = (SHAPE.parents[2] / "examples" / "systemd" / "usagetrace-forward.service").read_text("utf-8")
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    program, *arguments = line.split()
    assert program.endswith("/usagetrace")
    assert arguments[-2:] == ["forward", "--follow"]
    assert "--follow" in home.run([*arguments, "--help"]).stdout
