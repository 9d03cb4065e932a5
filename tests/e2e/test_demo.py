"""The demonstration, looked at with other tools than ours."""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import run

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The demonstration, run as a user runs it: its HOME, its database, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    home = folder / "home"
    ended = run([sys.executable, ROOT / "examples" / "demo.py", folder / "work"], home, timeout=180)
    assert ended.code == 0, ended.err
    return folder / "work", folder / "work" / "analytics.db", ended.out


def shell(database: Path, sql: str) -> str:
    """Ask the sqlite3 shell."""
    program = shutil.which("sqlite3")
    assert program, "the end-to-end tests need the sqlite3 shell"
    return subprocess.run([program, str(database), sql], capture_output=True, text=True, check=True).stdout


def test_the_required_columns_are_there_in_their_order(demo: tuple[Path, Path, str]) -> None:
    """`events` and `usage_summary` begin with the required columns."""
    _folder, database, _out = demo
    events = json.loads(shell(database, "SELECT json_group_array(name) FROM pragma_table_info('events')"))
    summary = json.loads(shell(database, "SELECT json_group_array(name) FROM pragma_table_info('usage_summary')"))
    assert events[:8] == [
        "id", "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "timestamp",
        "metadata",
    ]  # fmt: skip
    assert summary[:10] == [
        "artifact_name", "artifact_type", "first_used", "last_used", "deploy_count", "update_count", "sync_count",
        "remove_count", "search_count", "total_events",
    ]  # fmt: skip


def test_the_summary_equals_a_recount(demo: tuple[Path, Path, str]) -> None:
    """Every count of `usage_summary` is what GROUP BY over `events` gives."""
    _folder, database, _out = demo
    kinds = ("deploy", "update", "sync", "remove", "search")
    counts = ", ".join(f"SUM(event_type = '{kind}')" for kind in kinds)
    columns = ", ".join(f"{kind}_count" for kind in kinds)
    recount = shell(
        database,
        f"SELECT artifact_type, artifact_name, {counts}, COUNT(*), MIN(timestamp), MAX(timestamp), "
        "SUM(status = 'error') FROM events GROUP BY 1, 2 ORDER BY 1, 2",
    )
    summary = shell(
        database,
        f"SELECT artifact_type, artifact_name, {columns}, total_events, first_used, last_used, error_count "
        "FROM usage_summary ORDER BY 1, 2",
    )
    assert summary == recount
    assert len(summary.splitlines()) > 40


def test_no_line_of_a_dump_names_the_home_the_user_or_a_secret(demo: tuple[Path, Path, str]) -> None:
    """The whole database as text, and its bytes, hold no path of this machine, no user name and no planted secret."""
    sys.path.insert(0, str(ROOT / "examples"))
    from skillshelf_account import planted_secrets

    folder, database, _out = demo
    dump = shell(database, ".dump")
    raw = b"".join(path.read_bytes() for path in database.parent.glob("analytics.db*"))
    assert dump.count("INSERT INTO events") > 100
    for forbidden in (str(folder), str(Path.home()), *planted_secrets()):
        assert forbidden not in dump
        assert forbidden.encode() not in raw
    user = getpass.getuser()
    if len(user) > 4:
        assert user not in dump


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ("deploy", ("version", "sha", "success")),
        ("update", ("strategy", "version_before", "version_after", "conflicts_detected", "user_choice", "rollback")),
        ("sync", ("sync_type", "result", "sha_before", "sha_after", "conflicts_detected", "error_message")),
        ("remove", ("reason", "from_project")),
        ("search", ("query", "search_type", "score", "rank", "total_results")),
    ],
)
def test_every_required_metadata_key_is_in_the_rows(
    demo: tuple[Path, Path, str], event: str, keys: tuple[str, ...]
) -> None:
    """Each key that the requirements list for an operation stands in at least one of its rows."""
    _folder, database, _out = demo
    found = shell(
        database,
        "SELECT DISTINCT j.key FROM events, json_each(events.metadata) AS j "
        f"WHERE event_type = '{event}' AND service_name = 'skillshelf'",
    ).split()
    assert set(keys) <= set(found)


def test_the_report_counts_what_the_demonstration_did(demo: tuple[Path, Path, str]) -> None:
    """The totals of the printed report are those that the two stories computed from what they did."""
    _folder, database, out = demo
    told = {line.partition(":")[0]: line for line in out.splitlines() if " events (" in line}
    expected = sum(int(line.partition(": ")[2].partition(" ")[0]) for line in told.values())
    assert set(told) == {"skillshelf", "papis"}
    assert int(shell(database, "SELECT COUNT(*) FROM events")) == expected
    report = subprocess.run(
        [sys.executable, "-m", "usagetrace", "--db", str(database), "report", "--since", "all", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(report.stdout)["totals"]["events"] == expected
    assert str(expected) in out
    assert str(database) in out
