"""What becomes of single calls that a rate or a sampler takes away: in the store, at the endpoint, for the caller."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

import usagetrace
from usagetrace import sampling, track
from usagetrace.events import Event, Priority
from usagetrace.redaction import default_redactor
from usagetrace.sampler import make_sampler
from usagetrace.track import reading, runtime
from usagetrace.track.runtime import Runtime

# In the middle of a day.
NOW = 1_700_000_000_000_000_000


class Store:
    """Takes rows as a recorder does, and remembers which of them are only counted."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.counted: list[tuple[Event, int, int]] = []
        self.begun: list[Event] = []
        self.sent: list[tuple[Any, ...]] = []

    def record(self, rows: list[tuple[Any, ...]]) -> bool:
        """Keep the rows of a call."""
        self.kept.extend(map(Event._make, rows))
        return True

    def record_sampled(self, rows: list[tuple[Any, ...]], minimum: int, window_ms: int) -> bool:
        """Count the rows of a call."""
        self.counted.extend((Event._make(row), minimum, window_ms) for row in rows)
        return True

    def record_start(self, row: tuple[Any, ...]) -> bool:
        """Take what has begun."""
        self.begun.append(Event._make(row))
        return True

    def export(self, *of: Any) -> None:
        """Take a call that is sent."""
        self.sent.append(of)

    def install(self, tracer: Any = None, **more: Any) -> Store:
        """Put a runtime in force that writes here."""
        arguments = {"record": self.record, "record_sampled": self.record_sampled, **more}
        runtime.install(Runtime(tracer, None, default_redactor(), **arguments))
        return self

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """The artifacts that are kept, and those that are counted."""
        return [row.artifact_name for row in self.kept], [row.artifact_name for row, *_rest in self.counted]


@track.deploy(artifact_type="skill")
def deploy(name: str) -> None:
    """Deploy; `broken` can't be."""
    if name == "broken":
        raise LookupError(name)


def deploy_all(*names: str) -> None:
    """Deploy each."""
    for name in names:
        try:
            deploy(name)
        except LookupError:
            continue


@pytest.fixture
def store() -> Store:
    """An empty store."""
    return Store()


class Provider:
    """A real provider with a sampler, and what reached its exporter."""

    def __init__(self, sampler: Sampler) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("t")

    @property
    def spans(self) -> list[Any]:
        """Spans that were exported."""
        return list(self.exporter.get_finished_spans())


# --- the local store -----------------------------------------------------------------------------------------


def test_a_call_that_is_taken_away_is_counted(store: Store) -> None:
    """Its rows go to be counted, with the minimum and the window of its type; a failure is kept; metrics aside, a call
    at rate 1 takes the way that it always took."""
    store.install()
    deploy("before")
    sampling.set_rate("deploy", 0, minimum=7, window_s=2)
    deploy_all("canvas", "broken")
    assert store.names == (["before", "broken"], ["canvas"])
    assert store.counted[0][1:] == (7, 2000)
    assert store.kept[1].error_type == "LookupError"


class Failing(Sampler):
    """Somebody's sampler that fails."""

    def should_sample(self, *_args: Any, **_kwargs: Any) -> SamplingResult:
        """Fail."""
        raise RuntimeError("planted")

    def get_description(self) -> str:
        """Return its name."""
        return "Failing"


def test_a_sampler_that_fails_costs_the_span_and_not_the_call(store: Store) -> None:
    """The store has the call as it would without that provider: kept or counted by its rate, failures kept."""
    provider = Provider(Failing())
    store.install(provider.tracer)
    deploy_all("canvas", "broken")
    sampling.set_rate("deploy", 0)
    deploy_all("easel", "broken")
    assert store.names == (["canvas", "broken", "broken"], ["easel"])
    assert provider.spans == []
    assert len({row.span_id for row in store.kept}) == 3


def test_without_anybody_who_counts_all_are_kept(store: Store) -> None:
    """Where nobody can count, a rate takes nothing away."""
    store.install(record_sampled=None)
    sampling.set_rate("deploy", 0, minimum=0)
    deploy("canvas")
    assert store.names == (["canvas"], [])


def test_one_failure_keeps_all_rows_of_a_call(store: Store) -> None:
    """A call of several artifacts of which one failed is kept whole."""
    store.install()
    sampling.set_rate("sync", 0, minimum=0)
    tracked = track.sync(each="$done", artifact_name="$item.name", outcome="$item.end")(lambda done: None)
    for ends in ({"a": "success", "b": "error"}, {"c": "success", "d": "success"}):
        tracked([SimpleNamespace(name=name, end=end) for name, end in ends.items()])
    assert store.names == (["a", "b"], ["c", "d"])


@pytest.mark.parametrize("priority", list(Priority))
def test_what_matters_much_is_never_taken_away(
    store: Store, monkeypatch: pytest.MonkeyPatch, priority: Priority
) -> None:
    """High and critical priority are kept whatever the rate says."""
    monkeypatch.setattr(reading, "priority_of", lambda event_type: priority)
    store.install()
    sampling.set_rate("category.custom", 0, minimum=0)
    track(f"x-{priority.value}", artifact_name="$name")(lambda name: None)("canvas")
    sure = priority in (Priority.HIGH, Priority.CRITICAL)
    assert store.names == ((["canvas"], []) if sure else ([], ["canvas"]))


def test_calls_of_a_trace_are_kept_together(store: Store) -> None:
    """Operations of one trace and of equal rates share their fate: the trace id decides."""
    store.install()
    sampling.set_rate("category.usage", 0.5, minimum=0)
    for number in range(40):
        with track.invoke(artifact_name=f"{number}"):
            deploy_all("one", "two")
    traces: dict[str | None, set[bool]] = {}
    for row in store.kept:
        traces.setdefault(row.trace_id, set()).add(True)
    for row, *_rest in store.counted:
        traces.setdefault(row.trace_id, set()).add(False)
    assert len(traces) == 40
    assert {len(fates) for fates in traces.values()} == {1}


def test_record_event_says_true_for_what_is_counted(store: Store) -> None:
    """A point in time that is counted was recorded."""
    store.install()
    sampling.set_rate("view", 0, minimum=0)
    assert usagetrace.record_event("view", "canvas", "skill") is True
    assert store.names == ([], ["canvas"])


# --- our own way to an endpoint ------------------------------------------------------------------------------


@pytest.mark.parametrize("local", [True, False])
def test_what_is_sent_keeps_rate_and_minimum(store: Store, local: bool) -> None:
    """Of calls at rate 0 and minimum 2 two are sent, and each failure; the store gets every call."""
    store.install(export=store.export, clock=lambda: NOW, **({} if local else {"record": None, "record_sampled": None}))
    sampling.set_rate("deploy", 0, minimum=2, window_s=86_400)
    deploy_all("a", "b", "c", "broken", "d")
    names = [merged["usage.artifact.name"] for _operation, merged, *_rest in store.sent]
    assert names == ["a", "b", "broken"]
    assert store.names == ((["broken"], ["a", "b", "c", "d"]) if local else ([], []))


def test_a_point_in_time_that_is_sent_keeps_rate_and_minimum(store: Store) -> None:
    """Points in time of our own pipeline are sent by rate and minimum too, failures always; the store gets them all."""
    store.install(export=store.export, export_moment=store.export, clock=lambda: NOW)
    sampling.set_rate("view", 0, minimum=1, window_s=86_400)
    for name in ("a", "broken", "b", "c"):
        assert usagetrace.record_event("view", name, "skill", outcome=name != "broken")
    names = [merged["usage.artifact.name"] for _operation, merged, *_rest in store.sent]
    assert names == ["a", "broken"]
    assert store.names == (["broken"], ["a", "b", "c"])


def test_a_log_event_keeps_rate_and_minimum(store: Store) -> None:
    """Points in time of an application's logger provider keep to the rate as well."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    store.install(logger=provider.get_logger("t"))
    sampling.set_rate("view", 0, minimum=0)
    said = [usagetrace.record_event("view", name, "skill", outcome=name != "broken") for name in ("a", "broken")]
    provider.shutdown()
    assert said == [True, True]
    assert [each.log_record.attributes["usage.artifact.name"] for each in exporter.get_finished_logs()] == ["broken"]
    assert store.names == (["broken"], ["a"])


# --- somebody's provider -------------------------------------------------------------------------------------


def parent_off() -> Sampler:
    """Return a sampler that leaves out every trace."""
    return ParentBased(ALWAYS_OFF)


@pytest.mark.parametrize("sampler", [lambda: ALWAYS_OFF, parent_off], ids=["off", "parent based"])
def test_whatever_takes_a_span_away_the_call_counts(store: Store, sampler: Callable[[], Sampler]) -> None:
    """A sampler that leaves out everything: successes are counted with no minimum, failures are rows; ids are the
    span's, and no span is exported."""
    provider = Provider(sampler())
    store.install(provider.tracer, record_start=store.record_start)
    deploy_all("canvas", "broken")
    with track.invoke(artifact_name="flow"):
        inner = trace.get_current_span().get_span_context()
    assert store.names == (["broken"], ["canvas", "flow"])
    assert [rest[0] for _row, *rest in store.counted] == [0, 0]
    assert provider.spans == []
    ended = store.counted[1][0]
    assert (ended.trace_id, ended.span_id) == (f"{inner.trace_id:032x}", f"{inner.span_id:016x}")
    assert [(row.trace_id, row.span_id) for row in store.begun] == [(ended.trace_id, ended.span_id)]


@pytest.mark.parametrize("local", [True, False])
def test_a_failure_gets_a_span_after_all(store: Store, local: bool) -> None:
    """A call whose span was left out and that failed is emitted afresh: same start, same parent, all attributes, and
    the ids of its row."""
    sampling.set_rate("deploy", 0, minimum=0)
    provider = Provider(sampling.UsageSampler())
    store.install(provider.tracer, **({} if local else {"record": None, "record_sampled": None}))
    with provider.tracer.start_as_current_span("request") as request:
        deploy_all("canvas", "broken")
    again, around = provider.spans
    assert around.name == "request"
    assert (again.name, again.status.status_code) == ("deploy", StatusCode.ERROR)
    assert again.parent.span_id == request.get_span_context().span_id
    assert request.start_time <= again.start_time <= again.end_time <= around.end_time
    assert again.attributes["error.type"] == "LookupError"
    assert again.attributes["usage.artifact.name"] == "broken"
    assert again.attributes["usage.metadata.success"] is False
    if local:
        (row,) = store.kept
        assert (row.trace_id, row.span_id) == (f"{again.context.trace_id:032x}", f"{again.context.span_id:016x}")
        assert row.ts_ms == again.start_time // 1_000_000
        assert store.names == (["broken"], ["canvas"])


def test_a_failure_in_a_trace_that_is_left_out(store: Store) -> None:
    """The sampler of the entry point emits it even there, below the trace's own ids; nothing else of the trace."""
    provider = Provider(make_sampler("0"))
    store.install(provider.tracer)
    with provider.tracer.start_as_current_span("request") as request:
        deploy_all("canvas", "broken")
    (again,) = provider.spans
    assert again.context.trace_id == request.get_span_context().trace_id
    assert store.names == (["broken"], ["canvas"])


def test_an_invocation_that_failed_keeps_the_ids_of_its_beginning(store: Store) -> None:
    """What was told when it began is ended by the row: both have the ids of the span that was left out."""
    sampling.set_rate("invoke", 0, minimum=0)
    provider = Provider(sampling.UsageSampler())
    store.install(provider.tracer, record_start=store.record_start)
    with pytest.raises(LookupError), track.invoke(artifact_name="flow"):
        raise LookupError("planted")
    assert [(row.trace_id, row.span_id) for row in store.kept] == [(r.trace_id, r.span_id) for r in store.begun]
    assert len(provider.spans) == len(store.begun) == 1


class RecordOnly(Sampler):
    """Has spans recorded that are not sampled."""

    def should_sample(self, *of: Any, **more: Any) -> SamplingResult:
        """Record."""
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        """Return its name."""
        return "RecordOnly"


def test_a_span_that_is_only_recorded_is_not_made_twice(store: Store) -> None:
    """Processors see such a span once, with how it ended; the store counts the call, and keeps a failure."""
    provider = Provider(RecordOnly())
    ended: list[Any] = []
    provider.provider._active_span_processor._span_processors[0].on_end = ended.append  # type: ignore[method-assign]
    store.install(provider.tracer)
    deploy_all("canvas", "broken")
    assert [span.status.status_code for span in ended] == [StatusCode.UNSET, StatusCode.ERROR]
    assert store.names == (["broken"], ["canvas"])


@pytest.mark.parametrize("inside", [True, False])
def test_a_provider_that_does_nothing_is_no_sampler(store: Store, inside: bool) -> None:
    """Where no span is made nobody took one away: the rates decide about the store, and each call has ids of its own,
    in the trace around it."""
    tracer = trace.NoOpTracerProvider().get_tracer("t")
    store.install(tracer)
    around = Provider(ALWAYS_ON)
    with around.tracer.start_as_current_span("request") if inside else trace.use_span(trace.INVALID_SPAN) as request:
        deploy_all("one", "broken")
        sampling.set_rate("deploy", 0, minimum=4)
        deploy("two")
    assert store.names == (["one", "broken"], ["two"])
    assert store.counted[0][1] == 4
    rows = [*store.kept, store.counted[0][0]]
    assert len({row.span_id for row in rows}) == 3
    if inside:
        assert {row.trace_id for row in rows} == {f"{request.get_span_context().trace_id:032x}"}


def test_a_sampled_span_keeps_to_the_rate_of_the_store(store: Store) -> None:
    """A provider that keeps all spans: the store has the rows that its own rates keep, and counts the others."""
    provider = Provider(ALWAYS_ON)
    store.install(provider.tracer)
    sampling.set_rate("deploy", 0, minimum=5, window_s=1)
    deploy_all("canvas", "broken")
    assert [span.attributes["usage.artifact.name"] for span in provider.spans] == ["canvas", "broken"]
    assert store.names == (["broken"], ["canvas"])
    assert store.counted[0][1:] == (5, 1000)


def test_a_provider_that_fails_at_the_second_span_costs_no_row(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A tracer that raises when the failure is to be emitted: the row is kept, nothing is raised."""

    class Once:
        def __init__(self) -> None:
            self.tracer = Provider(ALWAYS_OFF).tracer
            self.calls = 0

        def start_span(self, *of: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls > 1:
                raise OSError("planted")
            return self.tracer.start_span(*of, **more)

    tracer = Once()
    store.install(tracer)
    with pytest.raises(LookupError):
        deploy("broken")
    assert (store.names, tracer.calls) == ((["broken"], []), 2)


# --- only what is registered ---------------------------------------------------------------------------------


def test_where_it_is_strict_an_unknown_type_is_not_recorded(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A function of a type that nobody registered runs untracked, with one warning; a known type is recorded."""
    store.install(strict=True)
    tracked = track("nobody_registered_it")(lambda: "done")
    assert [tracked(), tracked()] == ["done", "done"]
    deploy("canvas")
    assert store.names == (["canvas"], [])
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "usagetrace.event_types.register()" in warnings[0]
