"""The how-tos of receiving, followed word for word in a shell; only the ports are others: they must be free."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_otelcol_howto import commands
from tests.support.otelcol import ENVIRONMENT, ROOT
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[object]:
    """Return a function that runs all commands of a page in one shell, and returns what they say."""
    base = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("USAGETRACE_", "OTEL_", "DO_NOT_"))}
    groups: list[int] = []

    def run(page: str) -> str:
        script = commands((ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8"))
        http, grpc = str(free_port()), str(free_port())
        script = script.replace("4318", http).replace(" serve ", f" serve --port {http} --grpc-port {grpc} ")
        # What is installed here already is not to be installed again.
        script = script.replace("make .venv/.run\n", "test -x .venv/bin/usagetrace\n")
        log = tmp_path / "shell.log"
        with log.open("wb") as out:
            shell = subprocess.Popen(
                ["bash", "-eu", "-c", script],
                cwd=ROOT,
                env={**base, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            groups.append(shell.pid)
            code = shell.wait(timeout=120)
        told = log.read_text(encoding="utf-8", errors="replace")
        assert code == 0, told[-6000:]
        return told

    yield run
    for leader in groups:
        try:
            os.killpg(leader, signal.SIGKILL)
        except ProcessLookupError:
            continue
        raise AssertionError("what the page starts still runs after its last command")


def test_see_it_locally(follow: object, tmp_path: Path) -> None:
    """The receiver says where it is, the endpoint is fine, the report has four deploys, and curl's counts too."""
    assert callable(follow)
    told = follow("see-it-locally.md")
    assert "listening on http://127.0.0.1:" in told
    assert "Every endpoint answers" in told
    assert re.search(r"4 operations, 1 failed", told)
    assert "FileNotFoundError" in told
    assert re.search(r"from-curl +1", told)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp.")]


def test_receive_for_a_team(follow: object) -> None:
    """With a token and TLS; what was recorded while nobody listened arrives, once, when somebody does."""
    assert callable(follow)
    told = follow("receive-for-a-team.md")
    assert "Every endpoint answers" in told
    assert "nobody there: they wait" in told
    assert "2 events delivered" in told
    assert "nothing to send" in told or told.count("nothing waits") >= 2
    assert re.search(r"canvas +1 ", told)
    assert re.search(r"token-counter +1 ", told)
