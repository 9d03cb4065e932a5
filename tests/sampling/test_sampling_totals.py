"""What is kept and what is counted, over many calls: by rate and minimum, in one process and in several."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.sampling.sampling_kit import Counted, binomial_bounds, install
from tests.support.process import clean_environment
from usagetrace import sampling, track
from usagetrace.store.recorder import Recorder

RATE, MINIMUM, WINDOW_S = 0.1, 10, 60
WINDOW_MS = WINDOW_S * 1000
SIZES = [1_000, pytest.param(100_000, marks=pytest.mark.e2e)]


@track("view")
def view(name: str) -> None:
    """Look at something; `broken` can't be looked at."""
    if name == "broken":
        raise LookupError(name)


def clock(step_ms: int) -> Any:
    """Return a clock that goes on by so many milliseconds each time it is asked."""
    times = itertools.count(1_700_000_000_000, step_ms)
    return lambda: next(times) * 1_000_000


def look(names: list[str]) -> int:
    """Look at everything; return how often that failed."""
    failed = 0
    for name in names:
        try:
            view(name)
        except LookupError:
            failed += 1
    return failed


@pytest.mark.parametrize("number", SIZES)
def test_rows_are_within_the_bound_and_totals_are_exact(tmp_path: Path, number: int) -> None:
    """Of N calls at rate 0.1, at least 10 in each window: rows within the exact binomial interval (chance 1e-9 to fall
    outside) plus at most 10 a window, no window with fewer than 10; every failure is a row; summary, rollups and
    metrics say N."""
    sampling.set_rate("view", RATE, minimum=MINIMUM, window_s=WINDOW_S)
    recorder = Recorder(tmp_path / "a.db", retention_days=0)
    # About 40 calls in most windows: ten minutes for the short one.
    metrics = install(recorder, clock=clock(WINDOW_MS // 40))
    failed = look(["broken" if at % 250 == 7 else f"artifact-{at % 9}" for at in range(number)])
    assert recorder.close(120.0)
    counted = Counted(tmp_path / "a.db")
    assert counted.totals == {number}
    assert metrics.totals() == (number, number)
    assert counted.errors == failed == sum(status == "error" for _type, _ts, status in counted.rows) == number // 250
    windows = counted.by_window(WINDOW_MS)
    calls = Counter((1_700_000_000_000 + at * (WINDOW_MS // 40)) // WINDOW_MS for at in range(number))
    assert [window for window in calls if windows[window] < min(MINIMUM, calls[window])] == []
    least, most = binomial_bounds(number - failed, RATE)
    assert least <= len(counted.rows) - failed <= most + MINIMUM * len(calls)


@pytest.mark.parametrize("number", SIZES)
def test_without_a_minimum_the_rate_alone_counts(tmp_path: Path, number: int) -> None:
    """With no minimum the rows lie within the exact binomial interval, and the totals are exact."""
    sampling.set_rate("view", RATE, minimum=0)
    recorder = Recorder(tmp_path / "a.db", retention_days=0)
    install(recorder, clock=clock(10))
    look(["canvas"] * number)
    assert recorder.close(120.0)
    counted = Counted(tmp_path / "a.db")
    assert counted.totals == {number}
    least, most = binomial_bounds(number, RATE)
    assert least <= len(counted.rows) <= most


@pytest.mark.parametrize("number", SIZES)
def test_a_provider_with_the_sampler(tmp_path: Path, number: int) -> None:
    """On an application's own provider the spans keep rate and minimum; the store counts all calls, has a row of each
    failure, and every failure has a span."""
    sampling.set_rate("view", RATE, minimum=MINIMUM, window_s=WINDOW_S)
    now = clock(WINDOW_MS // 40)
    at: list[int] = []

    def wall() -> int:
        at.append(now())
        return at[-1]

    exporter = InMemorySpanExporter()
    usage_sampler = sampling.UsageSampler(clock=lambda: at[-1] / 1e9)
    provider = TracerProvider(sampler=usage_sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    recorder = Recorder(tmp_path / "a.db", retention_days=0)
    metrics = install(recorder, clock=wall, tracer=provider.get_tracer("t"))
    failed = look(["broken" if each % 250 == 7 else f"artifact-{each % 9}" for each in range(number)])
    assert recorder.close(120.0)
    provider.shutdown()
    counted = Counted(tmp_path / "a.db")
    assert counted.totals == {number}
    assert metrics.totals() == (number, number)
    spans = exporter.get_finished_spans()
    assert sum("error.type" in (span.attributes or {}) for span in spans) == failed == counted.errors
    assert sum(status == "error" for _type, _ts, status in counted.rows) == failed
    kept = Counter(int(span.start_time or 0) // 1_000_000 // WINDOW_MS for span in spans)
    calls = Counter(each // 1_000_000 // WINDOW_MS for each in at)
    assert [window for window in calls if kept[window] < min(MINIMUM, calls[window])] == []
    least, most = binomial_bounds(number - failed, RATE)
    assert least <= len(spans) - failed <= most + MINIMUM * len(calls)


def test_a_rate_that_changes_meanwhile(tmp_path: Path) -> None:
    """A rate holds from the next call on, whichever function makes it, and what was set is undone by a reset."""
    sampling.set_rate("view", 0, minimum=0)
    recorder = Recorder(tmp_path / "a.db", retention_days=0)
    install(recorder, clock=clock(10))
    look(["gone"] * 50)
    sampling.set_rate("view", 1)
    look(["kept"] * 30)
    sampling.set_rate("category.usage", 0, minimum=0)
    look(["kept"] * 5)
    sampling.reset("view")
    look(["gone"] * 7)
    sampling.reset()
    look(["kept"] * 3)
    assert recorder.close(30.0)
    counted = Counted(tmp_path / "a.db")
    assert (len(counted.rows), counted.totals) == (38, {95})


# A tool of its own process: so many calls, each a row or counted.
TOOL = """
import sys
from usagetrace import track

@track("view")
def view(name): ...

for number in range(int(sys.argv[1])):
    view(f"artifact-{number % 3}")
"""


def run_tools(tmp_path: Path, processes: int, calls: int, sampling_text: str, *, at_once: int) -> Counted:
    """Run a tool in so many processes, some of them at once; return what its store says."""
    home = tmp_path / "home"
    program = tmp_path / "tool.py"
    program.write_text(TOOL, encoding="utf-8")
    database = tmp_path / "a.db"
    env = clean_environment(home, {"USAGETRACE_DB_PATH": str(database), "USAGETRACE_SAMPLING": sampling_text})
    waiting = [[sys.executable, str(program), str(calls)] for _ in range(processes)]
    while waiting:
        running = [subprocess.Popen(command, env=env, cwd=tmp_path) for command in waiting[:at_once]]
        waiting = waiting[at_once:]
        assert [process.wait(120) for process in running] == [0] * len(running)
    return Counted(database)


@pytest.mark.parametrize(("processes", "calls"), [(2, 20), pytest.param(10, 10_000, marks=pytest.mark.e2e)])
def test_the_minimum_holds_over_processes(tmp_path: Path, processes: int, calls: int) -> None:
    """Several processes at once that keep none but for the minimum: together they keep the minimum of each window, no
    more and no less, and all calls are counted."""
    counted = run_tools(tmp_path, processes, calls, "view=0/5/86400", at_once=4)
    assert counted.totals == {processes * calls}
    windows = counted.by_window(86_400_000)
    # One window, or two where a day ends meanwhile: the first may have seen fewer calls.
    assert max(windows.values()) == 5
    assert len(windows) <= 2


@pytest.mark.e2e
def test_the_minimum_holds_over_commands_of_one_event(tmp_path: Path) -> None:
    """Commands that record one event each keep the minimum of each window as one process would."""
    counted = run_tools(tmp_path, 100, 1, "view=0/2/86400", at_once=3)
    assert counted.totals == {100}
    windows = counted.by_window(86_400_000)
    assert set(windows.values()) <= {1, 2}
    assert len(counted.rows) == 2 or len(windows) > 1


@pytest.mark.e2e
def test_commands_of_one_event_at_a_rate(tmp_path: Path) -> None:
    """Two hundred commands of one event each at rate 0.3 keep as many rows as the rate says."""
    counted = run_tools(tmp_path, 200, 1, "view=0.3/0", at_once=4)
    assert counted.totals == {200}
    least, most = binomial_bounds(200, 0.3)
    assert least <= len(counted.rows) <= most
