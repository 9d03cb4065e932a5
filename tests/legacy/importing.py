"""A program that imports a legacy file, for the tests that kill it.

Run as ``python -m tests.legacy.importing FILE DATABASE``: after each batch that is committed it prints a line, and goes
on when it gets one. So it never ends before it is killed.
"""

from __future__ import annotations

import sys

from usagetrace.importers.run import IMPORT, run
from usagetrace.importers.skill_metrics import SkillMetricsReader


def step(stage: str, done: int) -> None:
    """Tell of a batch, and wait."""
    if stage == IMPORT:
        print(done, flush=True)
        sys.stdin.readline()


def main() -> None:
    """Import the file that the arguments name."""
    path, database = sys.argv[1:]
    run(SkillMetricsReader(path, store_path=database), database, progress=step)


if __name__ == "__main__":
    main()
