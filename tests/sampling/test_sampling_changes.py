"""Settings files that change while a process runs: the rates that they say come in force, without a restart."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

import usagetrace
from tests.support.process import clean_environment
from usagetrace import sampling, track
from usagetrace.config import load_settings
from usagetrace.redaction import default_redactor
from usagetrace.sampling_table import Rule
from usagetrace.store.onward import Several
from usagetrace.track import changes, rates, runtime
from usagetrace.track.changes import Watch
from usagetrace.track.runtime import Runtime

OWN = Rule(1.0, 1, 60.0)


class World:
    """A project's file, the user's, and a watch of both with a clock of the test's."""

    def __init__(self, root: Path, environ: dict[str, str] | None = None, given: Any = None) -> None:
        self.project = root / "project" / "deep"
        self.project.mkdir(parents=True)
        self.environ = {"HOME": str(root), "XDG_CONFIG_HOME": str(root), "APPDATA": str(root), **(environ or {})}
        self.file = self.project / "usagetrace.toml"
        self.user = root / "usagetrace" / "config.toml"
        self.user.parent.mkdir()
        self.now = 0.0
        settings = load_settings({"sampling": given}, environ=self.environ, cwd=self.project)
        rates.apply(settings.sampling)
        self.watch = Watch(self.environ, str(self.project), settings.sampling, clock=lambda: self.now)
        self.written = 1_000_000_000

    def write(self, path: Path, text: str) -> None:
        """Write a file; no two at the same time, as file systems tell time."""
        path.write_text(text)
        self.written += 10**9
        os.utime(path, ns=(self.written, self.written))

    def later(self) -> Rule:
        """Let some seconds go by, look, and return what is in force for searches."""
        self.now += 5.0
        self.watch.look()
        return sampling.rate_in_force("search")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world without a file."""
    return World(tmp_path)


def test_a_file_that_changes_changes_the_rates(world: World) -> None:
    """A file that comes, changes and goes is what counts, the project's before the user's; also for a type's rate that
    is held already."""
    held = rates.rate_of("search")
    assert world.later() == OWN
    world.write(world.user, "[sampling]\nsearch = 0.5\n")
    assert world.later() == Rule(0.5, 1, 60.0)
    assert held.bound == 2**63
    world.write(world.file, "[sampling]\nsearch = { rate = 0.25, minimum = 9 }\n")
    assert world.later() == Rule(0.25, 9, 60.0)
    world.write(world.file, "[sampling]\nsearch = 0.125\n")
    assert world.later() == Rule(0.125, 1, 60.0)
    world.file.unlink()
    assert world.later() == Rule(0.5, 1, 60.0)
    world.user.unlink()
    assert world.later() == OWN
    assert held.bound is None


def test_what_changed_between_loading_and_the_first_look_counts(world: World) -> None:
    """The first look reads, whatever the files were when the settings were loaded."""
    world.write(world.file, "[sampling]\nsearch = 0.5\n")
    assert world.later().rate == 0.5


def test_code_and_environment_stay_before_the_files(tmp_path: Path) -> None:
    """What configure() and the environment say is not overruled by a file that changes; nor is what code set."""
    world = World(tmp_path, {"USAGETRACE_SAMPLING": "search=0.5"}, {"sync": 0.25})
    world.write(world.file, "[sampling]\nsearch = 0.1\nsync = 0.1\ndeploy = 0.1\nview = 0.1\n")
    sampling.set_rate("view", 0.75)
    world.later()
    found = {name: sampling.rate_in_force(name).rate for name in ("search", "sync", "deploy", "view")}
    assert found == {"search": 0.5, "sync": 0.25, "deploy": 0.1, "view": 0.75}


FAULTY = ["[sampling]\nsearch = 7\n", "[sampling\n", "sampling = 5\n", "[sampling]\nsearch = { ratio = 1 }\n"]


@pytest.mark.parametrize("text", FAULTY)
def test_a_file_that_became_faulty_changes_nothing(world: World, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """The rates stay as they were, with one warning that names the file; mended, it counts again."""
    world.write(world.file, "[sampling]\nsearch = 0.5\n")
    assert world.later().rate == 0.5
    for wrong in (text, text + "# once more\n"):
        world.write(world.file, wrong)
        assert world.later().rate == 0.5
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "usagetrace.toml" in warnings[0]
    world.write(world.file, "[sampling]\nsearch = 0.25\n")
    assert world.later().rate == 0.25


def test_a_file_that_could_not_be_opened_counts_as_soon_as_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was out of descriptors when a file changed reads it later, though the file looks no different."""

    def failing(_env: Any, _start: Any, faults: list[str]) -> list[Any]:
        faults.append("usagetrace.toml: too many open files")
        return []

    world.write(world.file, "[sampling]\nsearch = 0.5\n")
    with monkeypatch.context() as patch:
        patch.setattr(changes, "read_files", failing)
        assert world.later() == OWN
    assert world.later().rate == 0.5


def test_nothing_is_read_before_some_seconds_are_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that come one after the other are one, and files that did not change are not read again."""
    reads: list[int] = []
    real = changes.read_files
    monkeypatch.setattr(changes, "read_files", lambda *of: reads.append(1) or real(*of))
    world.later()
    for _ in range(5):
        world.watch.look()
    world.later()
    assert reads == [1]


def test_the_project_is_where_the_process_began(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that went elsewhere still reads the file that it began with."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "usagetrace.toml").write_text("[sampling]\nsearch = 0\n")
    world.write(world.file, "[sampling]\nsearch = 0.5\n")
    assert world.later().rate == 0.5


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def test_without_a_thread_that_drains_a_short_one_looks(world: World) -> None:
    """Where something is only sent, a look takes a thread of its own: one, not one a call."""
    world.write(world.file, "[sampling]\nsearch = 0.5\n")
    changes.look_soon()
    assert sampling.rate_in_force("search") == OWN
    changes.begin(world.watch)
    before = threading.active_count()
    for _ in range(50):
        changes.look_soon()
    assert threading.active_count() <= before + 1
    until(lambda: sampling.rate_in_force("search").rate == 0.5)


def by_endpoint() -> None:
    """Track a call that is only sent."""
    runtime.install(Runtime(None, None, default_redactor(), export=lambda *of: None))
    track.deploy(lambda name: None)("canvas")


def by_log_events() -> None:
    """Record a point in time that is only a log event."""
    provider = LoggerProvider(shutdown_on_exit=False)
    runtime.install(Runtime(None, None, default_redactor(), export=lambda *of: None, logger=provider.get_logger("t")))
    usagetrace.record_event("deploy", "canvas", "skill")
    provider.shutdown()


def by_sampler() -> None:
    """Track a call that is only a span of a provider with the sampler."""
    provider = TracerProvider(sampler=sampling.UsageSampler(), shutdown_on_exit=False)
    runtime.install(Runtime(provider.get_tracer("t"), None, default_redactor()))
    track.deploy(lambda name: None)("canvas")
    provider.shutdown()


@pytest.mark.parametrize("call", [by_endpoint, by_log_events, by_sampler])
def test_a_call_without_a_store_has_somebody_look(world: World, call: Callable[[], None]) -> None:
    """Where nothing drains, a call that is sent or sampled has the files looked at, whatever its rate is now."""
    world.write(world.file, "[sampling]\nsearch = 0.5\n")
    changes.begin(world.watch)
    call()
    until(lambda: sampling.rate_in_force("search").rate == 0.5)


def test_the_thread_that_drains_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a process that records for a while the thread of the recorder notices a file that changed."""
    usagetrace.configure(db_path=tmp_path / "a.db")
    deploy = track.deploy(lambda name: None)
    deploy("canvas")
    Path("usagetrace.toml").write_text("[sampling]\ndeploy = 0.5\n")
    from usagetrace import pipeline

    running = pipeline.active()
    assert running is not None
    assert running.recorder is not None
    # As after its first second.
    running.recorder._start()
    until(lambda: sampling.rate_in_force("deploy").rate == 0.5)
    usagetrace.shutdown()
    assert sampling.rate_in_force("deploy") == OWN


def test_settings_are_in_force_once_it_is_configured(tmp_path: Path) -> None:
    """configure(), environment and file are what tracked calls keep to, until it is configured otherwise."""
    usagetrace.configure(db_path=tmp_path / "a.db", sampling={"deploy": {"rate": 0, "minimum": 0}})
    deploy = track.deploy(lambda name: None)
    deploy("canvas")
    assert sampling.rate_in_force("deploy") == Rule(0.0, 0, 60.0)
    usagetrace.configure(db_path=tmp_path / "a.db")
    deploy("canvas")
    assert sampling.rate_in_force("deploy") == OWN


def test_one_that_fails_costs_the_others_nothing() -> None:
    """Of several who take notice each is told, whatever another does."""
    told: list[Any] = []

    class Notes:
        def look(self, brought: int) -> None:
            told.append(brought)

        def stop(self) -> None:
            told.append("stop")

    class Fails:
        def look(self, brought: int) -> None:
            raise OSError("planted")

        def stop(self) -> None:
            raise OSError("planted")

    several = Several((Fails(), Notes()))
    several.look(3)
    several.stop()
    assert told == [3, "stop"]


# Records until it finds that another rate is in force; a minute at most, so that it never outlives its test.
SERVICE = """
import time
from usagetrace import sampling, track

@track.deploy
def deploy(name): ...

end = time.monotonic() + 60
deploy("canvas")
print("begun", flush=True)
while sampling.rate_in_force("deploy").rate != 0.5 and time.monotonic() < end:
    deploy("canvas")
    time.sleep(0.02)
print(sampling.rate_in_force("deploy").rate)
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    "env", [{}, {"USAGETRACE_LOCAL": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_a_service_takes_up_what_its_file_says(tmp_path: Path, env: dict[str, str]) -> None:
    """A real process that records, to its file or to an endpoint alone, keeps to a settings file that came later."""
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, tmp_path / "service.py"], cwd=tmp_path, env=clean_environment(tmp_path, env),
        stdout=subprocess.PIPE, text=True,
    ) as service:  # fmt: skip
        assert service.stdout is not None
        assert service.stdout.readline() == "begun\n"
        (tmp_path / "usagetrace.toml").write_text("[sampling]\ndeploy = 0.5\n")
        assert service.stdout.read() == "0.5\n"
    assert service.returncode == 0
