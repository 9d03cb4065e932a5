"""How long events are kept, where no process of a tool lives long enough to look after it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from usagetrace.spool.layout import KEEPING, spool_directory
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up
from usagetrace.store.recorder import Recorder

DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def processes_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recorders end as in a process of its own, which has not loaded the database's library."""
    monkeypatch.setattr(Recorder, "_drains_cheaply", lambda _: False)


def run_tool(path: Path, make_event: Any, **how: Any) -> None:
    """Record an event of now and one of 100 days ago, and end without draining."""
    now = time.time_ns() // 1_000_000
    made = Recorder(path, **how)
    assert made.submit([make_event(name="new", ts_ms=now), make_event(name="old", ts_ms=now - 100 * DAY_MS)])
    assert made.close(5, at_exit=True)
    assert not path.exists()


def left(path: Path) -> list[str]:
    """Read, as a report does; return the names of the events."""
    report = catch_up(path)
    assert report is not None
    assert report.events == 2
    with Store(path) as store:
        assert sum(count for _, count in store.get_stats()["event_type_counts"].items()) >= 1
        return sorted(row["artifact_name"] for row in store.get_events())


@pytest.mark.parametrize(("days", "names"), [(90, ["new"]), (101, ["new", "old"]), (0, ["new", "old"])])
def test_a_reader_removes_what_the_tool_would(path: Path, make_event: Any, days: int, names: list[str]) -> None:
    """A reader that drains keeps events for as long as the tool says; what they counted stays."""
    run_tool(path, make_event, retention_days=days)
    assert left(path) == names
    with Store(path) as store:
        assert store.check() == []
        assert sum(row["total_events"] for row in store.get_usage_summary()) == 2


def test_a_reader_archives_what_the_tool_would(path: Path, make_event: Any, tmp_path: Path) -> None:
    """Where the tool archives, nothing is removed without it."""
    run_tool(path, make_event, retention_days=90, archive_dir=tmp_path / "old ones")
    assert left(path) == ["new"]
    assert len(list((tmp_path / "old ones").rglob("*.parquet"))) == 1


@pytest.mark.parametrize("word", [None, "", "soon", "-1", "9.5"])
def test_without_a_word_nothing_is_removed(path: Path, make_event: Any, word: str | None) -> None:
    """A reader that does not know how long to keep events keeps them."""
    run_tool(path, make_event, retention_days=90)
    place = Path(spool_directory(path)) / KEEPING
    if word is None:
        place.unlink()
    else:
        place.write_text(word, encoding="utf-8")
    assert left(path) == ["new", "old"]


def test_the_newest_word_counts(path: Path, make_event: Any) -> None:
    """A tool whose setting changed says so with its next event; the file is its owner's alone."""
    run_tool(path, make_event, retention_days=90)
    place = Path(spool_directory(path)) / KEEPING
    before = place.stat()
    made = Recorder(path, retention_days=90)
    made.submit([make_event(name="more")])
    made.close(5, at_exit=True)
    assert place.stat().st_mtime_ns == before.st_mtime_ns
    made = Recorder(path, retention_days=7)
    made.submit([make_event(name="more")])
    made.close(5, at_exit=True)
    assert place.read_text(encoding="utf-8").split("\n") == ["7", ""]
    assert place.stat().st_mode & 0o777 == 0o600
