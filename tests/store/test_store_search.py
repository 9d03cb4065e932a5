"""A search of the workflow paths gives the newest invocations that have the words, and nothing that is not there."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.recording import eventually
from usagetrace.audit import Identity, audit
from usagetrace.events import Event
from usagetrace.store import Recorder, Store, search_index
from usagetrace.store import recorder as recorder_module
from usagetrace.store import search as searching
from usagetrace.store.connection import MEMORY
from usagetrace.store.invocation_queries import search
from usagetrace.store.search_terms import Term, expression, matches, terms

Sql = Callable[..., list[tuple[Any, ...]]]

DAY = 86_400_000
NOON = 1_763_294_400_000


def run(path: str | None, ts_ms: int = NOON, name: str = "run", kind: str = "skill") -> Event:
    """Return an invocation on a path."""
    told = {"completed": True} if path is None else {"completed": True, "workflow_path": path}
    return Event("invoke", name, kind, ts_ms, metadata=told)


def ids(store: Store, text: str, limit: int = 100) -> list[int]:
    return [row["id"] for row in search(store, text, limit)]


def index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-search")


@pytest.fixture
def without_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite have no FTS5, as far as making the index goes."""
    monkeypatch.setattr(search_index, "_SCHEMA", ("CREATE VIRTUAL TABLE paths USING no_fts5_here(x)",))


# --- what is found -----------------------------------------------------------------------------------------

PATHS = (
    "comprehensive/quick-fix", "quick/deep clean", "deep_clean.quick", "Caf\u00e9 Review", "COMPREHENSIVE", "fix quick",
    "caf\u00e9", "r\u00e9sum\u00e9", "step 12", "step 1 2", "\u0434\u0440\u0443\u0433",
)  # fmt: skip
ASKED = {
    "quick": [6, 3, 2, 1],
    "QUICK": [6, 3, 2, 1],
    "quick fix": [6, 1],
    '"quick fix"': [1],
    "quick-fix": [1],
    "fix/quick": [6],
    "comp*": [5, 1],
    "comp": [],
    '"deep cl"*': [3, 2],
    "cafe": [7, 4],
    "resume": [8],
    "step 12": [9],
    '"step 1"*': [10, 9],
    "\u0414\u0420\u0423\u0413": [11],
    "quick -fix": [6, 1],
    "&& quick || !!": [6, 3, 2, 1],
}


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("text", ASKED)
def test_words_phrases_and_beginnings(path: Path, request: pytest.FixtureRequest, text: str, indexed: bool) -> None:
    """All words must be there, quoted ones side by side, starred ones as beginnings; without an index as well."""
    if not indexed:
        request.getfixturevalue("without_index")
    with Store(path) as store:
        store.write([run(each, NOON + n) for n, each in enumerate(PATHS)])
        assert ids(store, text) == ASKED[text]


PLAIN = ("AND", "OR", "NOT", "NEAR", "workflow_path", "event", "paths", "rank", "NULL", "select")


@pytest.mark.parametrize("word", PLAIN)
def test_operators_are_words(path: Path, word: str) -> None:
    """What FTS5 and SQL give a meaning is a word like any other, whatever signs stand around it."""
    with Store(path) as store:
        store.write([run(f"one {word} two"), run("one two")])
        for text in (word, f"{word} two", f"one {word}", f"{word}:two", f"({word} one)", f"^{word}", f"-{word}"):
            expected = [] if text == f"{word}:two" and word == "" else [1]
            assert ids(store, text) == expected, text


HOSTILE = (
    "", " ", '"', '""', '"""', '"a', 'a"', "*", "**", '"*"', "a*b", "a**", "'", "''; DROP TABLE events --", ")", "(",
    "{a b}: c", "NEAR(a b, 5)", "a AND", "OR b", "NOT", "^", "+", "a + b", ":", "\\", "%", "_", "\0", "a\0b", "\ud800",
    "\ufffd", "a\nb", "\x1b[31m", "\U0001f600", "x" * 1_000_000, '"' * 1_000_000, "a " * 500_000, "* " * 1000,
    " ".join(f"w{n}" for n in range(5000)), "(" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("indexed", [True, False])
def test_no_text_raises(path: Path, request: pytest.FixtureRequest, indexed: bool) -> None:
    """Whatever is typed finds something or nothing; nothing is changed by it."""
    if not indexed:
        request.getfixturevalue("without_index")
    with Store(path) as store:
        store.write([run("one two three")])
        assert [text[:20] for text in HOSTILE if ids(store, text)] == []
        assert ids(store, "two") == [1]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(st.text(alphabet='abAB -_/"*\u00e9e\u0301', max_size=12), max_size=4),
    asked=st.text(alphabet='abAB -_/"*\u00e9e', max_size=10),
)
def test_with_and_without_an_index_the_same(tmp_path: Path, paths: Sequence[str], asked: str) -> None:
    """The index and a look at every path find the same."""
    wanted = terms(asked)
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(search_index._SCHEMA[1].format(2))
        memory.executemany("INSERT INTO paths (rowid, workflow_path) VALUES (?, ?)", enumerate(paths))
        query = "SELECT rowid FROM paths WHERE paths MATCH ? ORDER BY rowid"
        found = [row[0] for row in memory.execute(query, (expression(wanted),))] if wanted else []
    assert found == [number for number, path in enumerate(paths) if wanted and matches(path, wanted)]


def test_what_a_text_looks_for() -> None:
    """Words and phrases are taken apart; what has no letter or digit looks for nothing."""
    assert terms('a "b c" d* "e f"* g*h -- a "open end') == [
        Term("a", False), Term("b c", False), Term("d", True), Term("e f", True), Term("g*h", False),
        Term("open end", False),
    ]  # fmt: skip
    assert terms('-- && ** "" \'') == []


def test_newest_first(path: Path) -> None:
    """The newest come first by their own time, whenever they came in; of one moment the later row."""
    draw = random.Random(5)
    times = [NOON + draw.randrange(-50, 50) * 1000 for _ in range(300)] + [0, 0, -5, NOON + 10**9]
    with Store(path) as store:
        store.write([run("quick", each) for each in times[:150]])
        assert len(ids(store, "quick", 200)) == 150
        store.write([run("quick", each) for each in times[150:]])
        expected = [n + 1 for n in sorted(range(len(times)), key=lambda n: (times[n], n), reverse=True)]
        assert ids(store, "quick", 1000) == expected
        assert ids(store, "quick", 7) == expected[:7]
        assert ids(store, "quick", 0) == []


def test_many_of_one_millisecond(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More invocations in one moment than it has numbers are all found, beside those of the next one."""
    monkeypatch.setattr(search_index, "_PLACES", 4)
    with Store(path) as store:
        for _ in range(5):
            store.write([run("quick", NOON + n % 2) for n in range(10)])
            ids(store, "quick")
        assert sorted(ids(store, "quick")) == list(range(1, 51))


def test_rows_say_what_the_view_says(path: Path) -> None:
    """What is found are skills' invocations, with the columns of the view."""
    with Store(path) as store:
        deployed = Event("deploy", "run", "skill", NOON, metadata={"workflow_path": "quick"})
        store.write([run("quick"), run("quick", kind="command"), run(None), deployed])
        (row,) = search(store, "quick")
        (viewed,) = store.connection.execute(
            "SELECT * FROM skill_invocation WHERE workflow_path IS NOT NULL"
        ).fetchall()
    assert row == {**dict(viewed), "completed": True, "follow_up_actions": []}


# --- in step -----------------------------------------------------------------------------------------------


def texts_in(path: Path) -> list[str]:
    """Return the texts that the index holds."""
    with contextlib.closing(sqlite3.connect(index_of(path))) as connection:
        return [row[0] for row in connection.execute("SELECT workflow_path FROM paths ORDER BY rowid")]


def test_made_at_the_first_search(path: Path) -> None:
    """Recording and other queries make no index; a search does, readable by its owner alone, and later ones follow."""
    with Store(path) as store:
        store.write([run("quick one")])
        assert not index_of(path).exists()
        assert ids(store, "quick") == [1]
        if os.name == "posix":
            assert stat.S_IMODE(index_of(path).stat().st_mode) == 0o600
        store.write([run("quick two")])
        assert ids(store, "quick") == [2, 1]
        assert texts_in(path) == ["quick one", "quick two"]
    # No journal stays beside it.
    assert {each.name for each in path.parent.iterdir() if "search" in each.name} == {index_of(path).name}


def test_removed_events_never_show_up(path: Path, sql: Sql) -> None:
    """What retention or somebody's own SQL removed is not found, and retention takes its texts away at once."""
    with Store(path) as store:
        store.write([run("quick old secret", NOON - 100 * DAY + n) for n in range(600)])
        store.write([run(f"quick new {n}", NOON + n) for n in range(10)])
        assert len(ids(store, "quick", 1000)) == 610
        assert store.cleanup_old_events(90, now_ms=NOON) == 600
        assert texts_in(path) == [f"quick new {n}" for n in range(10)]
        assert b"secret" not in index_of(path).read_bytes()
        sql(path, "DELETE FROM events WHERE id IN (604, 605, 610)")
        assert ids(store, "quick", 1000) == [609, 608, 607, 606, 603, 602, 601]
        assert ids(store, "quick", 4) == [609, 608, 607, 606]
        assert ids(store, "old") == []
    assert len(texts_in(path)) == 7


def test_older_fts5_forgets_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite's index can't overwrite a deletion it is merged, so that no word of a removed event stays."""
    monkeypatch.setattr(search_index, "_OVERWRITES", False)
    with Store(path) as store:
        for n in range(8):
            store.write([run(f"quick old sesame{n}", NOON - 100 * DAY + n), run("quick new", NOON + n)])
            ids(store, "quick")
        store.cleanup_old_events(90, now_ms=NOON)
        assert b"sesame" not in index_of(path).read_bytes()
        assert len(ids(store, "quick")) == 8


def test_a_changed_event_is_found_by_what_it_says_now(path: Path, sql: Sql) -> None:
    """An event whose path was changed, or taken away, by other SQL does not show up for what it said."""
    with Store(path) as store:
        store.write([run("quick fix"), run("quick step"), run("quick")])
        ids(store, "quick")
        sql(path, """UPDATE events SET metadata = '{"workflow_path": "slow fix"}' WHERE id = 1""")
        sql(path, "UPDATE events SET metadata = NULL WHERE id = 2")
        assert ids(store, "quick") == [3]
        assert ids(store, "slow") == [1]
    assert texts_in(path) == ["slow fix", "quick"]


@pytest.mark.parametrize("time", [None, "noon", 1.5, 2**62, -(2**63), b"x"])
def test_times_that_are_none(path: Path, sql: Sql, time: object) -> None:
    """Whatever another tool put for an event's time, it is found."""
    with Store(path) as store:
        store.write([run("quick one"), run("quick two")])
        sql(path, "UPDATE events SET ts_ms = ? WHERE id = 2", (time,))
        assert sorted(ids(store, "quick")) == [1, 2]
        store.write([run("quick three")])
        assert sorted(ids(store, "quick")) == [1, 2, 3]


@pytest.mark.parametrize("command", ["rebuild", "vacuum"])
def test_care_of_the_database_makes_it_anew(path: Path, command: str) -> None:
    """A rebuild and a vacuum empty the index; the next search makes it again."""
    with Store(path) as store:
        store.write([run("quick secret")])
        ids(store, "quick")
        getattr(store, command)()
        assert b"secret" not in index_of(path).read_bytes()
        assert ids(store, "quick") == [1]


def test_another_database_in_its_place(path: Path, tmp_path: Path) -> None:
    """After a restore, and after another file took the place, the index is of what is there now."""
    with Store(path) as store:
        store.write([run("quick one"), run("quick two")])
        copy = store.backup(tmp_path / "copies", now_ms=NOON)
        store.write([run("quick three")])
        assert ids(store, "quick") == [3, 2, 1]
        store.restore(copy, now_ms=NOON)
        store.write([run("other three")])
        assert (ids(store, "quick"), ids(store, "other")) == ([2, 1], [3])
    with Store(tmp_path / "other.db") as other:
        other.write([run("strange", NOON + 1 + n) for n in range(5)])
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "other.db", path)
    with Store(path) as store:
        assert (ids(store, "quick"), ids(store, "strange")) == ([], [5, 4, 3, 2, 1])


# --- when it can't be had ----------------------------------------------------------------------------------


def test_without_fts5_said_once(path: Path, without_index: None, caplog: pytest.LogCaptureFixture) -> None:
    """Where SQLite has no FTS5 the events are looked through, one warning says so, and nothing else needs it."""
    del without_index
    with Store(path) as store:
        store.write([run("quick")])
        assert [ids(store, "quick") for _ in range(3)] == [[1]] * 3
        assert store.check() == []
        store.rebuild()
    assert [record.message.count("without an index") for record in caplog.records] == [1]


@pytest.mark.parametrize("spoilt", [b"", b"no database " * 500, None])
def test_a_spoilt_index_is_made_anew(path: Path, spoilt: bytes | None) -> None:
    """An index that is emptied, overwritten or has its middle torn out is made again, and no answer is missing."""
    with Store(path) as store:
        store.write([run(f"quick {n}", NOON + n) for n in range(300)])
        assert len(ids(store, "quick", 999)) == 300
        whole = index_of(path).read_bytes()
        index_of(path).write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096) if spoilt is None else spoilt)
        assert len(ids(store, "quick", 999)) == 300
        assert ids(store, "7") == [8]


def test_parts_of_it_dropped(path: Path) -> None:
    """An index without one of its tables is made again."""
    with Store(path) as store:
        store.write([run("quick")])
        for table in ("paths_data", "paths_content", "about"):
            ids(store, "quick")
            with contextlib.closing(sqlite3.connect(index_of(path))) as connection, connection:
                connection.execute("PRAGMA writable_schema=ON")
                connection.execute("DELETE FROM sqlite_master WHERE name = ?", (table,))
            assert ids(store, "quick") == [1]


def test_no_index_can_be_put_there(path: Path) -> None:
    """The events are looked through then. A folder in its place keeps even root from putting one there."""
    with Store(path) as store:
        store.write([run("quick")])
        index_of(path).mkdir()
        assert ids(store, "quick") == [1]


def test_a_store_in_memory() -> None:
    """A store without a file is searched as well, and leaves none."""
    with Store(MEMORY) as store:
        store.write([run("quick"), run("slow")])
        assert ids(store, "quick") == [1]


def test_somebody_else_holds_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process keeps the index locked the events are looked through."""
    monkeypatch.setattr(search_index, "_WAIT_MS", 1)
    with Store(path) as store:
        store.write([run("quick")])
        ids(store, "quick")
        store.write([run("quick")])
        with contextlib.closing(sqlite3.connect(index_of(path), isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            assert ids(store, "quick") == [2, 1]
        assert ids(store, "quick") == [2, 1]


# --- kept in step ------------------------------------------------------------------------------------------


def indexed(path: Path) -> list[str]:
    """Return the paths that the index has, without bringing it up to date."""
    with contextlib.closing(sqlite3.connect(index_of(path))) as index:
        return sorted(row[0] for row in index.execute("SELECT c0 FROM paths_content"))


def test_who_drains_keeps_it_up(path: Path) -> None:
    """Where there is an index it is brought up to date in short steps, as long as it may; none is made."""
    with Store(path) as store:
        store.write([run("one")])
        searching.follow(store, lambda: True)
        assert not index_of(path).exists()
        assert ids(store, "one") == [1]
        store.write([run(f"path {n}") for n in range(searching._FEW + 1)])
        searching.follow(store, lambda: False)
        assert indexed(path) == ["one"]
        searching.follow(store, lambda: True)
        assert len(indexed(path)) == searching._FEW + 2


def test_a_process_of_age_keeps_it_up(
    path: Path, recorder: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that brings events in brings their paths to the index, and nobody has to search for that."""
    monkeypatch.setattr(recorder_module, "_MANY", 1)
    with Store(path) as store:
        store.write([run("one")])
        assert ids(store, "one") == [1]
    made = recorder(path)
    made.submit([run("two")])
    assert eventually(lambda: indexed(path) == ["one", "two"])


def test_an_index_that_is_spoilt_is_left_to_the_next_search(path: Path) -> None:
    """Keeping it up raises nothing, whatever became of it; the search makes it anew."""
    with Store(path) as store:
        store.write([run("one")])
        assert ids(store, "one") == [1]
        index_of(path).write_bytes(b"no database, and longer than its head" * 100)
        searching.follow(store, lambda: True)
        assert ids(store, "one") == [1]


SEARCH = """
import sys
from usagetrace.store import Store, search, search_index
search_index._BATCH = 50
with Store(sys.argv[1]) as store:
    print("ready", flush=True)
    while True:
        search.forget(store._file)
        search.search(store, "quick", 10)
"""


@pytest.mark.e2e
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_killed_while_it_is_made(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """A process killed anywhere while it makes the index leaves one from which nothing is missing."""
    with Store(path) as store:
        store.write([run(f"quick {n}", NOON + n) for n in range(2000)])
        draw = random.Random(3)
        for _ in range(8):
            process = python(SEARCH, path)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert len(ids(store, "quick", 5000)) == 2000


# --- a secret in it ----------------------------------------------------------------------------------------


def test_an_audit_looks_at_it(path: Path, sql: Sql) -> None:
    """A secret that got into a path is found in the events, the counts and the index, and gone after it is removed."""
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    who = Identity(("/home/zoe.example",), "zoe.example", "host.example")
    with Store(path) as store:
        store.write([run(f"quick {n}", NOON + n) for n in range(50)])
        ids(store, "quick")
        store.write([run(f"quick {secret}")])
        ids(store, "quick")
    found = audit(path, who)
    places = {(each.file, each.table) for each in found.findings}
    assert ("analytics.db", "events") in places
    assert ("analytics.db", "invocation_counts") in places
    assert any(file == "analytics.db-search" for file, _ in places)
    with Store(path) as store:
        store.connection.execute("DELETE FROM events WHERE instr(metadata, ?)", (secret,))
        store.connection.execute("DELETE FROM invocation_counts WHERE instr(value, ?)", (secret,))
        store.vacuum()
    assert audit(path, who).findings == ()
