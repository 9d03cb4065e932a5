"""P2: what a one-shot command costs as a whole process, with one tracked call; P2o: with telemetry off."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Figure, difference, interleaved, ratio

ROUNDS = 15

TOOL = """
from usagetrace import track

@track.deploy
def deploy(artifact_name, artifact_type, collection_name, project_path):
    return True

deploy("canvas", "skill", "default", "/srv/shop")
"""
BARE = """
import wrapt
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

tracer = TracerProvider(resource=Resource({"service.name": "bare"})).get_tracer("bare")
with tracer.start_as_current_span("deploy", attributes={f"a{n}": "v" for n in range(8)}):
    pass
"""
WRAPT = "import wrapt\n"


def process(script: Path, env: dict[str, str]) -> float:
    """Run a script; return milliseconds from start to end."""
    began = time.perf_counter_ns()
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, check=False)
    took = (time.perf_counter_ns() - began) / 1e6
    if done.returncode or done.stderr:
        sys.exit(f"P2: {script.name} ended with {done.returncode}: {done.stderr.decode()}")
    return took


def measure() -> list[Figure]:
    """Return the figures of P2 and P2o."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "USAGETRACE_", "XDG_", "DO_NOT"))}
        env = {**kept, "HOME": folder}
        off = {**env, "DO_NOT_TRACK": "1"}
        scripts = {name: home / f"{name}.py" for name in ("tool", "bare", "wrapt_alone")}
        for name, source in (("tool", TOOL), ("bare", BARE), ("wrapt_alone", WRAPT)):
            scripts[name].write_text(source, encoding="utf-8")
        ours, theirs = interleaved(lambda: process(scripts["tool"], env), lambda: process(scripts["bare"], env), ROUNDS)
        ours_off, theirs_off = interleaved(
            lambda: process(scripts["tool"], off), lambda: process(scripts["wrapt_alone"], env), ROUNDS
        )
        database = home / ".local/share/usagetrace/tool/analytics.db"
        with closing(sqlite3.connect(database)) as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM events").fetchone()
    if count != ROUNDS + 1:
        sys.exit(f"P2: {count} events in the store")
    return [
        ratio("P2  a one-shot command, whole process", "ms", ours, theirs, at_most=1.10),
        difference("P2o the same with telemetry off, ms more", "ms", ours_off, theirs_off, at_most=5.0),
    ]


if __name__ == "__main__":
    for figure in measure():
        print(figure.line())
