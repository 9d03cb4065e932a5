"""Run every benchmark and print one table."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import p1_call, p1e_off, p2_oneshot, p3_store
from benchmarks.harness import HEADER


def main() -> None:
    """Measure, and print figures with what they were measured on."""
    import sqlite3

    print(
        f"CPython {platform.python_version()}, opentelemetry-sdk {version('opentelemetry-sdk')}, "
        f"wrapt {version('wrapt')}, SQLite {sqlite3.sqlite_version}; value: ratio or difference of medians"
    )
    print(HEADER)
    for benchmark in (p1_call, p1e_off, p2_oneshot, p3_store):
        for figure in benchmark.measure():
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
