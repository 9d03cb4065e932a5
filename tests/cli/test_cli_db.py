"""``db``: upkeep by hand."""

from __future__ import annotations

from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store

NOW = 1_793_534_400_000
DAY = 86_400_000


@pytest.fixture
def aged(home: Any) -> Any:
    """A home whose store has events of 1, 50, 100 days ago, one from 1965 and one without a known time."""
    events = [Event("deploy", f"a{age}", "skill", NOW - age * DAY) for age in (1, 50, 100, 22_000)]
    home.record(*events, Event("deploy", "unknown", "skill", 0))
    return home


def left(home: Any) -> int:
    return int(home.json("db stats")["total_events"])


@pytest.mark.parametrize(("options", "settings", "removed"), [
    ("", "", 2), ("--days 10", "", 3), ("--days 0", "", 0), ("--days 99999", "", 0),
    ("", "[analytics]\nretention-days = 20\n", 3), ("", "[analytics]\nretention-days = 0\n", 0),
])  # fmt: skip
def test_prune_removes_what_is_older_and_a_dry_run_tells_how_many(
    aged: Any, options: str, settings: str, removed: int
) -> None:
    """The dry run's number is what the run removes; an event without a known time stays."""
    aged.write_settings(settings)
    dry = aged.run(f"db prune --dry-run {options}").stdout
    assert left(aged) == 5
    wet = aged.run(f"db prune {options}").stdout
    assert left(aged) == 5 - removed
    if "Nothing to remove" not in dry:
        assert f"would remove {removed} event" in dry
        assert f"removed {removed} event" in wet


def test_prune_refuses_to_guess_an_age(aged: Any) -> None:
    """Where the settings have faults nothing is removed, unless the age is said."""
    aged.write_settings("[analytics]\nretention-days = 'many'\n")
    result = aged.run("db prune", code=1)
    assert "retention-days" in result.stderr
    assert left(aged) == 5
    aged.run("db prune --days 90")
    assert left(aged) == 3


def test_stats_count_what_is_there(aged: Any) -> None:
    """Events, artifacts and the schema's version."""
    found = aged.json("db stats")
    assert (found["total_events"], found["total_artifacts"]) == (5, 5)
    assert found["event_type_counts"] == {"deploy": 5}
    assert found["db_size_bytes"] > 0
    assert found["schema_version"] >= 2
    assert "5 events, 5 artifacts" in aged.run("db stats").stdout


def test_vacuum_makes_the_file_smaller(home: Any) -> None:
    """After a prune the space goes back, and both sizes are told."""
    path = home.record(*(Event("deploy", f"{n}" * 400, "skill", NOW - 100 * DAY) for n in range(3000)))
    home.run("db prune")
    before = path.stat().st_size
    assert "now" in home.run("db vacuum").stdout
    assert path.stat().st_size < before


@pytest.mark.parametrize("command", ["db prune", "db vacuum", "db stats"])
def test_upkeep_of_nothing_makes_nothing(home: Any, command: str) -> None:
    """No database yet: said, exit code 0, no file."""
    assert "nothing recorded yet" in home.run(command).stderr
    assert [path.name for path in home.path.rglob("*")] == ["work"]


def test_a_database_that_is_locked_is_told_in_one_line(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes: exit code 1, the file, the remedy."""
    path = home.record(Event("deploy", "a", "skill", NOW - 100 * DAY))
    monkeypatch.setattr("usagetrace.cli.stores.Store", lambda path: Store(path, busy_timeout_ms=50))
    with Store(path) as other, other.atomic():
        result = home.run("db prune", code=1)
    assert len(result.stderr.splitlines()) == 1
    assert "lock" in result.stderr
