"""``usagetrace serve`` as a user runs it: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from tests.server.running import PATIENCE_S, spans
from tests.support.process import clean_environment
from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.server import access, listening
from usagetrace.server.run import Server
from usagetrace.store import Store

TOKEN = "0123456789abcdef"


def asked(arguments: str, environ: dict[str, str] | None = None) -> Result:
    """Run the command in this process; only for what ends at once."""
    surroundings = Cli(environ={**os.environ, **(environ or {})})
    return CliRunner().invoke(app, arguments.split(), obj=surroundings)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """Have servers stop as soon as they are ready; yield those that ran."""
    ran: list[Server] = []
    run = Server.run

    def once(self: Server, ready: object = None) -> None:
        ran.append(self)

        def then() -> None:
            assert callable(ready)
            ready()
            self.stop()

        thread = threading.Thread(target=run, args=(self, then))
        thread.start()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    monkeypatch.setattr(Server, "run", once)
    return ran


def test_it_says_where_it_listens_and_writes(stopped: list[Server], tmp_path: Path) -> None:
    """Addresses with the ports that were free, the database of the tool "received", and the command for a report."""
    said = asked("serve --port 0 --grpc-port 0")
    assert said.exit_code == 0
    database = tmp_path / "home/.local/share/usagetrace/received/analytics.db"
    server = stopped[0]
    assert said.stderr.splitlines() == [
        f"listening on http://{server.http} (OTLP/HTTP) and {server.grpc} (OTLP/gRPC)",
        f"writing into {database}",
        "see it with: usagetrace --service received report",
    ]
    assert (said.stdout, database.exists()) == ("", True)


def test_the_database_can_be_named(stopped: list[Server], tmp_path: Path) -> None:
    """--db and --service say where it writes, and the command for a report says the same."""
    said = asked(f"--db {tmp_path / 'own.db'} serve --port 0 --no-grpc").stderr.splitlines()
    assert said[1:] == [f"writing into {tmp_path / 'own.db'}", f"see it with: usagetrace --db {tmp_path}/own.db report"]
    assert asked("--service shop serve --port 0 --no-grpc").stderr.endswith("usagetrace --service shop report\n")
    assert (tmp_path / "home/.local/share/usagetrace/shop/analytics.db").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_a_token(stopped: list[Server], host: str) -> None:
    """An address that others reach is refused without a token, with what to do; with one it is served."""
    said = asked(f"serve --host {host} --port 0 --no-grpc")
    assert said.exit_code == 2
    assert "--token-file" in said.stderr
    assert stopped == []


def test_a_token_comes_from_a_file_or_the_environment(stopped: list[Server], tmp_path: Path) -> None:
    """The file's first line, the variable, or the option, in this order of what goes before: option, file, variable."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nmore\n")
    variable = {"USAGETRACE_SERVER_TOKEN": "of-the-environment"}
    for arguments in (f"--token-file {file}", "--token given", ""):
        assert asked(f"serve --port 0 --no-grpc {arguments}", variable).exit_code == 0
    assert [server._access.token for server in stopped] == [TOKEN, "given", "of-the-environment"]


def test_an_open_address_with_a_token_is_served(stopped: list[Server]) -> None:
    """With a token other machines may be let in."""
    said = asked("serve --host 0.0.0.0 --port 0 --grpc-port 0", {"USAGETRACE_SERVER_TOKEN": TOKEN})
    assert said.exit_code == 0
    assert said.stderr.startswith("listening on http://0.0.0.0:")
    assert TOKEN not in said.output


@pytest.mark.parametrize(
    "arguments",
    [
        "--no-grpc --grpc-port 0",
        "--token a --token-file {file}",
        "--token ''",
        "--token a,b",
        "--token-file {empty}",
        "--token-file {missing}",
        "--port 65536",
        "--grpc-port -1",
    ],
)
def test_wrong_usage(stopped: list[Server], tmp_path: Path, arguments: str) -> None:
    """Options that contradict each other, or say nothing, end with exit code 2, and nothing is served."""
    (tmp_path / "file").write_text("token")
    (tmp_path / "empty").write_text("\n")
    names = {name: tmp_path / name for name in ("file", "empty", "missing")}
    said = asked(f"serve --port 0 --no-grpc {arguments.format(**names)}")
    assert (said.exit_code, stopped) == (2, [])
    assert said.stderr


def failing(arguments: str) -> str:
    """Return the one sentence with which a command fails."""
    said = asked(arguments)
    assert said.exit_code == 1
    (line,) = said.stderr.splitlines()
    return line


def test_a_taken_port(tmp_path: Path) -> None:
    """A port that another program has is told in one sentence, of HTTP or of gRPC, and nothing is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "another program listens there" in failing(f"serve --port {port} --no-grpc")
        assert "--no-grpc" in failing(f"serve --port 0 --grpc-port {port}")


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    """A database that is none, or can't be made, is told in one sentence before anything listens."""
    (tmp_path / "text").write_text("this is no database, but a text of some length" * 10)
    assert "not an SQLite database" in failing(f"--db {tmp_path / 'text'} serve --port 0 --no-grpc")
    assert str(tmp_path / "text") in failing(f"--db {tmp_path / 'text' / 'below.db'} serve --port 0 --no-grpc")


def test_a_host_without_an_address() -> None:
    """A name that stands for nothing is told in one sentence."""
    assert "has no address" in failing("serve --host no-such-host.invalid --port 0 --no-grpc")


def test_an_address_of_another_machine() -> None:
    """An address that this machine does not have is told as such."""
    said = asked("serve --host 192.0.2.1 --port 0 --no-grpc", {"USAGETRACE_SERVER_TOKEN": TOKEN})
    assert said.exit_code == 1
    assert "does not have that address" in said.stderr


def test_faults_of_settings_and_mappings_are_told(tmp_path: Path) -> None:
    """A mapping that can't be understood is a fault of the settings, named with its place."""
    config = tmp_path / "mapped.toml"
    config.write_text('[[receiver.map]]\nname = "x"\nevnt = "deploy"\n')
    said = asked("serve --port 0 --no-grpc", {"USAGETRACE_CONFIG": str(config)})
    assert said.exit_code == 1
    assert "evnt" in said.stderr


def test_the_users_no_is_about_recording(stopped: list[Server]) -> None:
    """Who runs a receiver wants it: DO_NOT_TRACK keeps tools from recording, and does not stop it."""
    assert asked("serve --port 0 --no-grpc", {"DO_NOT_TRACK": "1"}).exit_code == 0
    assert len(stopped) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.7.6", "::1", "::ffff:127.0.0.1"])
def test_what_is_loopback(address: str) -> None:
    """All addresses of this machine alone are known as such."""
    assert not listening.is_open_to_others(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_what_is_not_loopback(address: str) -> None:
    """An address that another machine may reach is not taken for this one's own."""
    assert listening.is_open_to_others(address)


@pytest.mark.parametrize("text", ["", " ", "a b", "a\nb", "ä", "a,b", '"a"', "=="])
def test_what_is_no_token(text: str) -> None:
    """What a header can't carry as one word is refused rather than never matched."""
    assert not access.is_token(text)


@contextlib.contextmanager
def process(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the real command; give it with its two addresses."""
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "usagetrace", *arguments]
    started = subprocess.Popen(
        command, env=clean_environment(home), cwd=home, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert started.stderr is not None
        found = re.search(r"http://(\S+) .* and (\S+) \(OTLP/gRPC\)", started.stderr.readline())
        assert found is not None
        yield started, found[1], found[2]
    finally:
        started.kill()
        started.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.e2e)])
def test_a_signal_ends_it(tmp_path: Path, number: int) -> None:
    """A real process ends with exit code 0 at a signal, within its time; what it acknowledged is in the database."""
    database = tmp_path / "a.db"
    serving = process(tmp_path / "own", "--db", str(database), "serve", "--port", "0", "--grpc-port", "0")
    with serving as (run, http, rpc), grpc.insecure_channel(rpc) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        call(spans("acknowledged"), timeout=PATIENCE_S)
        host, _, port = http.rpartition(":")
        # A connection that says nothing, and a channel that stays open, do not keep it.
        with socket.create_connection((host, int(port))):
            run.send_signal(number)
            out, err = run.communicate(timeout=PATIENCE_S)
    # Where it writes and how to see it stand first.
    assert (run.returncode, out, err.splitlines()[2:]) == (0, "", [])
    with Store(database, read_only=True) as store:
        assert [row["artifact_name"] for row in store.get_events()] == ["acknowledged"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what serves, the command says what to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert failing("serve") == "usagetrace: serving needs uvicorn: pip install 'usagetrace[server]'"


def test_without_grpcio_there_is_no_grpc(stopped: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without grpcio HTTP is served alone, unless a port of gRPC is asked for: then that is said."""
    monkeypatch.setitem(sys.modules, "grpc", None)
    said = asked("serve --port 0")
    assert (said.exit_code, stopped[0].grpc) == (0, None)
    assert "gRPC" not in said.stderr
    assert "pip install 'usagetrace[server]'" in failing("serve --port 0 --grpc-port 0")
