"""A store's schema goes up, down and up again over many rows, and a crash in the middle leaves one version whole."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store, migrations
from usagetrace.store.rollups import define_bucket
from usagetrace.store.schema import LATEST, MIGRATIONS, V1_COLUMNS
from usagetrace.store.schema_rollups import BUCKET_FUNCTION

COUNT = 100_000
KINDS = ("deploy", "update", "sync", "remove", "search")
ROWS = f"SELECT {', '.join(V1_COLUMNS['events'])} FROM events ORDER BY id"
# The way back leaves the tables about the spool and about imports: what came in is not to come in again.
NAMES = """
SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name NOT LIKE 'spool_%'
    AND name NOT LIKE 'imported_%' ORDER BY type, name"""
COUNTS = ", ".join(f"SUM({kind}_count)" for kind in KINDS)
BY_NAME = f"SELECT artifact_name, {COUNTS}, SUM(total_events) FROM usage_summary GROUP BY 1 ORDER BY 1"

# The statements with which tools of version 1 make, fill and read their file, as the requirement has them.
V1_FILL = """
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, timestamp, metadata)
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
SELECT CASE n % 6 WHEN 0 THEN 'deploy' WHEN 1 THEN 'update' WHEN 2 THEN 'sync' WHEN 3 THEN 'remove' WHEN 4 THEN 'search'
    ELSE 'invoke' END, 'artifact-' || (n % 37), CASE n % 4 WHEN 0 THEN 'command' ELSE 'skill' END,
    CASE WHEN n % 3 THEN 'default' END, CASE WHEN n % 5 THEN '~/project' END,
    datetime(1700000000 + n * 60, 'unixepoch'),
    CASE n % 7 WHEN 0 THEN NULL WHEN 1 THEN '{"result": "error"}' WHEN 2 THEN 'no json' ELSE '{"n": ' || n || '}' END
FROM numbers"""
V1_SUMMARIZE = f"""
INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, update_count, sync_count,
    remove_count, search_count, total_events)
SELECT artifact_name, MIN(artifact_type), MIN(timestamp), MAX(timestamp),
    {", ".join(f"SUM(event_type = '{kind}')" for kind in KINDS)}, COUNT(*) FROM events GROUP BY artifact_name"""
V1_READ = {
    "events": "SELECT id, event_type, artifact_name, timestamp, metadata FROM events "
    "WHERE artifact_name = 'artifact-5' ORDER BY timestamp DESC LIMIT 100",
    "of a type": "SELECT COUNT(*) FROM events WHERE event_type = 'sync' AND timestamp >= '2023-12-01'",
    "version": "SELECT MAX(version) FROM migrations",
    "total": "SELECT SUM(total_events), MIN(first_used), MAX(last_used) FROM usage_summary",
}


def every(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of version 1 with 100,000 events and their summary; retention took some events of one name."""
    from tests.store.conftest import V1_SQL

    path = tmp_path_factory.mktemp("many") / "v1.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(V1_SQL)
        connection.execute(V1_FILL, (COUNT + 500,))
        connection.execute(V1_SUMMARIZE)
        connection.execute("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE artifact_name = 'artifact-5' "
                           "ORDER BY id LIMIT 500)")  # fmt: skip
    return path


# Beside what needs more than Python, for its time.
@pytest.mark.e2e
def test_a_hundred_thousand_rows_up_down_and_up(many: Path, tmp_path: Path) -> None:
    """A file of version 1, adopted, taken back step by step and brought forward again, keeps every row and count."""
    path = Path(shutil.copy(many, tmp_path / "analytics.db"))
    rows, counts = every(path, ROWS), every(path, BY_NAME)
    reads = {name: every(path, statement) for name, statement in V1_READ.items()}
    assert len(rows) == COUNT
    schemas: dict[int, Any] = {}
    with Store(path) as store:
        for turn in ("adopted", "again"):
            for version in range(1, LATEST + 1):
                assert store.migrate(version) == version
                assert (every(path, ROWS), every(path, BY_NAME)) == (rows, counts), (turn, version)
                assert schemas.setdefault(version, every(path, NAMES)) == every(path, NAMES)
            # The old statements still read what they read.
            assert {name: every(path, statement) for name, statement in V1_READ.items()} == reads
            assert every(path, "SELECT SUM(events) FROM usage_daily") == [(COUNT,)]
            assert every(path, "SELECT COUNT(*) FROM events WHERE status = 'error'") == [
                (sum(row[-1] == '{"result": "error"}' for row in rows),)
            ]
            assert every(path, "SELECT SUM(total_invocations), MIN(completion_rate) < 100 FROM skill_metrics") == [
                (every(path, "SELECT COUNT(*) FROM skill_invocation")[0][0], 1)
            ]
            assert store.rebuild().differences == []
            if turn == "again":
                break
            for version in range(LATEST - 1, -1, -1):
                assert store.rollback(version) == version
                assert (every(path, ROWS), every(path, BY_NAME)) == (rows, counts), version
                if version:
                    assert every(path, NAMES) == schemas[version]
            assert {name: every(path, statement) for name, statement in V1_READ.items()} == reads
        assert store.check() == []
        # One that is not there yet never has the id of one that was.
        assert store.record_event("deploy", "new", "skill") == COUNT + 501


CHANGE = """
import sys
from usagetrace.store import Store
from usagetrace.store.schema import LATEST
with Store(sys.argv[1], busy_timeout_ms=20_000) as store:
    print("ready", flush=True)
    while True:
        store.migrate()
        store.rollback(0)
"""


@pytest.mark.e2e
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_killed_at_any_moment(many: Path, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """A process killed somewhere within a step over 100,000 rows leaves the schema before or after it, rows and all."""
    path = Path(shutil.copy(many, tmp_path / "analytics.db"))
    rows, counts = every(path, ROWS), every(path, BY_NAME)
    schemas = {}
    with Store(tmp_path / "small.db") as store:
        store.migrate()
        for version in range(LATEST, 0, -1):
            store.rollback(version)
            schemas[version] = every(tmp_path / "small.db", NAMES)
    draw = random.Random(11)
    for _ in range(4):
        process = python(CHANGE, path)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        names = every(path, NAMES)
        version = 0
        if ("table", "schema_migrations") in names:
            (version,) = every(path, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations")[0]
            assert every(path, "SELECT COUNT(*) FROM schema_migrations") == [(version,)]
        if version:
            assert names == schemas[version]
        assert (every(path, ROWS), every(path, BY_NAME)) == (rows, counts)
    with Store(path) as store:
        store.migrate()
        assert store.check() == []
        assert every(path, ROWS) == rows


# --- in the middle of a statement --------------------------------------------------------------------------


class Interrupted(sqlite3.Connection):
    """A connection one of whose statements is interrupted after so many steps of SQLite's machine."""

    target: str | None = None
    after = 0
    steps = 0

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]  # as it is called here
        if statement != self.target:
            return super().execute(statement, *values)
        self.steps = 0
        self.set_progress_handler(self._step, 1)
        try:
            return super().execute(statement, *values)
        finally:
            self.set_progress_handler(None, 1)

    def _step(self) -> int:
        self.steps += 1
        return self.after and self.steps >= self.after


def everything(path: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        tables = [name for kind, name, _ in schema if kind == "table"]
        return [schema, *(sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr) for name in tables)]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Interrupted]:
    connection = sqlite3.connect(path, isolation_level=None, factory=Interrupted)
    define_bucket(connection, BUCKET_FUNCTION)
    with contextlib.closing(connection):
        yield connection


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("version", range(1, LATEST + 1))
def test_stopped_in_the_middle_of_any_statement(tmp_path: Path, version: int, direction: str) -> None:
    """A step stopped at the beginning, in the middle or at the end of any of its statements leaves what was before."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write(
            [
                Event(
                    (*KINDS, "invoke")[n % 6], f"a{n % 7}", ("skill", "command")[n % 4 // 2],
                    1_700_000_000_000 + n * 10**7, duration_ms=n / 2, session_id=f"s{n % 3}",
                    status=("ok", "error")[n % 2], metadata={"workflow_path": f"p{n % 5}", "follow_up_actions": ["x"]},
                )
                for n in range(60)
            ]
        )  # fmt: skip
        store.rollback(version if direction == "down" else version - 1)
    before = everything(path)

    def go(connection: Interrupted) -> None:
        if direction == "up":
            migrations.migrate(connection, str(path), version)
        else:
            migrations.rollback(connection, str(path), version - 1)

    statements = getattr(MIGRATIONS[version - 1], direction)
    whole = tmp_path / "whole.db"
    stopped = 0
    for statement in statements:
        shutil.copy(path, whole)
        with opened(whole) as connection:
            connection.target = statement
            go(connection)
            steps = connection.steps
        assert everything(whole) != before or not statements
        for after in sorted({1, steps // 2, steps - 1} & set(range(1, steps))):
            with opened(path) as connection:
                connection.target, connection.after = statement, after
                with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                    go(connection)
                assert not connection.in_transaction
            assert everything(path) == before, (statement, after)
            stopped += 1
    assert stopped >= len(statements)
    with opened(path) as connection:
        go(connection)
        assert migrations.schema_version(connection) == (version if direction == "up" else version - 1)
