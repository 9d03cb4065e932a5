"""Where benchmarks run: a home directory of their own, the bare SDK, and what is in a store once all has arrived.

It uses the package as its users do; how events travel is none of its business.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import usagetrace
from benchmarks.harness import BenchmarkError

PROGRAMS = Path(__file__).resolve().parent / "programs"
# The environment in which peers are installed.
PEERS = Path(__file__).resolve().parent.parent / ".venv-bench"
# Seconds that a drain may take before a benchmark counts as failed.
PATIENCE = 120.0
_FOREIGN = ("OTEL_", "USAGETRACE_", "XDG_", "DO_NOT_TRACK", "LOGFIRE_", "PYTHON")


class Nowhere(SpanExporter):
    """Takes spans, counts them, and does nothing with them."""

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count a batch."""
        self.spans += len(spans)
        return SpanExportResult.SUCCESS


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """Give this process an empty home directory, and no setting of whoever runs it; then restore both."""
    before, folder = dict(os.environ), os.getcwd()
    with tempfile.TemporaryDirectory(prefix="usagetrace-bench-") as own:
        try:
            os.environ.clear()
            os.environ.update(clean(before, own))
            os.chdir(own)
            yield Path(own)
        finally:
            usagetrace.shutdown(PATIENCE)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)


def clean(environment: dict[str, str], own: str) -> dict[str, str]:
    """Return an environment without settings, and with a home directory.

    The path to search stays: by it another version can be measured. PYTHONDONTWRITEBYTECODE goes: what is installed
    has its bytecode beside it, and a checkout that must compile itself each time tells nothing.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(_FOREIGN) or name == "PYTHONPATH"}
    return {**kept, "HOME": own}


@contextlib.contextmanager
def bare_sdk(*more: SpanExporter) -> Iterator[TracerProvider]:
    """Give a provider of the bare SDK with the stock batch processor and an exporter that does nothing."""
    provider = TracerProvider(resource=Resource({"service.name": "bare"}), shutdown_on_exit=False)
    for exporter in more or (Nowhere(),):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider
    finally:
        provider.shutdown()


def flush() -> None:
    """Have everything that was tracked in the store.

    Raises:
        BenchmarkError: It took too long.
    """
    if not usagetrace.flush(PATIENCE):
        raise BenchmarkError(f"what was tracked was not in the store after {PATIENCE:g} s")


def drain(database: Path) -> None:
    """Have everything that other processes left for a database in it: one event of our own, then a flush."""
    usagetrace.configure(service_name="bench", db_path=database, enabled=True)
    if not usagetrace.record_event("bench.drain", "", ""):
        raise BenchmarkError(f"{database}: an event could not be recorded")
    flush()
    usagetrace.shutdown(PATIENCE)


def expect(database: Path, query: str, *expected: int) -> None:
    """Ask a store for numbers.

    Raises:
        BenchmarkError: They are others than expected.
    """
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            found = connection.execute(query).fetchone()
    except sqlite3.Error as error:
        raise BenchmarkError(f"{query}: {error}") from error
    if found != expected:
        raise BenchmarkError(f"{query}: {found} in the store, {expected} expected")


def process(command: Sequence[str | os.PathLike[str]], *, quiet: bool = True) -> tuple[float, str]:
    """Run a program to its end; return the milliseconds that it took, and what it printed.

    Args:
        command: Interpreter, program and arguments.
        quiet: Whether it is a fault that it writes to its standard error.

    Raises:
        BenchmarkError: It failed.
    """
    began = time.perf_counter_ns()
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    took = (time.perf_counter_ns() - began) / 1e6
    if done.returncode or (quiet and done.stderr):
        raise BenchmarkError(f"{command[-1]} ended with {done.returncode}: {done.stderr}")
    return took, done.stdout


def peer_python() -> str:
    """Return the interpreter of the environment in which peers are installed.

    Raises:
        BenchmarkError: There is none.
    """
    python = PEERS / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        raise BenchmarkError(f"{PEERS} is missing: run `make bench`, which makes it from benchmarks/requirements.txt")
    return str(python)


def own_python() -> str:
    """Return the interpreter that runs this."""
    return sys.executable
