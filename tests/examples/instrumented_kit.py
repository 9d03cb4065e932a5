"""What the tests of the instrumented programs share: their stories, a clean environment, and the store compared."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from usagetrace.store.catchup import catch_up

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "instrumented"
SOURCE = ROOT / "src"

Row = Mapping[str, Any]
# What differs from one run of a program to the next: its random ids and the time.
_NOISE = (
    (re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d"), "TIME"),
    # Where pip puts what it takes away, until it knows that it need not put it back.
    (re.compile(r"(?<=/pip-uninstall-)\w+"), "ID"),
    (re.compile(r"(?<=/)~\w+"), "ID"),
)
_TRACEBACK = "Traceback (most recent call last):"


def load_story(program: str) -> ModuleType:
    """Import a program's story from its file, under a name that is no program's."""
    spec = importlib.util.spec_from_file_location(f"instrumented_{program}_story", EXAMPLES / program / "story.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def environment(**more: str) -> dict[str, str]:
    """Return an environment without anybody's settings for the programs, OpenTelemetry or usagetrace."""
    foreign = ("PAPIS_", "PIP_", "VDIRSYNCER_", "OTEL_", "USAGETRACE_", "XDG_", "DO_NOT_TRACK", "PYTHON", "TRACE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


@dataclass(frozen=True)
class Told:
    """A story that was told.

    Attributes:
        session: What ran the program's commands.
        expected: The events that there must be.
        store: Where they are, if anywhere.
    """

    session: Any
    expected: Sequence[Any]
    store: Path

    def rows(self) -> list[Row]:
        """Return every event in the store, in the order in which they were recorded, once all of them are in it."""
        report = catch_up(self.store)
        assert report is not None
        assert report.complete
        return [{**row, "metadata": json.loads(row["metadata"] or "{}")} for row in self.select("SELECT * FROM events")]

    def select(self, query: str) -> list[dict[str, Any]]:
        """Ask the store."""
        with closing(sqlite3.connect(self.store)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def dump(self) -> str:
        """Return all that the store holds, as SQL."""
        with closing(sqlite3.connect(self.store)) as connection:
            return "\n".join(connection.iterdump())

    def said(self) -> list[tuple[tuple[str, ...], int, list[str], list[str]]]:
        """Return each command, its exit code and what it printed, without what differs from run to run.

        Commands and lines in alphabetical order: some commands run side by side, and so do the tasks of some.
        """
        return sorted(
            (
                tuple(self._clean(word) for word in command.arguments),
                command.returncode,
                sorted(self._clean(command.stdout).splitlines()),
                sorted(self._clean(command.stderr).splitlines()),
            )
            for command in self.session.commands
        )

    def _clean(self, text: str) -> str:
        text = text.replace(str(self.session.workdir), "WORKDIR")
        for pattern, word in _NOISE:
            text = pattern.sub(word, text)
        if sys.version_info >= (3, 11):
            return text
        # Before, a traceback can't be rid of our frames: of an exception the last line is compared.
        head, found, trace = text.partition(_TRACEBACK)
        return head + found + (trace.strip().splitlines()[-1] if found else "")


def tell(
    story: ModuleType,
    workdir: Path,
    program: Sequence[str] | None = None,
    how: Callable[[Any], Sequence[Any]] | None = None,
    **variables: str,
) -> Told:
    """Tell a story in a folder that is not there yet.

    Args:
        story: The story's module.
        workdir: Everything goes below it: the program's files, and the store.
        program: What is run; by default the program under ``usagetrace run``.
        how: What is told of the story; by default all.
        variables: What the commands' environment says besides.
    """
    workdir.mkdir()
    store = workdir / "store" / "analytics.db"
    env = environment(USAGETRACE_DB_PATH=str(store), **variables)
    (workdir / "work").mkdir()
    session = story.Session(workdir / "work", env, story.INSTRUMENTED if program is None else program)
    return Told(session, (how or story.tell)(session), store)


def differences(expected: Iterable[Any], rows: Sequence[Row]) -> list[str]:
    """Return one line for each expected event that no row is, and for each row that is no expected event.

    Of an event's metadata those keys are compared that the story names.
    """
    left = list(rows)
    missing = []
    for event in expected:
        found = next((row for row in left if _is(event, row)), None)
        if found is None:
            missing.append(f"missing: {event}")
        else:
            left.remove(found)
    return missing + [f"unexpected: {shown(row)}" for row in left]


def _is(event: Any, row: Row) -> bool:
    fields = ("event_type", "artifact_name", "artifact_type", "status", "collection_name")
    told = {key: row["metadata"].get(key) for key in event.metadata}
    return all(getattr(event, name) == row[name] for name in fields) and told == dict(event.metadata)


def shown(row: Row) -> dict[str, Any]:
    """Return what of a row is the same whenever and however the program runs: all but ids and times."""
    left_out = {"id", "timestamp", "ts_ms", "duration_ms", "session_id", "trace_id", "span_id"}
    return {name: value for name, value in row.items() if name not in left_out}
