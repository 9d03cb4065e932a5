"""A legacy file and a store in a directory of their own, and a run of the command line on them."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.invocations import SkillMetricsStore

SAMPLE = Path(__file__).with_name("skill_metrics.sample.json")
NOW = 1_796_000_000_000  # after every time of the sample


@dataclass
class Place:
    """A directory with a legacy file and a database.

    Attributes:
        json: The legacy file.
        database: The database; not made yet.
    """

    json: Path
    database: Path
    now_ms: int = NOW

    def run(self, line: str, code: int = 0) -> Result:
        """Run a command line on the database; the exit code is checked."""
        arguments = ["--db", str(self.database), *shlex.split(line)]
        cli = Cli(
            environ=dict(os.environ), cwd=self.json.parent, now_ms=lambda: self.now_ms, arguments=tuple(arguments)
        )
        result = CliRunner().invoke(app, arguments, prog_name="usagetrace", obj=cli)
        assert result.exit_code == code, (result.output, result.stderr, result.exception)
        return result

    def content(self) -> dict[str, Any]:
        """Return what the file holds."""
        found: dict[str, Any] = json.loads(self.json.read_text("utf-8"))
        return found


@pytest.fixture(autouse=True)
def nothing_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep retention from removing what these tests look for: their times are fixed ones."""
    monkeypatch.setenv("USAGETRACE_RETENTION_DAYS", "0")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A directory with the sample file and no database."""
    path = tmp_path / "skill_metrics.json"
    path.write_bytes(SAMPLE.read_bytes())
    return Place(path, tmp_path / "data" / "analytics.db")


@pytest.fixture
def temp_db(place: Place) -> Iterator[SkillMetricsStore]:
    """A store of the test's own."""
    with SkillMetricsStore(place.database) as store:
        yield store
