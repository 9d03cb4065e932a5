"""What holds a function that is replaced: given the tracked one, given the bare one back, and otherwise left alone."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.patches import Ledger
from usagetrace.autoinstrument.target import Target
from usagetrace.redaction import Redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

CORE = """
    import functools
    from collections import OrderedDict, defaultdict
    from shelved.registry import register

    @register
    def deploy(name, *, how="fast"): return name
    TABLE = {"add": deploy}
    NUMBERS = {3: {"add": deploy}}
    DEEPER = {"a": {"b": {"c": deploy}}}
    ROWS = [[deploy, deploy], {"add": deploy}]
    GROUPS = defaultdict(list, add=[deploy])
    ORDERED = OrderedDict(first=deploy, second=len)
    PART = functools.partial(deploy, how="slow")
    PARTS = [functools.partial(deploy)]
    PAIR = (deploy,)
    SET = {deploy}
    DATA = [*range(10_000), deploy]
    class Loud(dict):
        def __setitem__(self, key, value): raise AssertionError("called")
    LOUD = Loud(add=deploy)
    class Meta(type):
        def __setattr__(self, name, value): raise AssertionError("called")
    class Strict(metaclass=Meta):
        act = staticmethod(deploy)
        @property
        def __dict__(self): raise AssertionError("called")
    STRICT = Strict()
    class Runner:
        act = staticmethod(deploy)
        make = classmethod(deploy)
        plain = deploy
        later = functools.partialmethod(deploy)
        table = {"add": deploy}
        def run(self, name, how=deploy, *, other=deploy): return how(name), other(name)
        def method(self, name): return name
        again = method
    class App:
        def __init__(self):
            self.handler = deploy
            self.commands = {"add": deploy}
        def __setattr__(self, name, value): object.__setattr__(self, name, value)
    APP = App()
    LOOKED = Runner()
"""
MODULES = {
    "shelved__init": "",
    "shelved__registry": "TABLE = {}\nSEEN = []\n\ndef register(function):\n    TABLE[function.__name__] = function\n"
    "    SEEN.append([function])\n    return function",
    "shelved__core": CORE,
    "shelved__none": "def deploy(name): return name",
}
# Expressions of the places that are given the tracked function.
GIVEN = (
    "core.TABLE['add']", "core.NUMBERS[3]['add']", "core.ROWS[0][0]", "core.ROWS[0][1]", "core.ROWS[1]['add']",
    "core.GROUPS['add'][0]", "core.ORDERED['first']", "core.PART.func", "core.PARTS[0].func",
    "vars(core.Runner)['act'].__func__", "vars(core.Runner)['make'].__func__", "vars(core.Runner)['plain']",
    "vars(core.Runner)['later'].func", "core.Strict.act", "core.Runner.table['add']", "core.Runner.run.__defaults__[0]",
    "core.Runner.run.__kwdefaults__['other']", "core.APP.handler", "core.APP.commands['add']",
    "registry.TABLE['deploy']", "registry.SEEN[0][0]",
)  # fmt: skip
# Those that keep the bare one.
KEPT = ("core.DEEPER['a']['b']['c']", "core.PAIR[0]", "core.LOUD['add']", "[*core.SET][0]", "core.DATA[-1]")
TARGET = Target("shelved.core:deploy", "deploy", {"artifact_name": "$name"})


@pytest.fixture
def there(write: Callable[..., Path]) -> dict[str, ModuleType]:
    """Write the modules, import them, and return them: before anything is in force."""
    write(**MODULES)
    return {name: importlib.import_module(f"shelved.{name}") for name in ("core", "registry", "none")}


@pytest.fixture
def rows() -> Iterator[list[Any]]:
    taken: list[Any] = []
    runtime.install(Runtime(None, None, Redactor(), record=lambda new: not taken.extend(new)))
    return taken


@pytest.fixture
def instrumentation() -> Iterator[Instrumentation]:
    made = Instrumentation()
    yield made
    made.end()


def test_what_modules_name_and_one_level_deeper_has_the_tracked_one(
    there: dict[str, ModuleType], instrumentation: Instrumentation
) -> None:
    """Tables, lists, classes, objects, partials, defaults, a decorator's table elsewhere; and back again, all of them.

    What a program made is left alone where it may run code of its own, and so is what lies deeper.
    """
    bare = there["core"].deploy
    descriptors = {name: vars(there["core"].Runner)[name] for name in ("act", "make", "later")}
    defaults = there["core"].Runner.run.__defaults__
    instrumentation.begin([TARGET])
    tracked = there["core"].deploy
    assert tracked is not bare
    assert {text: eval(text, there) is tracked for text in GIVEN} == dict.fromkeys(GIVEN, True)
    assert {text: eval(text, there) is bare for text in KEPT} == dict.fromkeys(KEPT, True)
    assert there["core"].PART("canvas") == "canvas"
    assert there["core"].PART.keywords == {"how": "slow"}
    assert list(there["core"].ORDERED) == ["first", "second"]
    instrumentation.end()
    assert {text: eval(text, there) is bare for text in (*GIVEN, *KEPT)} == dict.fromkeys((*GIVEN, *KEPT), True)
    assert {name: vars(there["core"].Runner)[name] for name in descriptors} == descriptors
    assert there["core"].Runner.run.__defaults__ is defaults


@pytest.mark.parametrize("before", [True, False])
def test_a_call_by_another_holder_is_the_same_call(
    write: Callable[..., Path], rows: list[Any], instrumentation: Instrumentation, before: bool
) -> None:
    """One event a call, of the target that names the function, whether it was in force before the import or after."""
    write(**MODULES)
    if before:
        instrumentation.begin([TARGET])
    core = importlib.import_module("shelved.core")
    instrumentation.begin([TARGET])
    registry = sys.modules["shelved.registry"]
    assert core.APP.commands["add"]("one") == "one"
    assert core.Runner.act("two") == "two"
    assert core.LOOKED.run("three") == ("three", "three")
    assert registry.TABLE["deploy"]("four") == "four"
    assert [row[1] for row in rows] == ["one", "two", "three", "three", "four"]
    assert [state.calls for state in instrumentation.states()] == [5]


def test_what_a_program_put_there_meanwhile_stays(
    there: dict[str, ModuleType], instrumentation: Instrumentation
) -> None:
    """Only the tracked function is taken out again, wherever it stands in what was changed by then."""
    core = there["core"]
    bare = core.deploy
    instrumentation.begin([TARGET])
    core.TABLE["add"] = len
    core.TABLE["more"] = core.deploy
    core.ROWS[0].insert(0, core.ROWS[0].pop())
    core.ROWS[0].append("new")
    del core.ORDERED["first"]
    core.APP.handler = print
    core.Runner.run.__defaults__ = (print,)
    type.__setattr__(core.Runner, "act", staticmethod(print))
    core.PART.__setstate__((print, (), {}, None))
    instrumentation.end()
    assert {"add": len, "more": bare} == core.TABLE
    assert core.ROWS[0] == [bare, bare, "new"]
    assert {"second": len} == core.ORDERED
    assert [core.APP.handler, *core.Runner.run.__defaults__, core.Runner.act, core.PART.func] == [print] * 4


def test_a_method_has_its_other_names_and_stays_itself(
    there: dict[str, ModuleType], rows: list[Any], instrumentation: Instrumentation
) -> None:
    """Another name in its class is the same method, for a target of either name."""
    core = there["core"]
    instrumentation.begin([Target("shelved.core:Runner.method", "deploy", {"artifact_name": "$name"})])
    assert core.Runner.again is core.Runner.method
    assert core.LOOKED.again("canvas") == "canvas"
    assert [row[1] for row in rows] == ["canvas"]


def test_targets_for_two_names_of_one_function_are_two(
    there: dict[str, ModuleType], rows: list[Any], instrumentation: Instrumentation
) -> None:
    """A place that has a target of its own is that target's."""
    core = there["core"]
    own = Target("shelved.core:Runner.act", "remove", {"artifact_name": "$name"})
    instrumentation.begin([own, TARGET])
    core.Runner.act("canvas")
    core.deploy("forms")
    core.TABLE["add"]("notes")
    assert [row[:2] for row in rows] == [("remove", "canvas"), ("deploy", "forms"), ("deploy", "notes")]


def test_a_function_that_nobody_else_has_is_looked_for_nowhere(
    there: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many references there are says so: then neither tables are searched nor multiprocessing is touched."""
    from usagetrace.autoinstrument import handed, holders

    def fail(*_: object) -> None:
        raise AssertionError("looked")

    monkeypatch.setattr(holders.Holders, "look_into", fail)
    monkeypatch.setattr(handed, "begin", fail)
    ledger = Ledger()
    targets = [Target(f"shelved.none:{name}", "deploy") for name in ("deploy",)]
    patches = [ledger.apply(target, there["none"]) for target in targets]
    static = ledger.apply(Target("shelved.core:App.__init__", "deploy"), there["core"])
    try:
        assert [patch.held for patch in (*patches, static)] == [0, 0]
        ledger.hand_on(patches, there["none"], everywhere=True)
    finally:
        ledger.restore()


# Sends a function that a tuple keeps bare, a partial of it and a method, with and without targets in the other process.
SENDS = """
    import json, multiprocessing, os, pickle, sys
    import shelved.core as core
    from usagetrace.autoinstrument.active import Instrumentation
    from usagetrace.autoinstrument.target import Target

    def main():
        import multiprocessing.reduction as reduction
        before = dict(vars(reduction.ForkingPickler)), reduction.dump
        instrumentation = Instrumentation()
        instrumentation.begin([Target("shelved.core:deploy", "deploy"), Target("shelved.core:Runner.method", "deploy")])
        bare = core.PAIR[0]
        said = {}
        try:
            pickle.dumps(bare)
        except pickle.PicklingError:
            said["refused"] = True
        for how in ("fork", "spawn"):
            with multiprocessing.get_context(how).Pool(1) as pool:
                said[how] = [
                    pool.map(bare, ["a", "b"]), pool.map(core.PART, ["c"]), pool.map(core.LOOKED.again, ["d"]),
                    pool.apply(core.TABLE["add"], ("e",)), pool.map(core.deploy, ["f"]),
                ]
            process = multiprocessing.get_context(how).Process(target=bare, args=("g",))
            process.start()
            process.join()
            said[how].append(process.exitcode)
        try:
            reduction.ForkingPickler.dumps(lambda: None)
        except (pickle.PicklingError, AttributeError) as error:
            said["error"] = type(error.__context__).__name__
        instrumentation.end()
        said["restored"] = (dict(vars(reduction.ForkingPickler)), reduction.dump) == before
        print(json.dumps(said))

    if __name__ == "__main__":
        main()
"""


def test_multiprocessing_sends_a_function_that_stayed_bare(write: Callable[..., Path], tmp_path: Path) -> None:
    """To children that have targets and to those that have none; afterwards multiprocessing is what it was."""
    folder = write(**MODULES, sends=SENDS)
    environment = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(folder), "USAGETRACE_DISABLED": "1"}
    ran = subprocess.run(
        [sys.executable, str(folder / "sends.py")], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    sent = [["a", "b"], ["c"], ["d"], "e", ["f"], 0]
    assert json.loads(ran.stdout) == {
        "refused": True, "fork": sent, "spawn": sent, "error": "NoneType", "restored": True,
    }  # fmt: skip


# As above, in a program that imports multiprocessing later, by way of something else.
LATER = """
    import shelved.core as core
    from usagetrace.autoinstrument.active import Instrumentation
    from usagetrace.autoinstrument.target import Target

    if __name__ == "__main__":
        Instrumentation().begin([Target("shelved.core:deploy", "deploy")])
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        with ProcessPoolExecutor(1, get_context("fork")) as pool:
            print(*pool.map(core.PAIR[0], ["a", "b"]))
"""


def test_multiprocessing_may_be_imported_later(write: Callable[..., Path], tmp_path: Path) -> None:
    """A program that never does has nothing to load for it."""
    folder = write(**MODULES, later=LATER)
    environment = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(folder), "USAGETRACE_DISABLED": "1"}
    ran = subprocess.run(
        [sys.executable, str(folder / "later.py")], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "a b\n", "")


def test_what_is_reached_by_name_is_pickled_as_ever(
    there: dict[str, ModuleType], instrumentation: Instrumentation
) -> None:
    """The tracked function, from wherever it is taken, and a partial of it."""
    instrumentation.begin([TARGET])
    core = there["core"]
    for held in (core.TABLE["add"], core.APP.handler, core.GROUPS["add"][0]):
        assert pickle.loads(pickle.dumps(held)) is core.deploy
    assert pickle.loads(pickle.dumps(core.PART)).func is core.deploy
