"""The sampler for an application's own provider: what it decides, and how OpenTelemetry comes by it."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from usagetrace import sampling
from usagetrace.sampler import SureOnly, UsageSampler, make_sampler
from usagetrace.track import windows as windows_module

VIEW = {"usage.event.type": "view", "usage.event.priority": "low"}
STATE = TraceState([("vendor", "value")])


def within(flags: int, *, remote: bool = False) -> Any:
    """Return the context of a span, sampled or not."""
    return set_span_in_context(NonRecordingSpan(SpanContext(1, 2, remote, TraceFlags(flags), STATE)))


def kept(sampler: Sampler, attributes: Any = None, *, trace_id: int = 2**63, context: Any = None) -> bool:
    """Return whether a sampler keeps a span."""
    return sampler.should_sample(context, trace_id, "name", attributes=attributes).decision.is_sampled()


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_a_rate_decides_as_the_ratio_of_opentelemetry_does(trace_id: int, rate: float) -> None:
    """Without a minimum the same traces are kept that OpenTelemetry's own ratio keeps."""
    sampling.set_rate("view", rate, minimum=0)
    same = TraceIdRatioBased(rate).should_sample(None, trace_id, "name").decision.is_sampled()
    assert kept(UsageSampler(), VIEW, trace_id=trace_id) == same


@pytest.mark.parametrize(
    "attributes",
    [
        {"usage.event.type": "view", "error.type": "OSError"},
        {"usage.event.type": "view", "usage.event.priority": "high"},
        {"usage.event.type": "view", "usage.event.priority": "critical"},
    ],
)
def test_what_is_never_sampled_away(attributes: dict[str, str]) -> None:
    """A span that begins with what it failed with, or of high or critical priority, is kept whatever the rate."""
    sampling.set_rate("view", 0, minimum=0)
    assert kept(UsageSampler(), attributes)
    assert kept(SureOnly(), attributes)
    assert not kept(UsageSampler(), VIEW)
    assert not kept(SureOnly(), VIEW)


@pytest.mark.parametrize("attributes", [None, {}, {"http.route": "/"}, {"usage.event.type": 5}])
@pytest.mark.parametrize("fallback", [ALWAYS_ON, ALWAYS_OFF])
def test_what_is_not_ours_is_the_fallback_s(attributes: Any, fallback: Sampler) -> None:
    """Spans of anybody else get what the other sampler says, result and all."""
    mine = UsageSampler(fallback).should_sample(within(1), 5, "name", attributes=attributes, links=[])
    theirs = fallback.should_sample(within(1), 5, "name", attributes=attributes, links=[])
    assert (mine.decision, dict(mine.attributes), mine.trace_state) == (
        theirs.decision, dict(theirs.attributes), theirs.trace_state,
    )  # fmt: skip


def test_the_minimum_of_each_window() -> None:
    """At rate 0 each window of the clock keeps its minimum, and not one more; another type has windows of its own."""
    sampling.set_rate("view", 0, minimum=3, window_s=60)
    sampling.set_rate("sync", 0, minimum=1, window_s=60)
    now = [0.0]
    sampler = UsageSampler(clock=lambda: now[0])
    for now[0], expected in ((0.0, 3), (59.9, 0), (60.0, 3), (7200.0, 3)):
        assert sum(kept(sampler, VIEW) for _ in range(10)) == expected
    assert sum(kept(sampler, {"usage.event.type": "sync"}) for _ in range(10)) == 1


def test_the_minimum_with_many_threads() -> None:
    """Threads that ask at once get the minimum together, exactly."""
    sampling.set_rate("view", 0, minimum=50, window_s=86_400)
    sampler = UsageSampler(clock=lambda: 5.0)
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.extend([kept(sampler, VIEW) for _ in range(100)])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), sum(found)) == (400, 50)


def test_attributes_and_trace_state_are_handed_on() -> None:
    """A span that is kept has its attributes; either way the trace state of its parent goes on."""
    result = UsageSampler().should_sample(within(1), 5, "name", attributes=VIEW)
    assert dict(result.attributes) == VIEW
    assert result.trace_state == STATE
    sampling.set_rate("view", 0, minimum=0)
    result = UsageSampler().should_sample(within(1), 5, "name", attributes=VIEW)
    assert dict(result.attributes) == {}
    assert result.trace_state == STATE
    assert UsageSampler().should_sample(None, 5, "name", attributes=VIEW).trace_state is None


def test_a_decision_that_fails_keeps_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can't be decided, nothing is raised into the program, and the span is kept."""

    def fail(*of: Any, **more: Any) -> bool:
        raise LookupError("planted")

    monkeypatch.setattr(windows_module.Windows, "keeps", fail)
    sampling.set_rate("view", 0, minimum=0)
    assert kept(UsageSampler(), VIEW)


@pytest.mark.parametrize("remote", [True, False])
def test_below_a_parent_it_is_as_the_parent_was(remote: bool) -> None:
    """The entry point's sampler: below a sampled parent, here or elsewhere, everything is kept; below another nothing
    but what is never sampled away of usage."""
    sampling.set_rate("view", 0, minimum=0)
    sampler = make_sampler()
    sure = {**VIEW, "error.type": "OSError"}
    assert [kept(sampler, each, context=within(1, remote=remote)) for each in (VIEW, None, sure)] == [True] * 3
    unsampled = within(0, remote=remote)
    assert [kept(sampler, each, context=unsampled) for each in (VIEW, None, sure)] == [False, False, True]
    assert [kept(sampler, each) for each in (VIEW, None, sure)] == [False, True, True]


def test_on_a_provider_children_and_links(capture: Any) -> None:
    """A span below one that was left out has it as parent; alone the sampler decides each, in ParentBased the root
    decides; a link to what was left out is kept as it is."""
    sampling.set_rate("view", 0, minimum=0)
    for sampler, expected in (
        (UsageSampler(), ["child", "linked"]),
        (ParentBased(UsageSampler()), ["linked"]),
        (make_sampler(), ["linked"]),
    ):
        captured = capture(sampler=sampler)
        with captured.tracer.start_as_current_span("view", attributes=VIEW) as root:
            assert not root.is_recording()
            with captured.tracer.start_as_current_span("child"):
                pass
        captured.tracer.start_span("linked", links=[Link(root.get_span_context())]).end()
        assert captured.names == expected
        assert captured.finished[-1].links[0].context == root.get_span_context()
        if "child" in expected:
            assert captured.finished[0].parent == root.get_span_context()


def test_descriptions_say_what_they_are() -> None:
    """A description names the sampler and the one behind it."""
    assert UsageSampler().get_description() == "UsageSampler{fallback:AlwaysOnSampler}"
    assert "root:UsageSampler{fallback:TraceIdRatioBased{0.25}}" in make_sampler("0.25").get_description()
    assert "localParentNotSampled:SureOnly" in make_sampler().get_description()


@pytest.mark.parametrize(("argument", "fallback"), [(None, "AlwaysOn"), ("", "AlwaysOn"), (" 0.5 ", "Based{0.5}")])
def test_the_argument_is_the_share_of_everything_else(argument: str | None, fallback: str) -> None:
    """OTEL_TRACES_SAMPLER_ARG says how many of the other traces are kept; without it all are."""
    assert fallback in make_sampler(argument).get_description()


@pytest.mark.parametrize("argument", ["2", "often", "nan", "search=0.1"])
def test_an_argument_that_is_none_is_warned_of(argument: str, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong argument costs no span: one warning says what was expected, and where rates are set."""
    with caplog.at_level(logging.WARNING):
        assert "fallback:AlwaysOnSampler" in make_sampler(argument).get_description()
    assert "expected a number from 0 to 1" in caplog.text
    assert "USAGETRACE_SAMPLING" in caplog.text


@pytest.fixture
def installed() -> None:
    """See that the package was installed with this entry point: metadata are of the time of the installation."""
    from importlib.metadata import entry_points

    if not entry_points(group="opentelemetry_traces_sampler", name="usagetrace"):
        pytest.fail("the package has to be installed anew: its entry points are those of an older version")


def test_the_environment_names_it(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under OTEL_TRACES_SAMPLER=usagetrace the SDK's own configuration makes it, with the argument."""
    from opentelemetry.sdk._configuration import _import_sampler

    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    sampler = _import_sampler("usagetrace")
    assert sampler is not None
    assert "root:UsageSampler{fallback:TraceIdRatioBased{0.5}}" in sampler.get_description()


def test_a_configuration_file_names_it(installed: None) -> None:
    """A YAML file makes it without an argument, by itself and as the root of a parent-based sampler."""
    pytest.importorskip("opentelemetry.configuration")
    from opentelemetry.configuration._tracer_provider import _create_sampler
    from opentelemetry.configuration.models import ParentBasedSampler
    from opentelemetry.configuration.models import Sampler as Configured

    alone = Configured(usagetrace={})
    assert "root:UsageSampler{" in _create_sampler(alone).get_description()
    root = _create_sampler(Configured(parent_based=ParentBasedSampler(root=alone)))
    assert "root:ParentBased{root:UsageSampler{" in root.get_description()


def test_it_is_no_burden_after_a_fork() -> None:
    """A child process decides by windows of its own, also where a thread of the parent held the lock."""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    sampling.set_rate("view", 0, minimum=1, window_s=86_400)
    sampler = UsageSampler(clock=lambda: 5.0)
    assert [kept(sampler, VIEW) for _ in range(2)] == [True, False]
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    with sampler._windows._lock:
        with warnings.catch_warnings():
            # From Python 3.12 on, where the process has threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            done = [kept(sampler, VIEW) for _ in range(2)] == [True, False]
            os._exit(0 if done else 1)
    _pid, status = os.waitpid(child, 0)
    provider.shutdown()
    assert os.waitstatus_to_exitcode(status) == 0
