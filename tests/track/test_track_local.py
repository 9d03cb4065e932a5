"""Local mode: operations that are no span of anybody's, and the ids that they have all the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from contextvars import Context, copy_context
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from usagetrace import record_event, track
from usagetrace.events import Event


@track.deploy
def deploy(artifact_name: str, act: Any = None) -> Any:
    """Deploy, and do something inside."""
    return act() if act is not None else None


@track.remove(artifact_name="$name")
def remove(name: str) -> None:
    """Remove."""


def events_of(captured: Any) -> list[Event]:
    """Return what was recorded."""
    return [Event._make(row) for row in captured.rows]


def test_ids_are_those_of_a_span(in_mode: Any) -> None:
    """Each operation has a span id of the standard's form, and a trace id where it is one of a trace; no two alike."""
    with in_mode("local") as captured:
        for number in range(100):
            deploy(f"canvas {number}", lambda: remove("old"))
        found = events_of(captured)
    assert all(len(event.trace_id or "") == 32 and len(event.span_id or "") == 16 for event in found)
    assert all(int(event.trace_id or "", 16) and int(event.span_id or "", 16) for event in found)
    assert len({event.trace_id for event in found}) == 100
    assert len({event.span_id for event in found}) == 200


def test_an_operation_by_itself_is_of_no_trace(in_mode: Any) -> None:
    """Nothing is inside it and nothing around it: a trace id would say nothing, and is a tenth of its row."""
    with in_mode("local") as captured:
        deploy("canvas")
        deploy("other")
        found = events_of(captured)
    assert [event.trace_id for event in found] == [None, None]
    assert found[0].span_id != found[1].span_id


def test_operations_of_threads_inside_one_are_of_its_trace(in_mode: Any) -> None:
    """Threads that ask an operation for its trace at once get the same one."""
    barrier = threading.Barrier(8)

    def work(context: Context) -> None:
        barrier.wait()
        context.run(remove, "old")

    def start_and_join() -> None:
        threads = [threading.Thread(target=work, args=(copy_context(),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with in_mode("local") as captured:
        deploy("canvas", start_and_join)
        found = events_of(captured)
    assert len(found) == 9
    assert len({event.trace_id for event in found}) == 1
    assert found[0].trace_id


def test_an_operation_after_one_that_ended_has_no_part_in_its_trace(in_mode: Any) -> None:
    """A task that goes on in the context of an operation that has ended is of no trace that anything else is of."""
    left: list[Context] = []
    with in_mode("local") as captured:
        deploy("canvas", lambda: left.append(copy_context()))
        left[0].run(remove, "old")
        first, late = events_of(captured)
    assert (first.trace_id, late.trace_id) == (None, None)


def test_ids_differ_where_the_program_seeds_its_generator(in_mode: Any) -> None:
    """A program that seeds the random module does not make ids alike."""
    state = random.getstate()
    with in_mode("local") as captured:
        for _ in range(2):
            random.seed(0)
            deploy("canvas")
    random.setstate(state)
    assert len({event.span_id for event in events_of(captured)}) == 2


def test_an_operation_inside_another_is_of_its_trace(in_mode: Any) -> None:
    """What runs inside an operation shares its trace; what follows does not."""
    with in_mode("local") as captured:
        deploy("canvas", lambda: remove("old"))
        remove("other")
        inner, outer, after = events_of(captured)
    assert inner.trace_id == outer.trace_id != after.trace_id
    assert inner.span_id != outer.span_id


def test_an_operation_inside_the_programs_span_is_of_its_trace(in_mode: Any) -> None:
    """Inside a span of the program's own the event has that trace's id, and the span stays the current one."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    current: list[trace.Span] = []
    with in_mode("local") as captured, tracer.start_as_current_span("request") as span:
        deploy("canvas", lambda: current.append(trace.get_current_span()))
        (event,) = events_of(captured)
    assert event.trace_id == f"{span.get_span_context().trace_id:032x}"
    assert event.span_id != f"{span.get_span_context().span_id:016x}"
    assert current == [span]


def test_the_programs_context_is_not_touched(in_mode: Any) -> None:
    """No span of ours becomes the parent of the program's own: its traces hold nothing that it never sees."""
    with in_mode("local"):
        before = otel_context.get_current()
        inside = deploy("canvas", otel_context.get_current)
    assert inside == before


@pytest.mark.parametrize("nested", [False, True])
def test_an_operation_of_the_same_type_fills_the_outer_one(in_mode: Any, nested: bool) -> None:
    """Without `nested` an operation of the same type is a part of the outer one; with it, it is one of its own."""
    inner = track.deploy(nested=nested, metadata={"version": "$version"})(lambda artifact_name, version: None)
    with in_mode("local") as captured:
        deploy("canvas", lambda: inner("canvas", "1.2"))
        found = events_of(captured)
    assert [(event.metadata or {}).get("version") for event in found] == (["1.2", None] if nested else ["1.2"])


def test_record_event_says_whether_it_was_taken(in_mode: Any) -> None:
    """`record_event` is True where the row was kept, False where the spool failed or nothing is recorded."""
    said = {}
    for mode in ("local", "local, spool raises", "local, suppressed", "off"):
        with in_mode(mode):
            said[mode] = record_event("deploy", "canvas", "skill")
    assert said == {"local": True, "local, spool raises": False, "local, suppressed": False, "off": False}


def test_a_program_without_opentelemetry_stays_without(tmp_path: Any) -> None:
    """A tracked call in local mode loads neither the SDK nor the API, and no database."""
    program = (
        "import sys\nfrom usagetrace import track\n@track.deploy\ndef deploy(artifact_name): ...\ndeploy('canvas')\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'sqlite3')])"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "USAGETRACE_", "XDG_"))}
    path = os.pathsep.join(path for path in sys.path if path)
    environ = {**kept, "HOME": str(tmp_path), "PYTHONPATH": path, "USAGETRACE_DB_PATH": str(tmp_path / "a.db")}
    environ.pop("DO_NOT_TRACK", None)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
    assert list((tmp_path / "a.db.spool").glob("*.seg"))
