"""What a program loads: nothing that it has no use for, whether it only decorates, records one call, or may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("opentelemetry", "sqlite3", "click", "rich", "grpc", "requests", "asyncio", "importlib.metadata.prepare")


def loaded(statement: str) -> list[str]:
    """Return the names of the modules that a statement loads in a process of its own."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    program = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout)
    return names


STATEMENTS: dict[str, tuple[str, ...]] = {
    "import usagetrace": HEAVY,
    "from usagetrace import track, redaction": HEAVY,
    "import usagetrace.track": HEAVY,
    "import usagetrace.config": HEAVY,
    "import usagetrace.events, usagetrace.semconv, usagetrace.errors": HEAVY,
    "import usagetrace.store": ("opentelemetry.sdk", "click", "rich"),
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_import_loads_nothing_heavy(statement: str) -> None:
    """An import loads neither the SDK nor SQLite nor the command line's libraries, unless it is made of them."""
    # From its version 2.2 on, wrapt itself loads asyncio.
    modules = set(loaded(statement)) - set(loaded("import wrapt"))
    assert [h for h in STATEMENTS[statement] for m in modules if m == h or m.startswith(f"{h}.")] == []


def test_decorating_loads_nothing_heavy() -> None:
    """Decorating functions, without calling them, loads nothing either."""
    statement = (
        "from usagetrace import track\n@track.deploy\ndef deploy(artifact_name): ...\ntrack.search(each='$result')"
    )
    modules: list[Any] = loaded(statement)
    assert [m for m in modules if m.split(".")[0] in ("sqlite3", "click", "rich")] == []
    assert [m for m in modules if m.startswith("opentelemetry.sdk")] == []


# The program of one tracked call, and what it loaded beyond wrapt, which is a dependency of its own cost.
ONE_SHOT = """
import json, sys
import wrapt

before = set(sys.modules)
from usagetrace import track

@track.deploy
def deploy(artifact_name, artifact_type, collection_name, project_path):
    return True

assert deploy("canvas", "skill", "default", "/srv/shop")
print(json.dumps(sorted(set(sys.modules) - before)))
"""

# What a program loads that decorates a function; a call where telemetry is off adds nothing.
DECORATED = {
    "__future__", "_contextvars", "atexit", "contextvars",
    "usagetrace", "usagetrace.api", "usagetrace.consent", "usagetrace.errors", "usagetrace.guard",
    "usagetrace.redaction", "usagetrace.semconv", "usagetrace.track", "usagetrace.track.call",
    "usagetrace.track.conventions", "usagetrace.track.plan", "usagetrace.track.runtime", "usagetrace.track.tracker",
    "usagetrace.track.wrappers", "usagetrace.version",
}  # fmt: skip
# What its first recorded call adds, local mode and defaults: settings, redaction, the spool.
RECORDED = DECORATED | {
    "usagetrace.events", "usagetrace.patterns", "_struct", "binascii", "errno", "fcntl", "pwd", "struct",
    "usagetrace.config", "usagetrace.pipeline", "usagetrace.places", "usagetrace.setting_files",
    "usagetrace.setting_types", "usagetrace.redaction.engine", "usagetrace.redaction.identity",
    "usagetrace.redaction.keys", "usagetrace.redaction.paths", "usagetrace.redaction.places",
    "usagetrace.redaction.plain", "usagetrace.redaction.rules", "usagetrace.redaction.wordlist", "usagetrace.spool",
    "usagetrace.spool.layout", "usagetrace.spool.locks", "usagetrace.spool.room", "usagetrace.spool.segment",
    "usagetrace.spool.writer", "usagetrace.store", "usagetrace.store.recorder", "usagetrace.store.waiting",
    "usagetrace.track.local", "usagetrace.track.operation", "usagetrace.track.reading", "usagetrace.track.rows",
    "usagetrace.track.session", "usagetrace.track.values",
    "usagetrace.setting_declarations", "usagetrace.track.rates",
}  # fmt: skip


def one_shot(folder: Path, **more: str) -> set[str]:
    """Return what the program above loads, in a new folder that is its home and holds no settings."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "COVERAGE_PROCESS_START") if name in os.environ}
    environ = {**kept, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **more}
    folder.mkdir()
    program = folder / "tool.py"
    program.write_text(ONE_SHOT)
    done = subprocess.run(
        [sys.executable, program], env=environ, cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_one_recorded_call_loads_exactly_what_it_needs(tmp_path: Path) -> None:
    """A command with one call loads no module beyond the list, and its event is in the spool when it ends."""
    assert sorted(one_shot(tmp_path / "alone") - RECORDED) == []
    assert [path.parent.name for path in tmp_path.rglob("*.seg")] == ["spool"]
    assert list(tmp_path.rglob("analytics.db*")) == []


@pytest.mark.parametrize("variable", ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED"])
def test_with_telemetry_off_a_call_loads_nothing_more(tmp_path: Path, variable: str) -> None:
    """Where the environment says no, a tracked call loads nothing beyond what decorating loaded."""
    assert sorted(one_shot(tmp_path / "alone", **{variable: "1"}) - DECORATED) == []
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["tool.py"]
