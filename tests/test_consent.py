"""The user's no: who may say it, that nobody overrules it, and that off touches nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.config import load_settings
from usagetrace.consent import consent, environment_consent, to_bool

OPT_OUT = ("DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED")


@pytest.mark.parametrize("name", OPT_OUT)
@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("1", False), ("true", False), ("TRUE", False), ("yes", False), (" 1 ", False), ("please", False), ("2", False),
        ("0", True), ("false", True), ("False", True), ("no", True), ("off", True), ("", True), ("  ", True),
    ],
)  # fmt: skip
def test_variables_that_opt_out(name: str, value: str, allowed: bool) -> None:
    """A variable that opts out does so with any text but a word for no; the reason names it."""
    said = environment_consent({name: value})
    assert said.allowed is allowed
    assert (name in said.reason) is not allowed
    assert bool(said.fault) is (value in ("please", "2"))


@pytest.mark.parametrize(
    ("value", "allowed"), [("1", True), ("true", True), ("", True), ("0", False), ("off", False), ("maybe", False)]
)
def test_variable_that_opts_in(value: str, allowed: bool) -> None:
    """USAGETRACE_ENABLED allows only with a word for yes; what can't be read means no."""
    said = environment_consent({"USAGETRACE_ENABLED": value})
    assert said.allowed is allowed
    assert bool(said.fault) is (value == "maybe")


FILES: dict[str, bool] = {
    "": True,
    "[analytics]": True,
    "[analytics]\nenabled = true": True,
    "[other]\nenabled = false": True,
    "[analytics]\nenabled = false": False,
    '[analytics]\nenabled = "false"': False,
    '[analytics]\nenabled = "perhaps"': False,
    "[analytics]\nenabled = 1": False,
    "[analytics]\nenabled = []": False,
    "analytics = false": False,
    "analytics = 5": False,
    "[analytics": False,
}


@pytest.mark.parametrize("text", FILES)
def test_users_own_file(tmp_path: Path, text: str) -> None:
    """The user's file says no with false, and with anything that can't be read as yes."""
    environ = user_file(tmp_path, text)
    said = consent(environ)
    assert said.allowed is FILES[text]
    assert bool(said.reason) is not FILES[text]


def user_file(root: Path, text: str) -> dict[str, str]:
    """Write a user's settings file and return the environment that leads there."""
    folder = root / "config" / "usagetrace"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(text)
    config = str(root / "config")
    return {"HOME": str(root), "USERPROFILE": str(root), "XDG_CONFIG_HOME": config, "APPDATA": config}


NOES: dict[str, dict[str, str]] = {
    **{name: {name: "1"} for name in OPT_OUT},
    "USAGETRACE_ENABLED": {"USAGETRACE_ENABLED": "false"},
    "unreadable word": {"USAGETRACE_ENABLED": "whatever"},
}


@pytest.mark.parametrize("no", [*NOES, "user file", "unreadable user file"])
def test_no_beats_every_yes(tmp_path: Path, no: str) -> None:
    """The user's no wins over arguments, environment and project file, and even faults do not raise then."""
    text = {"user file": "[analytics]\nenabled = false", "unreadable user file": "\0"}.get(no, "")
    environ = user_file(tmp_path, text)
    if no not in NOES:
        environ["USAGETRACE_ENABLED"] = "true"
    environ.update(NOES.get(no, {}))
    project = tmp_path / "project"
    project.mkdir()
    (project / "usagetrace.toml").write_text("[analytics]\nenabled = true\nnonsense = 1\n")
    settings = load_settings({"enabled": True, "retention_days": "x"}, environ=environ, cwd=project)
    assert settings.enabled is False
    assert settings.off_reason


def test_a_projects_no_is_not_overruled_by_the_users_yes(tmp_path: Path) -> None:
    """A project that switches tracking off stays off where the user's file says yes; an argument may overrule it."""
    environ = user_file(tmp_path, "[analytics]\nenabled = true")
    project = tmp_path / "project"
    project.mkdir()
    (project / "usagetrace.toml").write_text("[analytics]\nenabled = false")
    assert load_settings(environ=environ, cwd=project).enabled is False
    assert load_settings({"enabled": True}, environ=environ, cwd=project).enabled is True


@given(word=st.text(max_size=8))
def test_words_are_yes_no_or_neither(word: str) -> None:
    """A word's case and the space around it change nothing."""
    assert to_bool(word) == to_bool(f" {word.strip()}\n")
    if word.isascii():
        assert to_bool(word.upper()) == to_bool(word.lower())


# --- off touches nothing ---------------------------------------------------------------------------------------

# Imports everything first, then records what Python itself reports of files, processes, sockets and threads.
PROGRAM = """
import json, os, sys, threading
import usagetrace
from usagetrace import track
import importlib.util

seen = []
WATCHED = ("open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod", "os.truncate",
           "socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "sqlite3.", "_thread.start")

def hook(event, args):
    if event.startswith(WATCHED):
        writes = event != "open" or (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        name = os.fspath(args[0]) if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)) else repr(args)
        seen.append([event, str(name), bool(writes)])

@track.deploy
def deploy(artifact_name, artifact_type): return "deployed"

@track.search
async def search(query): return ["a"]

before = set(sys.modules)
sys.addaudithook(hook)
started = threading.active_count()
result = deploy("canvas", "skill")
try:
    search("q").send(None)
except StopIteration as stop:
    found = stop.value
with track.sync(artifact_name="canvas") as operation:
    operation.set(result="conflict")
recorded = usagetrace.record_event("deploy", "canvas", "skill")
if CONFIGURE:
    usagetrace.configure(service_name="tool", enabled=True, db_path="here.db", otlp_endpoint="http://localhost:9")
    deploy("canvas", "skill")
usagetrace.flush()
usagetrace.shutdown()
print(json.dumps({
    "result": [result, found, recorded],
    "seen": seen,
    "threads": threading.active_count() - started,
    "modules": sorted({"sqlite3", "opentelemetry.sdk", "click", "rich"} & set(sys.modules)),
}))
"""


def run_program(tmp_path: Path, said: dict[str, str], configure: bool) -> dict[str, Any]:
    """Run the program in an environment; return what it did."""
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "LANG")}
    environ.update({"HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})
    environ.update({"PYTHONDONTWRITEBYTECODE": "1", **said})
    work = tmp_path / "cwd"
    work.mkdir()
    program = PROGRAM.replace("CONFIGURE", str(configure))
    done = subprocess.run([sys.executable, "-c", program], env=environ, cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def off_run(tmp_path: Path, no: str, configure: bool) -> dict[str, Any]:
    """Run the program with one way of saying no; see that it works, records nothing and leaves no file."""
    text = {"user file": "[analytics]\nenabled = false", "unreadable user file": "[["}.get(no)
    said = {**({} if text is None else user_file(tmp_path, text)), **NOES.get(no, {})}
    before = {str(path) for path in tmp_path.rglob("*")}
    report = run_program(tmp_path, said, configure)
    assert {str(path) for path in tmp_path.rglob("*")} - before == {str(tmp_path / "cwd")}
    assert report["result"] == ["deployed", ["a"], False]
    return report


EVERY_NO = [*NOES, "user file", "unreadable user file"]


@pytest.mark.parametrize("configure", [False, True], ids=["unconfigured", "configured"])
@pytest.mark.parametrize("no", EVERY_NO)
def test_off_touches_nothing(tmp_path: Path, no: str, configure: bool) -> None:
    """With any no, tracked calls, record_event and configure() write no file, open no socket and start no thread."""
    report = off_run(tmp_path, no, configure)
    writes = [event for event in report["seen"] if event[0] != "open" or event[2]]
    assert (writes, report["threads"]) == ([], 0)
    assert [m for m in report["modules"] if m in ("click", "rich")] == []


@pytest.mark.parametrize("configure", [False, True], ids=["unconfigured", "configured"])
@pytest.mark.parametrize("no", EVERY_NO)
def test_off_loads_nothing(tmp_path: Path, no: str, configure: bool) -> None:
    """With any no, neither a tracked call nor configure() loads the SDK or SQLite."""
    assert off_run(tmp_path, no, configure)["modules"] == []


def test_without_a_no_the_same_program_records(tmp_path: Path) -> None:
    """The watched program does record where nobody said no: the tests above could fail."""
    report = run_program(tmp_path, {}, configure=False)
    assert report["result"] == ["deployed", ["a"], True]
    assert [name for event, name, writes in report["seen"] if writes and event == "open"] != []
    # The program ends with shutdown(), which brings everything into the database.
    assert report["modules"] == ["sqlite3"]
    assert [path.name for path in tmp_path.rglob("analytics.db")] == ["analytics.db"]
