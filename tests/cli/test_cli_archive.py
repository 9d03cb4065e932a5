"""``db prune`` and the archive: where old events go, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from usagetrace.events import Event

NOW = 1_793_534_400_000
DAY = 86_400_000


@pytest.fixture
def aged(home: Any) -> Any:
    """A home whose store has events of 1, 50 and 100 days ago."""
    home.record(*(Event("deploy", f"a{age}", "skill", NOW - age * DAY) for age in (1, 50, 100)))
    return home


def archived(folder: Path) -> set[str]:
    files = folder.glob("*.parquet")
    return {row["artifact_name"] for file in files for row in parquet.ParquetFile(file).read().to_pylist()}


def left(home: Any) -> int:
    return int(home.json("db stats")["total_events"])


def test_the_option_names_the_folder(aged: Any, tmp_path: Path) -> None:
    """With --archive what is removed is in that folder, and the command says where; a dry run writes nothing."""
    folder = tmp_path / "kept"
    aged.run(f"db prune --dry-run --archive {folder}")
    assert not folder.exists()
    shown = aged.run(f"db prune --days 30 --archive {folder}").stdout
    assert "removed 2 events" in shown
    assert "kept now" in shown
    assert archived(folder) == {"a50", "a100"}
    assert left(aged) == 1
    assert "kept now" not in aged.run(f"db prune --days 30 --archive {folder}").stdout


@pytest.mark.parametrize(("option", "kept"), [("", {"a100"}), ("--no-archive", set()), ("--archive {}/other", set())])
def test_the_setting_and_what_overrules_it(aged: Any, tmp_path: Path, option: str, kept: set[str]) -> None:
    """The setting names the folder where no option does; an option wins over it."""
    folder = tmp_path / "kept"
    aged.write_settings(f"[analytics]\narchive-dir = '{folder.as_posix()}'\n")
    aged.run(f"db prune {option.format(tmp_path)}")
    assert archived(folder) == kept
    assert archived(tmp_path / "other") == ({"a100"} if "other" in option else set())
    assert left(aged) == 2


def test_a_faulty_setting_costs_no_event(aged: Any) -> None:
    """Where the folder can't be read from the settings nothing is removed, unless one is named or none is wanted."""
    aged.write_settings("[analytics]\narchive-dir = 5\n")
    result = aged.run("db prune --days 90", code=1)
    assert "archive-dir" in result.stderr
    assert left(aged) == 3
    aged.run("db prune --days 90 --no-archive")
    assert left(aged) == 2


def test_both_options_are_wrong_usage(aged: Any, tmp_path: Path) -> None:
    """A folder and none at once is a wrong usage."""
    aged.run(f"db prune --archive {tmp_path} --no-archive", code=2)
    assert left(aged) == 3


def test_without_pyarrow(aged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to install, and nothing is removed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else find(name, *rest)
    )
    result = aged.run(f"db prune --archive {tmp_path / 'kept'}", code=1)
    assert "pip install 'usagetrace[archive]'" in result.stderr
    assert left(aged) == 3
