"""Trace context by environment variables: what comes in, and what children find."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import TraceState

from tests.conftest import Captured, PassThrough
from usagetrace import track
from usagetrace.autoinstrument import finder, propagation
from usagetrace.track import local, runtime, spans
from usagetrace.track.runtime import Runtime

pytestmark = pytest.mark.skipif(os.name == "nt", reason="children print their environment by env(1)")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CAME = f"00-{TRACE}-{SPAN}-01"
Begin = Callable[..., None]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begin in an environment: ``begin(TRACEPARENT=...)``; everything is taken back afterwards."""
    initialize = subprocess.Popen.__init__

    def put(**variables: str) -> None:
        for name in (propagation.PARENT, propagation.STATE):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        propagation.begin()

    yield put
    propagation.end()
    assert subprocess.Popen.__init__ is initialize
    assert [found for found in sys.meta_path if found is finder._finder] == []
    assert (getattr(local, "inherited", None), getattr(spans, "inherited", None)) == (None, None)


@pytest.fixture
def rows() -> list[tuple[Any, ...]]:
    """The rows of local mode, which is in force."""
    found: list[tuple[Any, ...]] = []

    def take(made: list[tuple[Any, ...]]) -> bool:
        found.extend(made)
        return True

    runtime.install(Runtime(None, None, PassThrough(), record=take))
    return found


def seen_by(child: Callable[[], str | bytes]) -> dict[str, str]:
    """Return what a child that prints its environment says of the trace."""
    text = child()
    lines = (text if isinstance(text, str) else text.decode()).splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: found[name] for name in (propagation.PARENT, propagation.STATE) if name in found}


def printed(**arguments: Any) -> str:
    done: str = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True, **arguments).stdout
    return done


# --- what is read ------------------------------------------------------------------------------------------

HEX = st.text("0123456789abcdef", min_size=1, max_size=34)
FIELDS = st.tuples(
    st.one_of(st.sampled_from(["00", "01", "cc", "ff", "0", "000", "0G"]), HEX),
    st.one_of(st.just(TRACE), st.just("0" * 32), st.just(TRACE.upper()), HEX),
    st.one_of(st.just(SPAN), st.just("0" * 16), HEX),
    st.one_of(st.sampled_from(["00", "01", "03", "ff", "1", "0x"]), HEX),
)
TEXTS = st.builds(
    lambda before, fields, more, after: before + "-".join(fields) + more + after,
    st.sampled_from(["", " ", "\t ", "x", "-"]),
    FIELDS,
    st.sampled_from(["", "-", "-what-comes", "-" + "x" * 600, "x"]),
    st.sampled_from(["", " ", " \t", "x"]),
)


@given(st.one_of(TEXTS, st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=60)))
@example(CAME)
@example("")
def test_a_parent_is_read_as_the_api_reads_it(text: str) -> None:
    """What OpenTelemetry's own propagator takes is taken, with the same ids; what it ignores is ignored."""
    context = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": text})).get_span_context()
    found = propagation.parse(text)
    expected = (f"{context.trace_id:032x}", f"{context.span_id:016x}", int(context.trace_flags))
    assert (found and (found.trace_id, found.span_id, int(found.flags, 16))) == (expected if context.is_valid else None)


@pytest.mark.parametrize("state", ["", "vendor=1,other=2", "not a state", "k=" + "v" * 600])
def test_what_came_in_is_told_to_what_records(begin: Begin, state: str) -> None:
    """Local mode gets the trace's id; providers get a remote span with its flags, and its state where that is valid."""
    begin(TRACEPARENT=CAME, TRACESTATE=state)
    assert local.inherited == TRACE  # type: ignore[attr-defined, unused-ignore]
    context = spans.inherited.get_span_context()  # type: ignore[attr-defined, unused-ignore]
    assert (f"{context.trace_id:032x}", f"{context.span_id:016x}") == (TRACE, SPAN)
    assert (context.is_remote, context.trace_flags) == (True, TraceFlags.SAMPLED)
    assert context.trace_state.to_header() == (state if state.startswith("vendor") else "")


@pytest.mark.parametrize("text", ["", "rubbish", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01"])
def test_an_invalid_parent_is_ignored(begin: Begin, rows: list[Any], text: str) -> None:
    """Nothing is taken from it, and an operation's child gets a valid one in its place."""
    begin(TRACEPARENT=text)
    assert getattr(local, "inherited", None) is None
    with track.deploy(artifact_name="canvas"):
        assert propagation.parse(seen_by(printed)[propagation.PARENT]) is not None


def test_beginning_loads_nothing() -> None:
    """Neither what starts children, nor what makes operations, nor OpenTelemetry."""
    code = (
        "import sys; from usagetrace.autoinstrument import propagation; propagation.begin(); "
        "print([n for n in sys.modules if n in ('subprocess', 'usagetrace.track.operation', 'opentelemetry')])"
    )
    environ = {**os.environ, "TRACEPARENT": CAME}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- what operations without a parent take -----------------------------------------------------------------


def test_operations_of_local_mode_are_of_the_trace_that_came_in(begin: Begin, rows: list[Any]) -> None:
    """Those without a parent, and those inside them; each has a span id of its own."""
    begin(TRACEPARENT=CAME)
    with track.deploy(artifact_name="canvas"), track.update(artifact_name="inside"):
        pass
    ids = [(row[14], row[15]) for row in rows]
    assert [trace for trace, _span in ids] == [TRACE, TRACE]
    assert len({span for _trace, span in ids} | {SPAN}) == 3
    propagation.end()
    with track.deploy(artifact_name="later"):
        pass
    assert rows[-1][14] is None


def test_a_span_of_the_program_counts_more_than_what_came_in(begin: Begin, rows: list[Any]) -> None:
    """Inside a span of its own the program's trace is that span's."""
    begin(TRACEPARENT=CAME)
    with use_span(own_span()), track.deploy(artifact_name="canvas"):
        pass
    assert rows[0][14] == "1" * 32


def test_spans_of_a_provider_are_children_of_what_came_in(begin: Begin, spans: Captured) -> None:
    """The first operation's span has the remote parent, the one inside it has that operation."""
    begin(TRACEPARENT=CAME)
    with track.deploy(artifact_name="canvas"), track.update(artifact_name="inside"):
        pass
    inner, outer = spans.finished
    assert outer.parent is not None
    assert inner.parent is not None
    assert (f"{outer.parent.trace_id:032x}", f"{outer.parent.span_id:016x}", outer.parent.is_remote) == (
        TRACE,
        SPAN,
        True,
    )
    assert inner.parent.span_id == outer.context.span_id


def own_span(state: TraceState | None = None) -> NonRecordingSpan:
    """Return a span that the program made itself."""
    return NonRecordingSpan(SpanContext(int("1" * 32, 16), int("2" * 16, 16), False, TraceFlags(0), state))


# --- what children find ------------------------------------------------------------------------------------


def by_asyncio(shell: bool) -> str:
    async def start() -> bytes:
        if shell:
            process = await asyncio.create_subprocess_shell("/usr/bin/env", stdout=subprocess.PIPE)
        else:
            process = await asyncio.create_subprocess_exec("/usr/bin/env", stdout=subprocess.PIPE)
        return (await process.communicate())[0]

    return asyncio.run(start()).decode()


class OwnPopen(subprocess.Popen[str]):
    """A class of the program's own."""


def by_class(kind: Any, *arguments: Any) -> str:
    positional = (["/usr/bin/env"], -1, None, None, subprocess.PIPE, None, None, True, False, None, *arguments)
    with kind(*positional, text=True) as process:
        said: str = process.communicate()[0]
    return said


STARTS: dict[str, Callable[[], str | bytes]] = {
    "run": printed,
    "run in a shell": lambda: subprocess.run("env", shell=True, capture_output=True, text=True, check=True).stdout,
    "check_output": lambda: subprocess.check_output(["/usr/bin/env"]),
    "getoutput": lambda: subprocess.getoutput("env"),
    "Popen": lambda: by_class(subprocess.Popen),
    "a class made of it": lambda: by_class(OwnPopen),
    "every argument by its place": lambda: by_class(subprocess.Popen, dict(os.environ)),
    "without closing files": lambda: printed(close_fds=False),
    "asyncio": lambda: by_asyncio(shell=False),
    "asyncio in a shell": lambda: by_asyncio(shell=True),
    "a copy of the environment": lambda: printed(env={**os.environ, "A": "1"}),
    "the environment itself": lambda: printed(env=os.environ),
    "an environment of its own": lambda: printed(env={"A": "1"}),
    "an environment in bytes": lambda: printed(env={b"A": b"1", b"TRACEPARENT": CAME.encode()}),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_child_of_an_operation_finds_it(begin: Begin, rows: list[Any], start: str) -> None:
    """However it is started, TRACEPARENT names the operation that runs; the process's own environment stays."""
    begin(TRACEPARENT=CAME)
    before = dict(os.environ)
    with track.deploy(artifact_name="canvas"):
        found = seen_by(STARTS[start])
    trace_id, span_id = rows[0][14:16]
    assert found == {"TRACEPARENT": f"00-{trace_id}-{span_id}-01"}
    assert dict(os.environ) == before


@pytest.mark.parametrize("start", STARTS)
def test_outside_of_operations_children_find_what_they_find_without_us(begin: Begin, start: str) -> None:
    """What came in goes on where the program lets it; nothing is added."""
    begin(TRACEPARENT=CAME, TRACESTATE="vendor=1")
    found = seen_by(STARTS[start])
    propagation.end()
    assert found == seen_by(STARTS[start])


def test_an_operation_that_has_ended_is_no_parent(begin: Begin, rows: list[Any]) -> None:
    """Nor is one of which nothing came."""
    begin()
    with track.deploy(artifact_name="canvas"):
        pass
    assert seen_by(printed) == {}


def test_what_the_program_says_itself_stays(begin: Begin, rows: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A TRACEPARENT that the program put into the child's environment, or into its own, is left alone."""
    begin(TRACEPARENT=CAME)
    own = f"00-{'3' * 32}-{'4' * 16}-00"
    with track.deploy(artifact_name="canvas"):
        assert seen_by(lambda: printed(env={"TRACEPARENT": own, "TRACESTATE": "a=b"})) == {
            "TRACEPARENT": own,
            "TRACESTATE": "a=b",
        }
        monkeypatch.setenv("TRACEPARENT", own)
        assert seen_by(printed) == {"TRACEPARENT": own}


def test_the_parts_of_an_operation_are_not_parents(begin: Begin, rows: list[Any]) -> None:
    """A part has no span: its children are the whole's; those of another operation inside are that one's."""
    begin()
    with track.deploy(artifact_name="canvas"):
        with track.deploy(artifact_name="part"):
            of_part = seen_by(printed)
        with track.update(artifact_name="inside"):
            of_inner = seen_by(printed)
    by_name = {row[1]: row for row in rows}
    assert of_part["TRACEPARENT"].split("-")[2] == by_name["canvas"][15]
    assert of_inner["TRACEPARENT"].split("-")[2] == by_name["inside"][15]


def test_a_provider_s_span_is_the_parent(begin: Begin, spans: Captured) -> None:
    """With an SDK, of two operations the inner one's span; of the program's own span inside, that one."""
    begin(TRACEPARENT=CAME, TRACESTATE="vendor=1")
    with track.deploy(artifact_name="canvas"):
        found = seen_by(printed)["TRACEPARENT"].split("-")
        with use_span(own_span(TraceState([("own", "1")]))):
            inside = seen_by(printed)
    span = spans.one()
    assert found[1:3] == [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]
    assert inside == {"TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-00", "TRACESTATE": "own=1"}


def test_the_state_of_another_trace_is_not_handed_on(begin: Begin, rows: list[Any]) -> None:
    """What TRACESTATE says holds for the trace that it came with."""
    begin(TRACEPARENT=CAME, TRACESTATE="vendor=1")
    with track.deploy(artifact_name="canvas"):
        assert seen_by(printed)["TRACESTATE"] == "vendor=1"
    with use_span(own_span()), track.deploy(artifact_name="canvas"):
        assert "TRACESTATE" not in seen_by(printed)


# --- the host ----------------------------------------------------------------------------------------------


def test_popen_looks_as_before(begin: Begin) -> None:
    """Its signature and its documentation are those of the standard library; beginning twice changes nothing more."""
    before = inspect.signature(subprocess.Popen), inspect.getdoc(subprocess.Popen.__init__)
    begin()
    once = subprocess.Popen.__init__
    begin()
    assert subprocess.Popen.__init__ is once
    assert (inspect.signature(subprocess.Popen), inspect.getdoc(subprocess.Popen.__init__)) == before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older versions keep a second record of the frames")
@pytest.mark.parametrize(
    ("arguments", "error"), [({"args": ["/missing"]}, FileNotFoundError), ({"args": ["env"], "cwd": 3.5}, TypeError)]
)
def test_what_popen_raises_looks_as_before(
    begin: Begin, rows: list[Any], arguments: dict[str, Any], error: type[Exception]
) -> None:
    """The traceback has the program's frames and those of the standard library alone."""
    begin()
    with track.deploy(artifact_name="canvas"), pytest.raises(error) as caught:
        subprocess.Popen(**arguments)
    files = {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)}
    assert files == {__file__, subprocess.__file__}


@pytest.mark.parametrize("env", [{1: "one"}, "text", {"A": 1}])
def test_an_environment_that_is_none_fails_as_before(begin: Begin, rows: list[Any], env: Any) -> None:
    """What is wrong with it is for the standard library to say."""
    begin()
    with pytest.raises((TypeError, AttributeError)) as outside:
        subprocess.Popen(["env"], env=env)
    with track.deploy(artifact_name="canvas"), pytest.raises((TypeError, AttributeError)) as inside:
        subprocess.Popen(["env"], env=env)
    assert (type(inside.value), str(inside.value)) == (type(outside.value), str(outside.value))


def test_somebody_else_s_wrapper_stays(begin: Begin, rows: list[Any]) -> None:
    """Where somebody wrapped Popen after us, ending leaves theirs, and hands nothing on any more."""
    begin()
    ours = subprocess.Popen.__init__

    def theirs(self: Any, *args: Any, **kwargs: Any) -> None:
        ours(self, *args, **kwargs)

    subprocess.Popen.__init__ = theirs  # type: ignore[method-assign]
    try:
        propagation.end()
        assert subprocess.Popen.__init__ is theirs
        with track.deploy(artifact_name="canvas"):
            assert seen_by(printed) == {}
    finally:
        subprocess.Popen.__init__ = inspect.unwrap(ours)  # type: ignore[method-assign]
