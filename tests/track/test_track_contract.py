"""What leaves: exact names and types of attributes, the span's shape, and the metrics."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

import usagetrace
from usagetrace import semconv, track
from usagetrace.track import runtime
from usagetrace.track.runtime import OFF


@track.deploy(session_id="$session")
def deploy(
    artifact_name: str, artifact_type: str, collection_name: str, project_path: str, version: str, session: str
) -> None:
    """Deploy, or fail where the version says so."""
    if version == "bad":
        raise FileNotFoundError("planted secret")


def test_attributes_have_exact_names_and_types(spans: Any) -> None:
    """A call's span has these attributes with these types, and no other."""
    deploy("canvas", "skill", "default", "~/app", "v1", "s-1")
    attributes = spans.attributes()
    assert attributes == {
        "usage.event.type": "deploy",
        "usage.event.category": "usage",
        "usage.event.priority": "normal",
        "usage.artifact.name": "canvas",
        "usage.artifact.type": "skill",
        "usage.collection.name": "default",
        "usage.project.path": "~/app",
        "usage.metadata.version": "v1",
        "usage.metadata.success": True,
        "session.id": "s-1",
        "code.function.name": "tests.track.test_track_contract.deploy",
    }
    assert {type(value) for value in attributes.values()} == {str, bool}


def test_span_has_the_contracts_shape(spans: Any) -> None:
    """Kind INTERNAL, name = event type, scope with version and schema URL, no events, no links, no description."""
    deploy("canvas", "skill", "default", "~/app", "v1", "s-1")
    with pytest.raises(FileNotFoundError):
        deploy("canvas", "skill", "default", "~/app", "bad", "s-1")
    good, bad = spans.finished
    for span in (good, bad):
        assert (span.name, span.kind, span.events, span.links) == ("deploy", SpanKind.INTERNAL, (), ())
        scope = span.instrumentation_scope
        assert (scope.name, scope.schema_url) == ("usagetrace", semconv.SCHEMA_URL)
        assert span.status.description is None
    assert (good.status.status_code, bad.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert (bad.attributes["error.type"], bad.attributes["usage.metadata.success"]) == ("FileNotFoundError", False)
    assert "secret" not in bad.to_json()


def test_error_types_are_qualified_names(spans: Any) -> None:
    """error.type is the class's qualified name with its module; builtins stand without one."""

    class LocalError(Exception):
        pass

    for error in (KeyError("x"), LocalError("x"), __import__("json").JSONDecodeError("x", "", 0)):
        with pytest.raises(type(error)):
            track("x")(_raise)(error)
    assert [span.attributes["error.type"] for span in spans.finished] == [
        "KeyError",
        f"{__name__}.test_error_types_are_qualified_names.<locals>.LocalError",
        "json.decoder.JSONDecodeError",
    ]


def _raise(error: Exception) -> None:
    raise error


def test_custom_types_are_custom(spans: Any) -> None:
    """An event type that is not known has category custom; a block has no code.function.name."""
    with track("page_opened", artifact_name="gpt", artifact_type="model"):
        pass
    attributes = spans.attributes()
    assert attributes == {
        "usage.event.type": "page_opened",
        "usage.event.category": "custom",
        "usage.event.priority": "normal",
        "usage.artifact.name": "gpt",
        "usage.artifact.type": "model",
    }


def test_span_times_come_from_both_clocks(capture: Any) -> None:
    """The start is the wall clock's, the duration the monotonic clock's, though the wall clock is set back."""
    wall = iter([5_000_000_000, 1, 1, 1])
    ticks = itertools.count(100, 250_000_000)
    spans = capture(clock=lambda: next(wall), ticks=lambda: next(ticks))
    track("x")(lambda: None)()
    span = spans.one()
    assert (span.start_time, span.end_time) == (5_000_000_000, 5_250_000_000)
    (point,) = spans.points("usage.operation.duration")
    assert point.sum == 0.25


def test_an_events_time_is_when_it_began(spans: Any) -> None:
    """The span begins before the body runs and ends after it."""
    before = time.time_ns()
    inside = track("x")(time.time_ns)()
    span = spans.one()
    assert before <= span.start_time <= inside <= span.end_time


def test_metrics_have_the_contracts_shape(spans: Any) -> None:
    """Names, units and buckets of the two metrics are the contract's."""
    deploy("canvas", "skill", "default", "~/app", "v1", "s-1")
    data = spans.reader.get_metrics_data()
    (scope,) = data.resource_metrics[0].scope_metrics
    metrics = {metric.name: metric for metric in scope.metrics}
    assert (scope.scope.name, scope.scope.schema_url) == ("usagetrace", semconv.SCHEMA_URL)
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "usage.operation.duration": "s",
        "usage.events": "{event}",
    }
    (point,) = metrics["usage.operation.duration"].data.data_points
    assert point.explicit_bounds == semconv.DURATION_BUCKETS
    assert metrics["usage.events"].data.is_monotonic


def test_metric_attributes_are_few_and_counts_equal_events(spans: Any) -> None:
    """Metrics know event type, artifact type, outcome and error.type, nothing that grows; counts equal the events."""
    for number in range(20):
        deploy(f"a{number}", "skill", f"c{number}", f"~/{number}", f"v{number}", f"s{number}")
    with pytest.raises(FileNotFoundError):
        deploy("a", "skill", "default", "~/app", "bad", "s-1")
    track.search(lambda query: ["a", "b"])("q")
    track.search(lambda query: [])("q")
    counts = {tuple(value for _key, value in key): count for key, count in spans.counts().items()}
    assert counts == {
        ("skill", "deploy", "success"): 20,
        ("FileNotFoundError", "skill", "deploy", "error"): 1,
        ("search", "success"): 3,
    }
    allowed = {"usage.event.type", "usage.artifact.type", "usage.outcome", "error.type"}
    points = [*spans.points("usage.operation.duration"), *spans.points("usage.events")]
    assert {key for point in points for key in point.attributes} == allowed
    assert sum(point.count for point in spans.points("usage.operation.duration")) == len(spans.finished) == 23


# --- record_event ----------------------------------------------------------------------------------------------


def test_record_event_is_a_point_in_time(spans: Any) -> None:
    """An event without duration has a span without length, no duration metric, and counts."""
    assert usagetrace.record_event("deploy", "canvas", "skill", "default", "~/app", {"k": 1}, session_id="s") is True
    span = spans.one()
    assert span.start_time == span.end_time
    attributes = spans.attributes()
    assert attributes.pop("usage.metadata.success") is True
    assert attributes == {
        "usage.event.type": "deploy", "usage.event.category": "usage", "usage.event.priority": "normal",
        "usage.artifact.name": "canvas", "usage.artifact.type": "skill", "usage.collection.name": "default",
        "usage.project.path": "~/app", "usage.metadata.k": 1, "session.id": "s",
    }  # fmt: skip
    assert spans.points("usage.operation.duration") == []
    assert sum(spans.counts().values()) == 1


def test_record_event_counts_inside_an_operation(spans: Any) -> None:
    """record_event always counts, also inside a tracked call of the same type."""
    with track.deploy(artifact_name="outer"):
        assert usagetrace.record_event("deploy", "inner", "skill")
    assert len(spans.finished) == 2


@pytest.mark.parametrize("outcome", [False, "error", "conflict", "cancelled", True, None])
def test_record_event_takes_an_outcome(spans: Any, outcome: Any) -> None:
    """An outcome is told as for operations."""
    assert usagetrace.record_event("x", "a", "b", outcome=outcome)
    said = {False: "error", True: "success", None: "success"}.get(outcome, outcome)
    assert [dict(key)["usage.outcome"] for key in spans.counts()] == [said]


WRONG: list[tuple[Any, ...]] = [
    ("", "a", "b"), (None, "a", "b"), (5, "a", "b"), ("x" * 600, "a", "b"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG)
def test_record_event_refuses_without_raising(spans: Any, arguments: tuple[Any, ...]) -> None:
    """An event type that can't be one gives False and raises nothing."""
    assert usagetrace.record_event(*arguments) is False
    assert spans.finished == []


def test_record_event_is_false_when_off(spans: Any) -> None:
    """Where nothing is recorded, record_event says so."""
    runtime.install(OFF)
    assert usagetrace.record_event("deploy", "a", "b") is False


def test_record_event_that_is_sampled_away_is_counted(capture: Any) -> None:
    """A point in time that is sampled away still counts in the metrics, as a call does."""
    spans = capture(sampler=ALWAYS_OFF)
    usagetrace.record_event("deploy", "a", "b")
    assert sum(spans.counts().values()) == 1


def test_flush_and_shutdown_without_anything_started() -> None:
    """flush says that nothing waits; after shutdown calls run untracked; nothing is made."""
    runtime.install(None)
    assert usagetrace.flush() is True
    usagetrace.shutdown()
    assert runtime.installed() is OFF
    assert track.deploy(lambda name: name)("canvas") == "canvas"


def test_public_names_are_sorted_and_importable() -> None:
    """__all__ is sorted and every name in it can be imported."""
    assert usagetrace.__all__ == sorted(usagetrace.__all__)
    assert all(hasattr(usagetrace, name) for name in usagetrace.__all__)
