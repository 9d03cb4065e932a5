"""What tools' own test suites use: captured events, a fixed clock, fixed ids, comparison, the pytest plugin."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

import usagetrace
from tests.support.process import Ended, clean_environment, run
from usagetrace import api, track
from usagetrace.analytics import AnalyticsDB
from usagetrace.errors import EventError
from usagetrace.events import Event
from usagetrace.redaction import Redactor
from usagetrace.testing import FixedClock, SequentialIds, capture_events, expect_events
from usagetrace.track import runtime

START_MS = 1_767_225_600_000


@track.deploy(artifact_type="skill")
def deploy(artifact_name: str, project_path: str | None = None) -> str:
    """Stand for a tool's function."""
    if artifact_name == "broken":
        raise KeyError(artifact_name)
    return artifact_name


@track.search(each="$result", artifact_name="$item", artifact_type="skill", metadata={"query": "$query"})
def search(query: str) -> list[str]:
    """Stand for a search that touches several artifacts."""
    return [f"{query.split()[0]}-{number}" for number in range(2)]


def event(name: str = "canvas", **fields: Any) -> Event:
    """Return an event of one artifact."""
    return Event(**{"event_type": "deploy", "artifact_name": name, "artifact_type": "skill", "ts_ms": 0, **fields})


def tree(root: Path) -> list[str]:
    """Return every path below a folder."""
    return sorted(str(path) for path in root.rglob("*"))


# --- capturing ---------------------------------------------------------------------------------------------


def test_whole_events_are_the_same_in_each_run() -> None:
    """With a fixed clock and fixed ids, every field of a captured event is known beforehand."""
    with capture_events(clock=FixedClock(), ids=SequentialIds()) as events:
        deploy("canvas")
        usagetrace.record_event("install", "tea", "plugin")
    metadata = dict(events[0].metadata or {})
    assert events == [
        event(ts_ms=START_MS, duration_ms=1.0, category="usage", metadata=metadata, service_name="test",
              trace_id=f"{1:032x}", span_id=f"{1:016x}"),
        Event("install", "tea", "plugin", START_MS + 2, category="custom", service_name="test",
              trace_id=f"{2:032x}", span_id=f"{2:016x}"),
    ]  # fmt: skip


def test_captured_events_are_those_that_the_store_gets(tmp_path: Path) -> None:
    """The same calls give the same columns, captured or written: several artifacts, an error, a point in time."""

    def calls() -> None:
        deploy("canvas", str(Path.home() / "app"))
        search("tea token=ghp_0123456789abcdefghijABCDEFGHIJ012345")
        with contextlib.suppress(KeyError):
            deploy("broken")
        usagetrace.record_event("install", "tea", "plugin", "default", metadata={"ratio": 0.5, "tags": ("a", "b")})

    with capture_events() as events:
        calls()
    path = tmp_path / "analytics.db"
    usagetrace.configure(db_path=path)
    calls()
    usagetrace.shutdown()
    with AnalyticsDB(path) as db:
        rows = sorted(db.get_events(), key=lambda row: row["id"])
    columns = ("event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "status",
               "error_type", "category", "priority", "item")  # fmt: skip
    captured = [({c: getattr(e, c) for c in columns}, json.loads(e.metadata_json() or "null")) for e in events]
    assert len(rows) == 5
    assert captured == [({c: row[c] for c in columns}, json.loads(row["metadata"] or "null")) for row in rows]


def test_captured_events_are_redacted() -> None:
    """What the store does not see, a test does not see; a redactor of one's own depends on no machine."""
    with capture_events(redactor=Redactor(home="/home/ada", user_name="ada", host_name="shelf-7")) as events:
        deploy("canvas", "/home/ada/app")
        usagetrace.record_event("install", "tea", "plugin", metadata={"password": "hunter2-hunter2"})
    assert events[0].project_path is not None
    assert "ada" not in events[0].project_path
    assert "hunter2" not in str(events[1])


def test_what_others_put_on_the_span_is_redacted_too() -> None:
    """What does not come through a field takes the way of a real event as well: redacted when the span has ended."""
    with capture_events() as events, track.sync(artifact_name="canvas", artifact_type="skill"):
        trace.get_current_span().set_attribute("usage.metadata.password", "hunter2-hunter2")
    assert "password" in (events[0].metadata or {})
    assert "hunter2" not in str(events[0])


def test_calls_of_other_threads_and_tasks_are_captured() -> None:
    """A capture is the process's, not the thread's."""

    @track("fetch", artifact_type="page", artifact_name="$name")
    async def fetch(name: str) -> None:
        await asyncio.sleep(0)

    with capture_events() as events:
        thread = threading.Thread(target=deploy, args=("from a thread",))
        thread.start()
        thread.join()
        asyncio.run(fetch("from a task"))
    assert [e.artifact_name for e in events] == ["from a thread", "from a task"]


def test_events_come_in_the_order_in_which_operations_end() -> None:
    """An operation inside another one ends first, and began later."""
    clock = FixedClock(start_ms=0, step_ms=10)
    with capture_events(clock=clock) as events, track.sync(artifact_name="all", artifact_type="collection"):
        deploy("canvas")
    assert [(e.event_type, e.ts_ms, e.duration_ms) for e in events] == [("deploy", 10, 10.0), ("sync", 0, 30.0)]


def test_list_does_not_change_after_the_block() -> None:
    """An operation that ends too late is not in the list that a test is comparing."""

    @track("read", artifact_name="log", artifact_type="file")
    def read() -> Iterator[int]:
        yield 1
        yield 2

    with capture_events() as events:
        deploy("canvas")
        late = read()
        next(late)
    late.close()  # type: ignore[attr-defined]  # the declared type is that of a caller, who sees an iterator
    assert [e.event_type for e in events] == ["deploy"]


NOES = {
    "DO_NOT_TRACK": "1",
    "USAGETRACE_DISABLED": "1",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_SAMPLER": "always_off",
}


@pytest.mark.parametrize("name", NOES)
def test_capture_does_not_ask_for_consent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of one's own instrumentation says the same on the machine of somebody who said no."""
    monkeypatch.setenv(name, NOES[name])
    with capture_events() as events:
        deploy("canvas")
        usagetrace.configure(service_name="shelf")
        deploy("tea")
    assert [e.artifact_name for e in events] == ["canvas", "tea"]


def test_capture_leaves_nothing_behind(tmp_path: Path) -> None:
    """No file, no thread, no global provider; not even while it runs."""
    before = tree(tmp_path), threading.enumerate(), trace._TRACER_PROVIDER
    with capture_events():
        deploy("canvas")
        assert (tree(tmp_path), threading.enumerate(), trace._TRACER_PROVIDER) == before
    assert (tree(tmp_path), threading.enumerate(), trace._TRACER_PROVIDER) == before


class Planted(Exception):
    """Raised on purpose inside a block."""


def put_before(what: str, tmp_path: Path) -> Path:
    """Put something in force, as whoever ran before the capture might have; return where it would write."""
    path = tmp_path / "before.db"
    if what == "off":
        usagetrace.shutdown()
    if what in ("configured", "started"):
        usagetrace.configure(db_path=path)
    if what == "started":
        deploy("before")
    return path


@pytest.mark.parametrize("inside", ["nothing", "raises", "configures", "own provider", "shuts down", "nested"])
@pytest.mark.parametrize("before", ["nothing", "off", "configured", "started"])
def test_what_was_before_is_so_again(before: str, inside: str, tmp_path: Path) -> None:
    """Whatever was in force, and whatever the block does, the block's events are caught and what was before is back."""
    path = put_before(before, tmp_path)
    state = runtime.installed(), api._settings, runtime.install, runtime.installed, list(runtime.switch)
    expected = ["one", "two"]
    with contextlib.suppress(Planted), capture_events() as events:
        deploy("one")
        if inside == "configures":
            usagetrace.configure(service_name="shelf", db_path=tmp_path / "inside.db")
        if inside == "own provider":
            usagetrace.configure(tracer_provider=trace.NoOpTracerProvider(), db_path=tmp_path / "inside.db")
        if inside == "shuts down":
            assert usagetrace.flush()
            usagetrace.shutdown()
        if inside == "nested":
            with capture_events() as inner:
                deploy("inner")
            expect_events(inner, [{"artifact_name": "inner"}])
        deploy("two")
        if inside == "raises":
            raise Planted
    assert [e.artifact_name for e in events] == expected
    assert (runtime.installed(), api._settings, runtime.install, runtime.installed, list(runtime.switch)) == state
    assert not (tmp_path / "inside.db").exists()
    if before in ("configured", "started"):
        deploy("after")
        usagetrace.shutdown()
        with AnalyticsDB(path) as db:
            names = [row["artifact_name"] for row in sorted(db.get_events(), key=lambda row: row["id"])]
        assert names == (["before", "after"] if before == "started" else ["after"])


# --- the clock and the ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step_ms", "away_ms", "expected"),
    [
        (1, 0, [(1000, 1.0), (1002, 1.0)]),
        (5, 0, [(1000, 5.0), (1010, 5.0)]),
        (1, 250, [(1000, 251.0), (1252, 251.0)]),
        (1, 0.5, [(1000, 1.5), (1002, 1.5)]),
        (0, 40, [(1000, 40.0), (1040, 40.0)]),
        (0, 0, [(1000, None), (1000, None)]),
    ],
)
def test_fixed_clock(step_ms: int, away_ms: float, expected: list[tuple[int, float | None]]) -> None:
    """Time goes on by a step at each beginning and each end, and by what the test lets go by."""
    clock = FixedClock(start_ms=1000, step_ms=step_ms)
    with capture_events(clock=clock) as events:
        for _ in range(2):
            with track.sync(artifact_name="canvas", artifact_type="skill"):
                clock.advance(away_ms)
    assert [(e.ts_ms, e.duration_ms) for e in events] == expected


def test_looking_at_the_clock_does_not_change_it() -> None:
    """Only an operation takes time."""
    clock = FixedClock(start_ms=7)
    assert [clock.wall_ns(), clock.wall_ns(), clock.tick_ns(), clock.wall_ns()] == [
        7 * 10**6,
        7 * 10**6,
        7 * 10**6,
        8 * 10**6,
    ]


def test_sequential_ids_count_traces_and_spans() -> None:
    """An operation inside another one is in its trace, with a span id of its own."""
    with capture_events(ids=SequentialIds()) as events:
        with track.sync(artifact_name="all", artifact_type="collection"):
            deploy("canvas")
        deploy("tea")
    assert [(int(e.trace_id or "", 16), int(e.span_id or "", 16)) for e in events] == [(1, 2), (1, 1), (2, 3)]


def test_ids_are_random_unless_given() -> None:
    """Two captures do not make the same ids by accident."""
    with capture_events() as events:
        deploy("one")
    with capture_events() as more:
        deploy("two")
    assert len({(e.trace_id, e.span_id) for e in events + more}) == 2


# --- comparing ---------------------------------------------------------------------------------------------

CANVAS = event(metadata={"query": "buy", "rank": 1, "tags": ["a"]}, duration_ms=2.5)


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"artifact_name": "canvas"},
        {"event_type": "deploy", "artifact_name": "canvas", "status": "ok", "error_type": None},
        {"metadata": {}},
        {"metadata": {"rank": 1}},
        {"metadata": {"tags": ["a"], "query": "buy"}},
        {"duration_ms": pytest.approx(2.5001, abs=0.01)},
        SimpleNamespace(artifact_name="canvas", metadata={"query": "buy"}),
        CANVAS,
    ],
    ids=str,
)
def test_only_what_is_named_is_compared(expected: Any) -> None:
    """Fields and metadata keys that are not named may be anything; an event is compared as a whole."""
    expect_events([CANVAS], [expected])


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ({"artifact_name": "tea"}, "artifact_name: expected 'tea', captured 'canvas'"),
        ({"collection_name": "default"}, "collection_name: expected 'default', captured None"),
        ({"metadata": {"rank": 2, "query": "buy"}}, "metadata['rank']: expected 2, captured 1"),
        ({"metadata": {"score": 2}}, "metadata['score']: expected 2, captured no such key"),
        ({"metadata": {"score": None}}, "metadata['score']: expected None, captured no such key"),
        ({"metadata": None}, "metadata: expected None, captured {'query': 'buy', 'rank': 1, 'tags': ['a']}"),
        (event(duration_ms=2.5, metadata={"query": "buy", "rank": 1}),
         "metadata['tags']: expected no such key, captured ['a']"),
        (event(duration_ms=2.5, metadata=CANVAS.metadata, span_id="f"), "span_id: expected 'f', captured None"),
        (SimpleNamespace(status="error"), "status: expected 'error', captured 'ok'"),
    ],
)  # fmt: skip
def test_failure_names_event_field_and_both_values(expected: Any, line: str) -> None:
    """The message is enough to see what differs, without pytest's help."""
    with pytest.raises(AssertionError) as failed:
        expect_events([CANVAS], [expected])
    assert str(failed.value).splitlines() == [
        "captured events are not the expected ones: 1 expected, 1 captured",
        "captured[0] is not expected[0]: deploy skill 'canvas'",
        f"    {line}",
        "captured, in order:",
        "    [0] deploy skill 'canvas'",
    ]


@pytest.mark.parametrize(
    ("captured", "expected", "lines"),
    [
        ("", "a", ["expected[0] is missing: artifact_name='a', artifact_type='skill'"]),
        ("a", "", ["captured[0] was not expected: deploy skill 'a'"]),
        ("ac", "abc", ["expected[1] is missing: artifact_name='b', artifact_type='skill'"]),
        ("abc", "ac", ["captured[1] was not expected: deploy skill 'b'"]),
        ("abcd", "bcd", ["captured[0] was not expected: deploy skill 'a'"]),
        ("abc", "axc", ["captured[1] is not expected[1]: deploy skill 'b'",
                        "    artifact_name: expected 'x', captured 'b'"]),
        ("aab", "abb", ["captured[1] is not expected[1]: deploy skill 'a'",
                        "    artifact_name: expected 'b', captured 'a'"]),
        ("bcda", "abcd", ["expected[0] is missing: artifact_name='a', artifact_type='skill'",
                          "captured[3] was not expected: deploy skill 'a'"]),
    ],
)  # fmt: skip
def test_missing_and_extra_events_are_told_from_changed_ones(captured: str, expected: str, lines: list[str]) -> None:
    """One event too few or too many does not make all that follow look wrong."""
    with pytest.raises(AssertionError) as failed:
        expect_events(map(event, captured), [{"artifact_name": name, "artifact_type": "skill"} for name in expected])
    said = str(failed.value).splitlines()
    assert said[0].endswith(f": {len(expected)} expected, {len(captured)} captured")
    assert said[1 : len(lines) + 1] == lines
    assert said[len(lines) + 1] == ("captured, in order:" if captured else "captured: nothing")


def test_failed_event_is_shown_with_its_error_and_a_long_list_is_cut() -> None:
    """A failure can be read where hundreds were captured."""
    events = [event("broken", status="error", error_type="KeyError"), *(event(str(n)) for n in range(99))]
    with pytest.raises(AssertionError) as failed:
        expect_events(events, [{"artifact_name": "gone"}])
    said = str(failed.value).splitlines()
    assert "    [0] deploy skill 'broken', error KeyError" in said
    assert said[-1] == "    ... and 80 more"


def test_misspelt_field_is_a_fault_of_the_test() -> None:
    """A field that no event has would never be compared: every such name is told, with those that there are."""
    with pytest.raises(
        EventError, match=r"expected\[0\] names 'artefact_name'; expected\[1\] names 'kind': the fields"
    ):
        expect_events([CANVAS], [{"artefact_name": "canvas"}, {"kind": "skill"}])


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_comparison_passes_exactly_for_the_same_sequence_and_accounts_for_every_event(left: str, right: str) -> None:
    """It is silent where nothing differs; else each event is named at most once, and missing less extra is the rest."""
    try:
        expect_events([event(name) for name in left], [{"artifact_name": name} for name in right])
    except AssertionError as failed:
        said = str(failed).splitlines()
        missing = [line.split()[0] for line in said if " is missing: " in line]
        extra = [line.split()[0] for line in said if " was not expected: " in line]
        changed = [line.split()[0] for line in said if " is not expected[" in line]
        named = missing + extra + changed
        assert len(set(named)) == len(named) > 0
        assert len(missing) - len(extra) == len(right) - len(left)
        assert left != right
    else:
        assert left == right


# --- the plugin --------------------------------------------------------------------------------------------


def suite(home: Path, source: str, *arguments: str, **env: str) -> Ended:
    """Run pytest over one file, in a process of its own, with the plugins that are installed."""
    home.mkdir(exist_ok=True)
    (home / "test_tool.py").write_text(textwrap.dedent(source), "utf-8")
    # pytest-asyncio warns where its options are not set; what an example brings runs fixtures in every test.
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:papis_testing", "-p", "no:asyncio"]
    return run([sys.executable, "-m", "pytest", *options, *arguments], home, env)


TOOL_SUITE = """
import threading

import pytest

from usagetrace import configure, track
from usagetrace.testing import expect_events


@track.deploy(artifact_type="skill")
def deploy(artifact_name): ...


def main(name):
    configure(service_name="shelf")
    deploy(name)


@pytest.mark.parametrize("name", ["canvas", "tea"])
def test_deploy(name, usage_events):
    main(name)
    main(name)
    expect_events(usage_events, [dict(event_type="deploy", artifact_name=name)] * 2)


def test_failure(usage_events):
    deploy("canvas")
    expect_events(usage_events, [dict(artifact_name="tea")])
"""


def test_fixture_is_found_and_gives_each_test_its_own_events(tmp_path: Path) -> None:
    """The installed package brings the fixture; a user's no changes nothing, nothing is written, a failure explains."""
    home = tmp_path / "suite"
    ended = suite(home, TOOL_SUITE, "--assert=plain", DO_NOT_TRACK="1", OTEL_SDK_DISABLED="true")
    assert (ended.code, ended.out.splitlines()[-1].split(" in ")[0]) == (1, "1 failed, 2 passed"), ended.out
    assert "artifact_name: expected 'tea', captured 'canvas'" in ended.out
    # The comparison's own lines are not part of what a reader has to go through.
    assert "testing.py" not in ended.out
    assert [path.name for path in home.rglob("*") if path.is_file()] == ["test_tool.py"]


@pytest.mark.parametrize("way", ["by entry point", "named", "blocked"])
def test_plugin_costs_a_suite_that_does_not_use_it_one_small_module(way: str, tmp_path: Path) -> None:
    """After pytest has collected and run a test without the fixture, nothing else of this package is loaded."""
    report = "import sys, pathlib\ndef test_it():\n    pathlib.Path('modules').write_text(chr(10).join(sys.modules))\n"
    options = {"by entry point": [], "named": ["-p", "usagetrace"], "blocked": ["-p", "no:usagetrace"]}[way]
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if way == "named" else {}
    ended = suite(tmp_path / "suite", report, *options, **env)
    assert ended.code == 0, ended.out + ended.err
    modules = (tmp_path / "suite" / "modules").read_text("utf-8").splitlines()
    ours = [name for name in modules if "usagetrace" in name]
    assert ours == ([] if way == "blocked" else ["_usagetrace_pytest"])
    if way == "named":
        # Other plugins may load these for themselves: looked at where there are no others.
        assert [name for name in modules if name.partition(".")[0] in ("opentelemetry", "sqlite3", "wrapt")] == []


@pytest.mark.parametrize("files", [["test_shelf.py"], ["test_shelf.py", "conftest.py"]], ids=" and ".join)
def test_documented_suite_passes(files: list[str], tmp_path: Path) -> None:
    """The files of the how-to page are a suite that passes, with the fixture as it comes and with one's own."""
    page = (Path(__file__).parents[1] / "docs/how-to/test-your-instrumentation.md").read_text("utf-8")
    blocks = dict(re.findall(r"^<!-- file: (\S+) -->\n```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    home = tmp_path / "suite"
    home.mkdir()
    for name in files[1:]:
        (home / name).write_text(blocks[name], "utf-8")
    ended = suite(home, blocks["test_shelf.py"])
    assert (ended.code, ended.out.splitlines()[-1].split(" in ")[0]) == (0, "1 passed"), ended.out


def test_package_that_was_imported_before_pytest_is_no_reason_to_warn(tmp_path: Path) -> None:
    """Under opentelemetry-instrument the package is there first; pytest, which would rewrite it, is silent."""
    home = tmp_path / "suite"
    home.mkdir()
    # What pytest does by itself for an installed wheel; an editable install lists no modules.
    (home / "conftest.py").write_text("import pytest\npytest.register_assert_rewrite('usagetrace')\n", "utf-8")
    (home / "test_tool.py").write_text("def test_empty(): ...\n", "utf-8")
    program = "import usagetrace, pytest, sys; sys.exit(pytest.main(['-q', '-W', 'error', 'test_tool.py']))"
    ended = run([sys.executable, "-c", program], home, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert (ended.code, ended.err) == (0, ""), ended.out


def test_plugin_adds_nothing_to_what_a_suite_sees(tmp_path: Path) -> None:
    """Options, markers and hooks are those of a run without it; the fixture, with its sentence, is all there is."""
    seen = []
    for options in ([], ["-p", "no:usagetrace"]):
        env = clean_environment(tmp_path / "suite")
        assert "PYTEST_ADDOPTS" not in env
        ended = suite(tmp_path / "suite", "def test_empty(): ...", "--help", *options)
        markers = suite(tmp_path / "suite", "def test_empty(): ...", "--markers", *options)
        seen.append((ended.code, ended.out, markers.out))
    assert seen[0] == seen[1]
    listed = suite(tmp_path / "suite", "def test_empty(): ...", "--fixtures")
    assert "usage_events -- " in listed.out
    assert "Catch the events of tracked calls in memory" in listed.out
