"""A run of the command line in a home of its own, and a store to look at."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagetrace import places
from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store

NOW = 1_793_534_400_000  # 2026-11-01 12:00 UTC
HOUR = 3_600_000


@dataclass
class Home:
    """An empty home directory, an environment that knows nothing else, and the present.

    Attributes:
        path: The home directory; the working directory is ``work`` in it.
        environ: The environment of the commands.
    """

    path: Path
    environ: dict[str, str] = field(default_factory=dict)
    now_ms: int = NOW

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def config_file(self) -> Path:
        return places.config_file(self.environ)

    def store_path(self, service: str = "shelf") -> Path:
        return places.store_path(self.environ, service)

    def record(self, *events: Event, service: str = "shelf") -> Path:
        """Write events into a service's store and return its path."""
        path = self.store_path(service)
        with Store(path) as store:
            store.write(events)
        return path

    def leave(self, *events: Event, service: str = "shelf", path: Path | None = None) -> Path:
        """Leave events in a service's spool, as a tool does that has ended; return the path of the database."""
        path = self.store_path(service) if path is None else path
        spool = Spool(spool_directory(path))
        assert spool.append(events)
        spool.close()
        return path

    def write_settings(self, text: str) -> Path:
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(text, "utf-8")
        return self.config_file

    def run(self, line: str | list[str], code: int = 0) -> Result:
        """Run a command line; the exit code is checked."""
        arguments = shlex.split(line) if isinstance(line, str) else line
        cli = Cli(environ=self.environ, cwd=self.work, now_ms=lambda: self.now_ms, arguments=tuple(arguments))
        result = CliRunner().invoke(app, arguments, prog_name="usagetrace", obj=cli)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def json(self, line: str, code: int = 0) -> Any:
        """Run a command line and return the JSON on its standard output."""
        return json.loads(self.run(f"{line} --format json", code).stdout)

    def process_environ(self, **more: str) -> Mapping[str, str]:
        """Return an environment for a real process."""
        base = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
        paths = [entry for entry in sys.path if entry]
        return {**base, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1", **self.environ, **more}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    path = tmp_path / "home"
    (path / "work").mkdir(parents=True)
    return Home(path, {"HOME": str(path), "USERPROFILE": str(path), "APPDATA": str(path), "LOCALAPPDATA": str(path)})


@pytest.fixture
def sample() -> Callable[[], list[Event]]:
    """Events of a day: deploys with one failure, a search with two results, a search without any."""

    def make() -> list[Event]:
        deploys = [
            Event("deploy", f"skill-{n % 3}", "skill", NOW - n * HOUR, "default", "~/app", {"sha": f"abc{n}"},
                  duration_ms=float(n + 1), status="error" if n == 2 else "ok",
                  error_type="OSError" if n == 2 else None, session_id="s1" if n < 2 else "s2", category="usage",
                  service_name="shelf")
            for n in range(6)
        ]  # fmt: skip
        found = [Event("search", f"skill-{n}", "skill", NOW, metadata={"rank": n + 1}, item=n) for n in range(2)]
        return [*deploys, *found, Event("search", "", "", NOW, metadata={"total_results": 0})]

    return make
