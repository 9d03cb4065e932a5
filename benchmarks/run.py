"""Run the benchmarks and print one table: python benchmarks/run.py [--markdown] [ROW ...]."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import (
    p1_call,
    p1d_remote,
    p1e_off,
    p1f_coroutine,
    p1p_peers,
    p2_oneshot,
    p2p_peers,
    p3_store,
    p3m_processes,
    p4d_disk,
    p5_receiver,
    p6_redaction,
    p6c_peers,
)
from benchmarks.harness import HEADER, MARKDOWN_HEADER, BenchmarkError, Figure

MODULES = (
    p1_call,
    p1d_remote,
    p1e_off,
    p1f_coroutine,
    p1p_peers,
    p2_oneshot,
    p2p_peers,
    p3_store,
    p3m_processes,
    p4d_disk,
    p5_receiver,
    p6_redaction,
    p6c_peers,
)
BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    row: measure for module in MODULES for row, measure in module.ROWS.items()
}


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def conditions() -> str:
    """Return what the figures were measured on, and when."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {os.cpu_count()} x {processor()}{load}; "
        f"CPython {platform.python_version()}, opentelemetry-sdk {version('opentelemetry-sdk')}, "
        f"wrapt {version('wrapt')}, SQLite {sqlite3.sqlite_version}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print figures with what they were measured on. Return 1 where a benchmark went wrong."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and print one table.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which ones: {' '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(arguments)
    unknown = [row for row in options.rows if row not in BENCHMARKS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    print(f"{conditions()}\nvalue: ratio or difference of medians, both sides in turn\n")
    print(MARKDOWN_HEADER if options.markdown else HEADER)
    failed = False
    for row in options.rows or BENCHMARKS:
        try:
            for figure in BENCHMARKS[row]():
                print(figure.markdown() if options.markdown else figure.line(), flush=True)
        except BenchmarkError as error:
            failed = True
            print(f"{row:4} went wrong: {error}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
