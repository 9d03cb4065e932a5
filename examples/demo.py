"""The main job on real input: two real tools work on real folders, then the report of what was recorded.

``make demo`` runs this. The first tool is skillshelf, decorated with ``track``; the second is papis, a program from
PyPI that is not changed at all: ``usagetrace run`` starts it, and a file names its functions. Both write into one
SQLite file at the same time, each with a home directory of its own. Each tells, from what it did on the disk and
printed, which events must be there: skillshelf's are compared one for one before the report, papis's are counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
# Variables that would send the demonstration's events elsewhere, or switch them off.
_FOREIGN = ("OTEL_", "USAGETRACE_", "DO_NOT_TRACK", "XDG_", "SHELF_", "PAPIS_")


@dataclass(frozen=True)
class Told:
    """What a story did, and what the store says of it.

    Attributes:
        service: The tool.
        expected: How many events of each type there must be.
        faults: One sentence for each event that is missing, too many, or different.
        seconds: How long it took.
    """

    service: str
    expected: Counter[str]
    faults: tuple[str, ...]
    seconds: float


def run(folder: Path) -> list[Told]:
    """Tell both stories in a new folder.

    Args:
        folder: Where everything goes; the database is ``analytics.db`` in it.
    """
    database = folder / "analytics.db"
    env = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    env["USAGETRACE_DB_PATH"] = str(database)
    with ThreadPoolExecutor() as threads:
        skillshelf = threads.submit(_skillshelf, folder / "skillshelf-home", env, database)
        papis = threads.submit(_papis, folder / "papis", env, database)
        return [skillshelf.result(), papis.result()]


def _skillshelf(home: Path, env: dict[str, str], database: Path) -> Told:
    began = time.monotonic()
    story = _story(HERE / "demo_skillshelf.py")
    expected = story.run(home, env)
    faults = story.differences(expected, rows(database, "skillshelf"))
    counted = Counter(event.event_type for event in expected)
    return Told("skillshelf", counted, tuple(faults), time.monotonic() - began)


def _papis(folder: Path, env: dict[str, str], database: Path) -> Told:
    began = time.monotonic()
    expected = _story(HERE / "instrumented" / "papis" / "story.py").run(folder, env)
    counted = Counter(event.event_type for event in expected)
    found = Counter(row["event_type"] for row in rows(database, "papis"))
    faults = [
        f"papis: {found[kind]} {kind} events, expected {counted[kind]}"
        for kind in sorted(counted | found)
        if counted[kind] != found[kind]
    ]
    return Told("papis", counted, tuple(faults), time.monotonic() - began)


def _story(path: Path) -> ModuleType:
    """Import a story from its file; every instrumented program has one of the same name."""
    spec = importlib.util.spec_from_file_location(f"story_of_{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no story in {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(database: Path, service: str) -> list[dict[str, Any]]:
    """Return the events of a tool in the order in which they were recorded.

    Its commands left them in the spool beside the database; they are moved in first.
    """
    drain = [sys.executable, "-m", "usagetrace", "--db", str(database), "db", "drain"]
    subprocess.run(drain, check=True, stdout=subprocess.DEVNULL)
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM events WHERE service_name = ? ORDER BY id", (service,))
        return [dict(row) for row in found]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and print the report; return 0 when every event is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parent / ".demo", help="where everything goes")
    folder = parser.parse_args(arguments).folder.resolve()
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    print("skillshelf manages skills, commands and agents; papis manages papers. Both at work ...", flush=True)
    told = run(folder)
    for story in told:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(story.expected.items()))
        print(f"{story.service}: {story.expected.total()} events ({kinds}) in {story.seconds:.1f} s")
        for fault in story.faults:
            print(f"  {fault}", file=sys.stderr)
    print(flush=True)
    report = [sys.executable, "-m", "usagetrace", "--db", str(folder / "analytics.db"), "report", "--since", "all"]
    code = subprocess.run(report, check=False).returncode
    print(f"\nThe database:  {folder / 'analytics.db'}")
    print(f"Look further:  {Path(sys.executable).parent / 'usagetrace'} --db {folder / 'analytics.db'} events")
    return 1 if code or any(story.faults for story in told) else 0


if __name__ == "__main__":
    sys.exit(main())
