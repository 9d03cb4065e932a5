"""``import usagetrace`` loads only what a program that records nothing needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
