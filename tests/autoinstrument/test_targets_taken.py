"""What took a function while its module was executed: where its calls are seen, where not, and what is said of it.

The table in the reference of targets says the same.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.target import Target
from usagetrace.autoinstrument.verify import verify
from usagetrace.redaction import Redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

CORE = """
    import functools
    COMMANDS = {}
    def command(function):
        COMMANDS[function.__name__] = function
        return function
    @command
    def deploy(name): return name
    ALIAS = deploy
    TABLE = {"add": deploy, 3: deploy}
    ROW = [deploy]
    PAIR = ("add", deploy)
    PART = functools.partial(deploy)
    class Runner:
        act = staticmethod(deploy)
        def call(self, name, how=deploy): return how(name)
        def method(self, name): return name
    RUNNER = Runner()
    BOUND = RUNNER.method
    def calls(name): return deploy(name)
    def asks(name): return TABLE["add"](name)
    def make():
        inner = deploy
        return lambda name: inner(name)
    HELD = make()
    import taken_far.early
    import taken.circle
"""
MODULES = {
    "taken__init": "",
    "taken__core": CORE,
    "taken__circle": "from taken.core import deploy",
    "taken_far__init": "",
    "taken_far__early": "import sys\ndeploy = sys.modules['taken.core'].deploy",
    "taken_far__later": "from taken.core import deploy\nTABLE = {'add': deploy}",
}
# An expression of the call, whether it is seen with targets in force before, and with those that came after.
HOLDERS: dict[str, tuple[str, bool, bool]] = {
    "its name": ("core.deploy", True, True),
    "a function that calls it": ("core.calls", True, True),
    "its package, in a circle": ("taken.circle.deploy", True, True),
    "another package": ("taken_far.later.deploy", True, True),
    "another package's table": ("taken_far.later.TABLE['add']", True, True),
    "another package, in a circle": ("taken_far.early.deploy", False, True),
    "a method kept with its object": ("core.BOUND", False, False),
    "another name": ("core.ALIAS", True, True),
    "a registry by decorator": ("core.COMMANDS['deploy']", True, True),
    "a table": ("core.TABLE['add']", True, True),
    "a list": ("core.ROW[0]", True, True),
    "a partial": ("core.PART", True, True),
    "a class attribute": ("core.Runner.act", True, True),
    "a default": ("core.RUNNER.call", True, True),
    "a closure": ("core.HELD", False, False),
}
TARGETS = [Target(f"taken.core:{name}", "deploy", {"artifact_name": "$name"}) for name in ("deploy", "Runner.method")]


@pytest.fixture
def rows(write: Callable[..., Path]) -> Iterator[list[Any]]:
    """Write the modules; return what is recorded."""
    write(**MODULES)
    taken: list[Any] = []
    runtime.install(Runtime(None, None, Redactor(), record=lambda new: not taken.extend(new)))
    return taken


def imported() -> dict[str, ModuleType]:
    for name in ("taken.core", "taken.circle", "taken_far.early", "taken_far.later"):
        importlib.import_module(name)
    tops = {name: sys.modules[name] for name in ("taken", "taken_far")}
    return {"core": sys.modules["taken.core"], **tops}


@pytest.mark.parametrize("before", [True, False])
def test_calls_are_seen_by_the_names_that_modules_have_and_nowhere_deeper(rows: list[Any], before: bool) -> None:
    """With targets in force before the imports, and after them; every call returns what it returned."""
    instrumentation = Instrumentation()
    if before:
        instrumentation.begin(TARGETS)
    there = imported()
    if not before:
        instrumentation.begin(TARGETS)
    try:
        assert [eval(text, there)(what) for what, (text, _, _) in HOLDERS.items()] == list(HOLDERS)
    finally:
        instrumentation.end()
    seen = {row[1] for row in rows}
    expected = {what for what, (_, early, late) in HOLDERS.items() if (early if before else late)}
    assert seen == expected


@pytest.mark.parametrize("also", ["Runner.act", "asks"])
def test_where_it_is_held_or_who_calls_it_can_be_named_as_well(rows: list[Any], also: str) -> None:
    """A class attribute is a function of its own; a table's function is seen by whoever takes it from there."""
    instrumentation = Instrumentation()
    instrumentation.begin([*TARGETS, Target(f"taken.core:{also}", "deploy", {"artifact_name": "$name"})])
    core = imported()["core"]
    try:
        eval(f"core.{also}", {"core": core})("canvas")
    finally:
        instrumentation.end()
    assert [row[1] for row in rows] == ["canvas"]


def test_the_check_names_who_keeps_a_function(write: Callable[..., Path]) -> None:
    """As a warning; what is given the tracked one is not named, nor is anything left of the trial."""
    write(**MODULES)
    (deploy, method), _ = verify(TARGETS)
    text = "the function is also held by PAIR, a closure, taken_far.early.deploy, where its calls are not seen"
    assert deploy == [("warning", text)]
    assert method == [("warning", "the function is also held by BOUND, where its calls are not seen")]
    core = sys.modules["taken.core"]
    held = (core.deploy, core.ALIAS, core.TABLE["add"], core.ROW[0], core.PART.func, core.Runner.act)
    assert [function is core.PAIR[1] for function in held] == [True] * 6


def test_a_function_that_was_taken_can_not_be_pickled_and_its_name_can(rows: list[Any]) -> None:
    """Python pickles a function by its name, which is the tracked one's; afterwards it can be pickled again."""
    instrumentation = Instrumentation()
    instrumentation.begin(TARGETS)
    core = imported()["core"]
    try:
        assert pickle.loads(pickle.dumps(core.deploy)) is core.deploy
        assert pickle.loads(pickle.dumps(core.BOUND)).__self__.__class__ is core.Runner
        assert pickle.loads(pickle.dumps(core.TABLE["add"])) is core.deploy
        with pytest.raises(pickle.PicklingError, match="not the same object"):
            pickle.dumps(core.PAIR[1])
    finally:
        instrumentation.end()
    assert pickle.loads(pickle.dumps(core.PAIR[1])) is core.PAIR[1] is core.deploy
