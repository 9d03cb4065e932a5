"""A program that nobody here wrote gives the right events, and does not notice."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from usagetrace.store.catchup import catch_up

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "instrumented" / "papis"
SOURCE = ROOT / "src"
OPERATIONS = {"deploy", "update", "sync", "remove", "search"}


def load_demo() -> ModuleType:
    """Import the story from its file, under a name that is no program's."""
    spec = importlib.util.spec_from_file_location("instrumented_papis_demo", EXAMPLE / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


demo = load_demo()


def environment(**more: str) -> dict[str, str]:
    """Return an environment without anybody's settings for papis, OpenTelemetry or usagetrace."""
    foreign = ("PAPIS_", "OTEL_", "USAGETRACE_", "XDG_", "DO_NOT_TRACK", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


Told = tuple[Any, list[Any], Path]


def tell_tracked(workdir: Path) -> Told:
    """Tell the story: the session, the events that must be there, and the store."""
    workdir.mkdir()
    store = workdir / "store" / "analytics.db"
    session = demo.Session(workdir, environment(USAGETRACE_DB_PATH=str(store)))
    expected = demo.tell(session)
    report = catch_up(store)
    assert report is not None
    assert report.complete
    return session, expected, store


def stored(store: Path) -> list[Mapping[str, Any]]:
    """Return every event in the store, in the order in which they were recorded."""
    with closing(sqlite3.connect(store)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY id")]
    return [{**row, "metadata": json.loads(row["metadata"] or "{}")} for row in rows]


def check_every_event_of_the_story_is_stored_and_no_other(told: Told) -> None:
    """The events in the store are those that the files and the output of papis say, one for one."""
    _session, expected, store = told
    rows = stored(store)
    seen = [
        demo.Expected(
            row["event_type"],
            row["artifact_name"],
            row["artifact_type"],
            row["status"],
            row["collection_name"],
            {key: row["metadata"].get(key) for key in (wanted.metadata if wanted else row["metadata"])},
        )
        for row, wanted in zip(rows, [*expected, *[None] * max(0, len(rows) - len(expected))], strict=False)
    ]
    assert seen == expected


def check_the_story_has_every_operation_with_a_failure_of_each(told: Told) -> None:
    """All five operations happen, each succeeds and each fails, and one search finds nothing."""
    session, expected, _store = told
    ends = {(event.event_type, event.status) for event in expected}
    assert ends >= {(operation, status) for operation in OPERATIONS for status in ("ok", "error")}
    assert [e for e in expected if e.event_type == "search" and e.metadata.get("total_results") == 0]
    assert len(session.commands) >= 15


def check_every_event_is_the_programs_own(told: Told) -> None:
    """Each event names the service and a library below the home directory, which itself is not told."""
    session, _expected, store = told
    rows = stored(store)
    assert Counter(row["service_name"] for row in rows) == {"papis": len(rows)}
    assert {row["project_path"] for row in rows} == {"~/papers", "~/archive"}
    with closing(sqlite3.connect(store)) as connection:
        dump = "\n".join(connection.iterdump())
    assert str(session.home) not in dump


def check_the_summary_equals_a_recount(told: Told) -> None:
    """The counts of ``usage_summary`` are those of the events, for every artifact and operation."""
    _session, expected, store = told
    columns = {
        "deploy": "deploy_count", "update": "update_count", "sync": "sync_count",
        "remove": "remove_count", "search": "search_count",
    }  # fmt: skip
    counted = Counter(
        (e.artifact_type, e.artifact_name, e.event_type)
        for e in expected
        if e.event_type in OPERATIONS and e.artifact_name
    )
    with closing(sqlite3.connect(store)) as connection:
        select = f"SELECT artifact_type, artifact_name, {', '.join(columns.values())} FROM usage_summary"
        rows = connection.execute(f"{select} WHERE artifact_name <> ''").fetchall()
    summed = {
        (kind, name, operation): count
        for kind, name, *counts in rows
        for operation, count in zip(columns, counts, strict=True)
        if count
    }
    assert summed == dict(counted)


# What differs from one run of papis to the next, besides the folder: its random ids and the time.
NOISE = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d"), "TIME"),
)


def said(session: Any) -> list[tuple[tuple[str, ...], int, str, str]]:
    """Return what each command printed and its exit code, without what differs from run to run."""

    def clean(text: str) -> str:
        text = text.replace(str(session.workdir), "WORKDIR")
        for pattern, word in NOISE:
            text = pattern.sub(word, text)
        head, found, trace = text.partition("Traceback (most recent call last):")
        # Of an uncaught exception the last line is compared: a wrapper is a frame more.
        return head + found + (trace.strip().splitlines()[-1] if found else "")

    return [
        (tuple(clean(word) for word in c.arguments), c.returncode, clean(c.stdout), clean(c.stderr))
        for c in session.commands
    ]


def tell_bare(workdir: Path) -> Any:
    """Tell the story with papis as it is."""
    workdir.mkdir()
    session = demo.Session(workdir, environment(), (sys.executable, "-m", "papis"))
    demo.tell(session)
    return session


def check_the_program_does_not_notice(told: Told, bare: Any) -> None:
    """Output, exit codes and libraries are those of the bare program."""
    session = told[0]
    assert said(session) == said(bare)
    for library in ("papers", "archive"):
        assert sorted(session.documents(library)) == sorted(bare.documents(library))


def check_the_users_no_leaves_the_program_alone(bare: Any, tmp_path: Path) -> None:
    """With DO_NOT_TRACK the output is the same too, and nothing is written anywhere, into no spool either."""
    session = demo.Session(tmp_path, environment(DO_NOT_TRACK="1"))
    for chapter in (demo.deploys,):
        list(chapter(session))
    assert said(session) == said(bare)[: len(session.commands)]
    assert {path.name for path in session.home.iterdir()} == {"papers", "archive"}
    assert not list(tmp_path.rglob("*.db"))
    assert not list(tmp_path.rglob("spool"))


@pytest.mark.e2e
def test_the_story(tmp_path: Path) -> None:
    """Told once with and once without, for it takes its time: everything above holds."""
    told, bare = tell_tracked(tmp_path / "tracked"), tell_bare(tmp_path / "bare")
    check_every_event_of_the_story_is_stored_and_no_other(told)
    check_the_story_has_every_operation_with_a_failure_of_each(told)
    check_every_event_is_the_programs_own(told)
    check_the_summary_equals_a_recount(told)
    check_the_program_does_not_notice(told, bare)
    (tmp_path / "off").mkdir()
    check_the_users_no_leaves_the_program_alone(bare, tmp_path / "off")


def test_help_names_the_program(tmp_path: Path) -> None:
    """``run.py --help`` prints what papis prints, under its own name."""
    session = demo.Session(tmp_path, environment())
    done = subprocess.run(
        [*session.program, "--help"], env=session.env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("Usage: papis [OPTIONS] COMMAND")
