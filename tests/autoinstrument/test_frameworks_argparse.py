"""Sub-commands of argparse: what is recorded of a main function, and that the program is what it was."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import io
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from usagetrace.testing import FixedClock, capture_events
from usagetrace.track import track

from .conftest import Write
from .frameworks_kit import in_force, load, recorded, told

TOOL = """
import argparse
import asyncio
import sys

def parser():
    top = argparse.ArgumentParser("shelf")
    top.add_argument("--verbose", action="store_true")
    subs = top.add_subparsers(dest="command")
    deploy = subs.add_parser("deploy", help="put a skill in its place")
    deploy.add_argument("skill-name")
    deploy.add_argument("--type", default="skill")
    deploy.add_argument("--twice", action="store_true")
    remove = subs.add_parser("remove", aliases=["rm", "zap"])
    remove.add_argument("names", nargs="*")
    remove.add_argument("--reason", default="old")
    find = subs.add_parser("find")
    find.add_argument("words", nargs="+")
    remote = subs.add_parser("remote").add_subparsers()
    add = remote.add_parser("add")
    add.add_argument("place", nargs=2)
    remote.add_parser("status")
    subs.add_parser("version")
    return top

def main(argv=None):
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--config")
    first.parse_known_args(argv)
    top = parser()
    given = top.parse_args(argv)
    return act(top, given)

def act(top, given):
    name = getattr(given, "skill-name", None) or " ".join(getattr(given, "names", None) or ())
    print("did", given.command, name)
    if name == "misused":
        top.error("not like this")
    if name == "broken":
        raise ValueError(name)
    if name == "exits":
        sys.exit(3)
    if name == "leaves":
        sys.exit(0)
    if name == "three":
        return 3
    if name == "true":
        return True
    if name == "text":
        return "text"
    return 0

async def amain(argv=None):
    await asyncio.sleep(0)
    top = parser()
    given = top.parse_args(argv)
    await asyncio.sleep(0)
    return act(top, given)

def runner(argv=None):
    return asyncio.run(amain(argv))

class App:
    prefix = "app"
    def main(self, argv=None):
        return main(argv)
    @staticmethod
    def static(argv=None):
        return main(argv)
"""

LINES = {
    "deploy canvas": [("deploy", "canvas", "ok")],
    "--verbose deploy canvas --twice": [("deploy", "canvas", "ok")],
    "deploy broken": [("deploy", "broken", "ValueError")],
    "deploy exits": [("deploy", "exits", "SystemExit")],
    "deploy leaves": [("deploy", "leaves", "ok")],
    "deploy three": [("deploy", "three", "_OTHER")],
    "deploy true": [("deploy", "true", "ok")],
    "deploy text": [("deploy", "text", "ok")],
    "deploy misused": [],
    "remove a b": [("remove", "a", "ok"), ("remove", "b", "ok")],
    "rm broken": [("remove", "broken", "ValueError")],
    "zap a": [("remove", "a", "ok")],
    "remove": [("remove", "", "ok")],
    "find red fox": [("search", "", "ok")],
    "remote add origin url": [("deploy", "origin", "ok")],
    "remote status": [],
    "remote": [],
    "version": [],
    "": [],
    "--help": [],
    "deploy --help": [],
    "deploy": [],
    "deploy canvas --nonsense": [],
    "unknown": [],
}

Ran = tuple[object, str, str]


def run(main: Callable[[list[str]], Any], line: str) -> Ran:
    """Run a main function; return what came back or was raised, and what was printed."""
    out, err = io.StringIO(), io.StringIO()
    result: object
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            result = main(line.split())
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
        except (Exception, SystemExit) as error:
            result = repr(error)
    return result, out.getvalue(), err.getvalue()


MAINS: dict[str, Callable[[ModuleType], Callable[[list[str]], Any]]] = {
    "main": lambda tool: tool.main,
    "amain": lambda tool: tool.amain,
    "runner": lambda tool: tool.runner,
    "App.main": lambda tool: tool.App().main,
    "App.static": lambda tool: tool.App.static,
}


@pytest.mark.parametrize("name", MAINS)
def test_a_command_line_does_what_it_did_and_is_recorded(write: Write, name: str) -> None:
    """Output, result and exit code of each command line are those of the bare program; its operations are events."""
    write(shelf_main=TOOL)
    bare = {line: run(MAINS[name](load("shelf_main")), line) for line in LINES}
    instrumented, events_of = {}, {}
    with in_force("argparse", f"shelf_main:{name}"):
        for line in LINES:
            with recorded() as events:
                instrumented[line] = run(MAINS[name](load("shelf_main")), line)
            events_of[line] = told(events)
    assert instrumented == bare
    assert events_of == LINES


def test_fields_are_what_was_parsed(write: Write) -> None:
    """Selectors name what the namespace holds, whichever command it is of; a search's words are its query."""
    write(shelf_main=TOOL)
    fields = {
        "artifact_type": "$type | tool",
        "metadata": {
            "why": "$reason",
            "twice": "$twice",
            "loud": "$verbose",
            "code": "$result",
            "prefix": "$self.prefix",
        },
    }
    with in_force("argparse", "shelf_main:App.main", **fields), recorded() as events:
        main = load("shelf_main").App().main
        for line in ("deploy canvas --twice", "--verbose remove canvas", "find red fox"):
            assert run(main, line)[0] == 0
    keys = ("why", "twice", "loud", "code", "prefix", "query")
    assert [(e.artifact_type, *((e.metadata or {}).get(key) for key in keys)) for e in events] == [
        ("skill", None, True, False, 0, "app", None),
        ("tool", "old", None, True, 0, "app", None),
        ("tool", None, None, False, 0, "app", "red fox"),
    ]


def test_events_say_what_names_do_not(write: Write) -> None:
    """A sub-command that ``events`` names is of that type, by its name, its path or an alias that was typed."""
    write(shelf_main=TOOL)
    named = {"version": "report", "remote status": "search", "zap": "cleanup", "remote add": ""}
    with in_force("argparse", "shelf_main:main", named), recorded() as events:
        for line in ("version", "remote status", "zap x", "rm x", "remote add a b"):
            run(load("shelf_main").main, line)
    assert [event.event_type for event in events] == ["report", "search", "cleanup", "remove"]


def test_the_operation_lasts_as_long_as_the_main_function(write: Write) -> None:
    """It begins before the command line is parsed."""
    clock = FixedClock(step_ms=0)
    write(
        slow_main="""
        import argparse
        def main(wait):
            wait(40)
            top = argparse.ArgumentParser()
            top.add_subparsers().add_parser("sync")
            wait(30)
            top.parse_args(["sync"])
            wait(50)
        """
    )
    start = clock.wall_ns() // 1_000_000
    with in_force("argparse", "slow_main:main"), capture_events(clock=clock) as events:
        load("slow_main").main(clock.advance)
    assert [(event.ts_ms, event.duration_ms) for event in events] == [(start, 120.0)]


def test_what_the_command_calls_is_inside_it(write: Write) -> None:
    """A tracked function of the same operation is a part and fills in; of another it is an event of the same trace."""
    write(
        parts_main="""
        import argparse
        def main(deploy, search):
            top = argparse.ArgumentParser()
            top.add_subparsers().add_parser("install").add_argument("name")
            given = top.parse_args(["install", "canvas"])
            deploy(given.name, "1.2")
            search("red")
        """
    )

    @track.deploy
    def deploy(name: str, version: str) -> None: ...

    @track.search
    def search(query: str) -> None: ...

    with in_force("argparse", "parts_main:main"), recorded() as events:
        load("parts_main").main(deploy, search)
    assert [event.event_type for event in events] == ["search", "deploy"]
    assert (events[1].metadata or {})["version"] == "1.2"
    assert events[0].trace_id == events[1].trace_id


def test_parts_of_a_command_that_was_misused_count_by_themselves(write: Write) -> None:
    """What a command has done before its parser refused it was done all the same."""
    write(
        late_main="""
        import argparse
        def main(deploy):
            top = argparse.ArgumentParser()
            top.add_subparsers().add_parser("install")
            top.parse_args(["install"])
            deploy("canvas")
            top.error("no")
        """
    )

    @track.deploy
    def deploy(name: str) -> None: ...

    with in_force("argparse", "late_main:main"), recorded() as events:
        assert run(lambda _line: load("late_main").main(deploy), "")[0] == "SystemExit(2)"
    assert told(events) == [("deploy", "canvas", "ok")]


def test_parsers_are_watched_only_while_a_target_is_in_force(write: Write) -> None:
    """The standard library's classes are what they were, before the module is imported and after the end."""
    write(shelf_main=TOOL)
    kinds = (argparse.ArgumentParser, argparse._SubParsersAction)
    before = [dict(vars(kind)) for kind in kinds]
    with in_force("argparse", "shelf_main:main") as instrumentation:
        assert [dict(vars(kind)) for kind in kinds] == before
        tool = load("shelf_main")
        main = tool.main
        assert [dict(vars(kind)) for kind in kinds] != before
        assert (main.__name__, inspect.signature(main)) == ("main", inspect.signature(main.__wrapped__))
        with recorded() as events:
            # Elsewhere than in the main function nobody listens.
            assert vars(tool.parser().parse_args(["version"]))["command"] == "version"
            run(main, "deploy canvas")
        (state,) = instrumentation.states()
        assert (len(events), state.calls) == (1, 1)
    assert [dict(vars(kind)) for kind in kinds] == before
    assert tool.main is main.__wrapped__
    with recorded() as events:
        # Who has kept the tracked one has a silent one.
        run(main, "deploy canvas")
    assert events == []


def test_a_command_line_that_was_refused_is_forgotten(write: Write) -> None:
    """A program that tries once more, with another command line, does what that one says."""
    write(
        again_main="""
        import argparse
        def main(argv=None):
            top = argparse.ArgumentParser(exit_on_error=False)
            subs = top.add_subparsers()
            subs.add_parser("install").add_argument("--times", type=int)
            subs.add_parser("remove").add_argument("name")
            subs.add_parser("status").add_argument("name")
            try:
                top.parse_args(["install", "--times", "x"])
            except (argparse.ArgumentError, SystemExit):
                return vars(top.parse_args(argv))["name"]
        """
    )
    with in_force("argparse", "again_main:main"), recorded() as events:
        assert run(load("again_main").main, "status forms")[0] == "forms"
        assert run(load("again_main").main, "remove canvas")[0] == "canvas"
    assert told(events) == [("remove", "canvas", "ok")]


def test_two_programs_in_one_process(write: Write) -> None:
    """A main function that runs inside another one is one of its own, and each is recorded by its own target."""
    write(
        shelf_main=TOOL,
        outer_main="""
        import argparse
        import shelf_main
        def main(argv=None):
            top = argparse.ArgumentParser()
            top.add_subparsers().add_parser("sync").add_argument("name")
            top.parse_args(argv)
            return shelf_main.main(["deploy", "canvas"])
        """,
    )
    with in_force("argparse", "outer_main:main"), in_force("argparse", "shelf_main:main"), recorded() as events:
        assert run(load("outer_main").main, "sync all")[0] == 0
    assert told(events) == [("deploy", "canvas", "ok"), ("sync", "all", "ok")]
    assert argparse.ArgumentParser.parse_args.__module__ == "argparse"
