"""The how-tos of receiving, followed word for word in a shell; only the ports are others: they must be free."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import HOW_TOS, commands, shell
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e


def follow(page: str, home: Path) -> str:
    """Run all commands of a page in one shell, and return what they say."""
    script = commands((HOW_TOS / page).read_text(encoding="utf-8"))
    http, grpc = str(free_port()), str(free_port())
    script = script.replace("4318", http).replace(" serve ", f" serve --port {http} --grpc-port {grpc} ")
    # What is installed here already is not to be installed again.
    script = script.replace("make .venv/.run\n", "test -x .venv/bin/usagetrace\n")
    with shell(home) as following:
        return following.run(script, 120)


def test_see_it_locally(tmp_path: Path) -> None:
    """The receiver says where it is, the endpoint is fine, the report has four deploys, and curl's counts too."""
    told = follow("see-it-locally.md", tmp_path)
    assert "listening on http://127.0.0.1:" in told
    assert "Every endpoint answers" in told
    assert re.search(r"4 operations, 1 failed", told)
    assert "FileNotFoundError" in told
    assert re.search(r"from-curl +1", told)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp.")]


def test_receive_for_a_team(tmp_path: Path) -> None:
    """With a token and TLS; what was recorded while nobody listened arrives, once, when somebody does."""
    told = follow("receive-for-a-team.md", tmp_path)
    assert "Every endpoint answers" in told
    assert "nobody there: they wait" in told
    assert "2 events delivered" in told
    assert "nothing to send" in told or told.count("nothing waits") >= 2
    assert re.search(r"canvas +1 ", told)
    assert re.search(r"token-counter +1 ", told)
