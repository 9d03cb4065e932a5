"""A program that forbids every import while it works, as installers do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = """
import sys

class Barred(Exception): pass

class Bar:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(f"no import of {name} any more")

def hook(event, arguments):
    if event == "import" and arguments[0] not in sys.modules:
        print("asked for", arguments[0], file=sys.stderr)

def work():
    sys.meta_path.insert(0, Bar())
    sys.addaudithook(hook)
    for name in ("plain", "a" * 70_000, "/home/somebody/canvas", "token ghp_" + "x1" * 18):
        deploy(name)
    try:
        deploy(None)
    except Barred:
        pass
    install(["one", "two"])
    for name in gather("three"):
        pass

def deploy(name):
    if name is None:
        raise Barred("at /srv/www/x with password=hunter22")
    return {"version": 1.5, "files": ["a", "b"]}

def install(names):
    deploy(names[0])
    return names

def gather(name):
    yield name
"""

TARGETS = """
[[targets]]
function = "barred:deploy"
event = "deploy"
preload = true
metadata = { files = "$result.files", version = "$result.version" }

[[targets]]
function = "barred:install"
event = "update"
each = "$names"
artifact_name = "$item"
outcome = { '$result == 1' = "error" }

[[targets]]
function = "barred:gather"
event = "search"
"""


@pytest.mark.parametrize("endpoint", [False, True], ids=["local", "with an endpoint"])
def test_a_program_that_forbids_imports_loses_no_event(tmp_path: Path, endpoint: bool) -> None:
    """Nothing is asked for any more once its functions are in place: not by a call, a failure, or the end."""
    (tmp_path / "barred.py").write_text(TOOL)
    (tmp_path / "targets.toml").write_text(TARGETS)
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if endpoint else {}
    environ = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "HOME")},
        "USAGETRACE_TARGETS": str(tmp_path / "targets.toml"),
        "USAGETRACE_DB_PATH": str(tmp_path / "analytics.db"),
        "USAGETRACE_EXIT_TIMEOUT": "0.3",
        **more,
    }
    program = "import usagetrace.auto, barred; barred.work(); import usagetrace; print(usagetrace.flush(0.5))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    if not endpoint:
        assert (done.stdout, done.stderr) == ("True\n", "")
    rows = sqlite3.connect(tmp_path / "analytics.db").execute(
        "SELECT event_type, artifact_name, status, metadata FROM events ORDER BY id"
    )
    found = [
        (kind, name[:12], status, json.loads(metadata or "{}").get("files")) for kind, name, status, metadata in rows
    ]
    assert [row[0] for row in found] == ["deploy"] * 5 + ["deploy"] + ["update"] * 2 + ["search"]
    assert [row[2] for row in found] == ["ok"] * 4 + ["error"] + ["ok"] * 4
    assert "asked for" not in done.stderr
