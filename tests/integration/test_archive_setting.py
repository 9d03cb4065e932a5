"""The setting archive-dir reaches the automatic retention, through every door that records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

import usagetrace
from usagetrace.analytics import AnalyticsManager
from usagetrace.events import Event
from usagetrace.store import Store


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with one event of 2020, and settings that name it and an archive."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "old", "skill", 1_600_000_000_000)])
    monkeypatch.setenv("USAGETRACE_DB_PATH", str(path))
    monkeypatch.setenv("USAGETRACE_ARCHIVE_DIR", str(tmp_path / "kept"))
    return path


def through_configure(path: Path) -> None:
    usagetrace.configure(service_name="shelf", archive_dir=path.parent / "kept", db_path=path)
    usagetrace.record_event("deploy", "new", "skill")
    usagetrace.flush()
    usagetrace.shutdown()


def through_the_environment(path: Path) -> None:
    usagetrace.configure(service_name="shelf")
    usagetrace.record_event("deploy", "new", "skill")
    usagetrace.flush()
    usagetrace.shutdown()


def through_the_facade(path: Path) -> None:
    with AnalyticsManager() as manager:
        manager.record_event("deploy", "new", "skill")


@pytest.mark.parametrize("record", [through_configure, through_the_environment, through_the_facade])
def test_old_events_are_archived_before_they_go(database: Path, record: Any) -> None:
    """What the automatic retention removed is in a Parquet file; what is young stays."""
    record(database)
    (file,) = (database.parent / "kept").glob("*.parquet")
    assert [row["artifact_name"] for row in parquet.ParquetFile(file).read().to_pylist()] == ["old"]
    with Store(database) as store:
        assert [row["artifact_name"] for row in store.get_events()] == ["new"]
