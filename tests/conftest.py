"""Fixtures that every test shares: a world of its own for each test, and spans caught in memory.

They keep a test from seeing the machine's HOME, environment and settings files, and from leaving anything behind.
They know nothing of single features.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hypothesis
import hypothesis.configuration
import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from usagetrace import api, redaction, semconv
from usagetrace.guard import forget_warnings
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

# A deadline would fail on a busy machine; a database of examples would be written beside the tests.
hypothesis.settings.register_profile(
    "usagetrace",
    database=None,
    deadline=None,
    # Half of the usual number: each run draws others, and there are many runs.
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("usagetrace")

_PREFIXES = ("USAGETRACE_", "OTEL_")
# Seconds that threads of a test get to end, where they were told to.
_GRACE = 5.0


@pytest.fixture(scope="session", autouse=True)
def hypothesis_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what hypothesis caches out of the working directory."""
    hypothesis.configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a test its own HOME and working directory; forget what ran; see that no thread is left."""
    for name in list(os.environ):
        if name == "DO_NOT_TRACK" or name.startswith(_PREFIXES):
            monkeypatch.delenv(name)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    folders = {"CONFIG": ".config", "DATA": ".local/share", "STATE": ".local/state", "CACHE": ".cache"}
    for name, folder in folders.items():
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / folder))
    monkeypatch.setenv("APPDATA", str(home / "AppData" / "Roaming"))
    monkeypatch.setenv("LOCALAPPDATA", str(home / "AppData" / "Local"))
    monkeypatch.chdir(work)
    # The shared redactor knows the home directory of the test that made it.
    monkeypatch.setattr(redaction, "_default", None)
    # What another test gave to configure() names that one's folder, and its policy.
    monkeypatch.setattr(api, "_settings", None)
    before = set(threading.enumerate())
    runtime.install(None)
    forget_warnings()
    # A test that fails inside a tracked call must not make the next one part of that call.
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)
    pipeline = sys.modules.get("usagetrace.pipeline")
    if pipeline is not None:
        pipeline.shutdown(1.0)
    runtime.install(None)
    forget_warnings()
    left = _left_threads(before)
    assert left == [], f"the test left threads that keep a program alive: {left}"


def _left_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    end = time.monotonic() + _GRACE
    while True:
        left = [t for t in threading.enumerate() if t not in before and not t.daemon and t.is_alive()]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


class PassThrough:
    """A redactor that changes nothing, for tests of everything but redaction."""

    def redact(self, key: str, value: object) -> object:
        """Return the value."""
        return value

    def key(self, key: str) -> str:
        """Return the key."""
        return key


class Captured:
    """What tracked calls produced, caught in memory by real SDK providers.

    Args:
        redactor: Sees every value; a pass-through by default.
        sampler: Decides on spans; all of them by default.
        clocks: Arguments of :class:`Runtime` for its clocks.
    """

    def __init__(self, redactor: Any = None, sampler: Sampler = ALWAYS_ON, **clocks: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.rows: list[tuple[Any, ...]] = []
        self.reader = InMemoryMetricReader()
        resource = Resource.get_empty()
        self.provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], resource=resource, shutdown_on_exit=False)
        self.tracer = self.provider.get_tracer(semconv.SCOPE_NAME, "0", schema_url=semconv.SCHEMA_URL)
        self.meter = self.meters.get_meter(semconv.SCOPE_NAME, "0", schema_url=semconv.SCHEMA_URL)
        self.runtime = Runtime(self.tracer, self.meter, PassThrough() if redactor is None else redactor, **clocks)

    def install(self) -> Captured:
        """Put this runtime in force."""
        runtime.install(self.runtime)
        return self

    def take(self, rows: list[tuple[Any, ...]]) -> bool:
        """Take the rows of an operation of local mode."""
        self.rows.extend(rows)
        return True

    def close(self) -> None:
        """Shut the providers down."""
        self.provider.shutdown()
        self.meters.shutdown()

    @property
    def finished(self) -> list[ReadableSpan]:
        """Spans that ended, in the order in which they did."""
        return list(self.exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        """Names of the spans that ended."""
        return [span.name for span in self.finished]

    def one(self) -> ReadableSpan:
        """Return the only span; anything else is a failure."""
        assert len(self.finished) == 1, f"expected one span, found {self.names}"
        return self.finished[0]

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the only span."""
        return dict(self.one().attributes or {})

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the only span, without the prefix."""
        prefix = semconv.METADATA_PREFIX
        return {key[len(prefix) :]: value for key, value in self.attributes().items() if key.startswith(prefix)}

    def clear(self) -> None:
        """Forget the spans that ended."""
        self.exporter.clear()

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]

    def counts(self) -> dict[tuple[tuple[str, Any], ...], int]:
        """Return the counter of events by its attributes, sorted."""
        return {
            tuple(sorted(MappingProxyType(point.attributes).items())): point.value
            for point in self.points(semconv.METRIC_EVENTS)
        }


@pytest.fixture
def capture() -> Iterator[Callable[..., Captured]]:
    """Make runtimes that catch spans and metrics in memory: ``capture(redactor=..., sampler=..., clock=...)``."""
    made: list[Captured] = []

    def make(**arguments: Any) -> Captured:
        made.append(Captured(**arguments))
        return made[-1].install()

    yield make
    for captured in made:
        captured.close()


@pytest.fixture
def spans(capture: Callable[..., Captured]) -> Captured:
    """Catch the spans and metrics of tracked calls in memory, nothing redacted."""
    return capture()
