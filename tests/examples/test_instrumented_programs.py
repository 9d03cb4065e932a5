"""Programs that nobody here wrote give the right events, however they are started, and do not notice."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.examples.instrumented_kit import EXAMPLES, Told, differences, load_story, shown, tell

OPERATIONS = ("deploy", "update", "sync", "remove", "search")
SCRIPTS = Path(sysconfig.get_path("scripts"))


def papis_left(session: Any) -> Any:
    """Return what is in both libraries: the documents' references and kinds."""
    libraries = {library: session.documents(library) for library in ("papers", "archive")}
    return {name: {ref: document.type for ref, document in held.items()} for name, held in libraries.items()}


def pip_left(session: Any) -> Any:
    """Return what is installed and what was downloaded."""
    installed = {name: (held.version, held.requested) for name, held in session.installed().items()}
    return installed, session.downloads()


def vdirsyncer_left(session: Any) -> Any:
    """Return the items of every storage, but for one that was given a random UID."""
    return {
        storage: {uid: digest for uid, digest in held.items() if len(uid) < 30}
        for storage, held in session.storages().items()
    }


# Each program, started bare, and what it leaves on the disk.
PROGRAMS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], Any]]] = {
    "papis": (("papis",), papis_left),
    "pip": ((), pip_left),
    "vdirsyncer": (("vdirsyncer",), vdirsyncer_left),
}


def check_the_events(told: Told, service: str) -> None:
    """The events are those that the program's files say, one for one, and are counted as such."""
    rows = told.rows()
    assert differences(told.expected, rows) == []
    assert Counter(row["service_name"] for row in rows) == {service: len(rows)}
    assert str(told.session.workdir) not in told.dump()
    summed = {
        (row["artifact_type"], row["artifact_name"], operation): row[f"{operation}_count"]
        for row in told.select("SELECT * FROM usage_summary WHERE artifact_name <> ''")
        for operation in OPERATIONS
        if row[f"{operation}_count"]
    }
    assert summed == Counter(
        (row["artifact_type"], row["artifact_name"], row["event_type"])
        for row in rows
        if row["artifact_name"] and row["event_type"] in OPERATIONS
    )


def check_every_operation(told: Told) -> None:
    """Each of the five operations succeeds and fails, one search finds nothing, and events are stored in order."""
    ends = {(event.event_type, event.status) for event in told.expected}
    assert ends >= {(operation, status) for operation in OPERATIONS for status in ("ok", "error")}
    assert 0 in [event.metadata.get("total_results") for event in told.expected if event.event_type == "search"]
    rows = told.rows()
    assert [(row["event_type"], row["artifact_name"]) for row in rows] == [
        (event.event_type, event.artifact_name) for event in told.expected
    ]
    assert {row["project_path"] for row in rows} == {"~/papers", "~/archive"}


# One of them with every run of the tests; the others beside what needs more than Python, for their time.
@pytest.mark.e2e
@pytest.mark.parametrize("program", ["pip", "vdirsyncer"])
def test_every_event_is_what_the_program_did(program: str, tmp_path: Path) -> None:
    """Type, artifact, outcome and metadata of each event agree with the disk; calls of several artifacts and failures
    are among them.
    """
    told = tell(load_story(program), tmp_path / "told")
    check_the_events(told, program)
    rows = told.rows()
    assert {0, 1} <= {row["item"] for row in rows}
    assert {row["status"] for row in rows} == {"ok", "error"}


@pytest.mark.e2e
def test_papis_is_recorded_alike_three_ways(tmp_path: Path) -> None:
    """``usagetrace run``, ``opentelemetry-instrument`` and ``import usagetrace.auto`` give equal rows: all but ids and
    times.
    """
    launcher = tmp_path / "launch" / "papis"
    launcher.parent.mkdir()
    launcher.write_text("import usagetrace.auto\nfrom papis.commands.default import run; run()\n", encoding="utf-8")
    story, config = load_story("papis"), str(EXAMPLES / "papis" / "usagetrace.toml")
    ways = {
        "run": (story.INSTRUMENTED, ""),
        "opentelemetry-instrument": ((str(SCRIPTS / "opentelemetry-instrument"), "papis"), config),
        "auto": ((sys.executable, str(launcher)), config),
    }
    with ThreadPoolExecutor() as threads:
        telling = {
            way: threads.submit(
                tell,
                story,
                tmp_path / way,
                program,
                story.tell_briefly,
                **({"USAGETRACE_CONFIG": file} if file else {}),
            )
            for way, (program, file) in ways.items()
        }
        told = {way: future.result() for way, future in telling.items()}
    check_the_events(told["run"], "papis")
    events = {way: [shown(row) for row in each.rows()] for way, each in told.items()}
    assert events["opentelemetry-instrument"] == events["run"]
    assert events["auto"] == events["run"]
    assert told["opentelemetry-instrument"].said() == told["auto"].said() == told["run"].said()


@pytest.mark.e2e
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_does_not_notice(program: str, tmp_path: Path) -> None:
    """Told with, without, and with DO_NOT_TRACK: output, exit codes and files are the bare program's.

    The user's no leaves nothing behind, no database and no spool.
    """
    story, (command, left) = load_story(program), PROGRAMS[program]
    with ThreadPoolExecutor() as threads:
        tracked = threads.submit(tell, story, tmp_path / "tracked")
        bare = threads.submit(tell, story, tmp_path / "bare", command)
        off = threads.submit(tell, story, tmp_path / "off", DO_NOT_TRACK="1")
    check_the_events(tracked.result(), program)
    if program == "papis":
        check_every_operation(tracked.result())
    for told in (tracked.result(), off.result()):
        assert told.said() == bare.result().said()
        assert left(told.session) == left(bare.result().session)
    assert os.listdir(tmp_path / "off") == ["work"]
    assert not [path for path in (tmp_path / "off").rglob("*") if path.name.endswith((".db", "spool", "usagetrace"))]
