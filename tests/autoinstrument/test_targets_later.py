"""Files of targets are read when one of their modules is imported: nothing is missed, and nothing is loaded before."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from usagetrace import places
from usagetrace.autoinstrument import later
from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.later import modules_named, wait
from usagetrace.autoinstrument.sources import find_targets

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """No installed package ships targets, and nothing is waited for afterwards."""
    monkeypatch.setattr("usagetrace.autoinstrument.sources.ships_any", lambda: False)
    yield
    later.forget()
    assert later._all == []


FILES = {
    "short": '[track]\ndeploy = "a.b:f"\nsearch = ["c:g", \'d:h\']',
    "long": '[[targets]]\nfunction = ["a:f", "b:C.g"]\nevent = "deploy"\nartifact_name = "$x | none:of"',
    "a framework": '[[targets]]\nclick = "tool.cli:cli"\nevents = { ls = "search" }',
    "one line": 'track = { deploy = "a:f", sync = "b:g" } # "c:h"',
    "texts of several lines": "[track]\ndeploy = \"\"\"a:f\"\"\"\nsync = '''\nb:g'''",
    "a quote inside": "[track]\ndeploy = \"a:f\" # it's\nsync = 'b:g' # \"",
    "blanks": '[track]\ndeploy = " a:f "\nsync = "b:g"',
    "no targets": "[analytics]\nretention-days = 3",
    "nothing": "",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
@pytest.mark.parametrize("place", ["project", "user", "config", "variable"])
def test_every_module_that_has_targets_is_named(tmp_path: Path, text: str, place: str) -> None:
    """By the text alone; that more are named does no harm."""
    path = {"project": Path("usagetrace.toml"), "user": places.config_file(os.environ)}.get(place, tmp_path / "t.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    variable = {"config": "USAGETRACE_CONFIG", "variable": "USAGETRACE_TARGETS"}.get(place)
    env = {**os.environ, **({variable: str(path)} if variable else {})}
    named = modules_named(env)
    assert named is not None
    assert {target.module for target in find_targets(env=env).targets} <= named


def test_pairs_of_the_variable_are_named() -> None:
    """They are no paths."""
    assert modules_named({**os.environ, "USAGETRACE_TARGETS": "deploy=a.b:f, sync = c:g"}) == {"a.b", "c"}


@pytest.mark.parametrize(
    "text",
    ['[track]\ndeploy = "\\u0061:f"', '[track]\ndeploy = "a.f"', "[[targets]]\n", b"\xff\xfe".decode("latin-1")],
)
def test_what_only_parsing_can_tell_is_parsed_at_once(text: str) -> None:
    """Escapes may hide a name; where no function is named the faults are to be told."""
    Path("usagetrace.toml").write_text(text, "latin-1")
    assert modules_named() is None


def test_pyproject_and_packages_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks whether they are ours has read them by then."""
    Path("pyproject.toml").write_text('[tool.usagetrace.track]\ndeploy = "a:f"')
    assert modules_named() is None
    Path("pyproject.toml").unlink()
    assert modules_named() == set()
    monkeypatch.setattr("usagetrace.autoinstrument.sources.ships_any", lambda: True)
    assert modules_named() is None


def test_a_project_that_is_not_trusted_names_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As its targets don't count."""
    Path("usagetrace.toml").write_text('[track]\ndeploy = "a:f"')
    monkeypatch.setattr(sys, "path", [str(tmp_path / "elsewhere")])
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))
    assert (modules_named(), modules_named(trust_project=False)) == ({"a"}, set())


@pytest.fixture
def put(write: Write) -> Any:
    """Return a function that waits for the targets of the project's file, and the list of what was read."""
    made: list[Instrumentation] = []
    read: list[int] = []

    def begin(text: str) -> list[int]:
        Path("usagetrace.toml").write_text(text)
        instrumentation = Instrumentation()
        made.append(instrumentation)

        def put_in_force() -> None:
            found = find_targets()
            read.append(len(found.targets))
            instrumentation.begin(found.targets)

        named = modules_named()
        assert named is not None
        assert wait(named, put_in_force) is True
        return read

    begin.states = lambda: [(s.target.function, s.state, s.calls) for s in made[-1].states()]  # type: ignore[attr-defined]
    yield begin
    later.forget()
    for instrumentation in made:
        instrumentation.end()


def test_the_first_module_that_is_imported_has_them_read_once(write: Write, put: Any) -> None:
    """Its own functions are tracked when its importer gets them, and so are those of modules that follow."""
    write(
        late_one="def f(name): return name",
        late_two="def g(name): return name",
        late_user="from late_one import f\nimport late_two\ndef use(): return f('a') + late_two.g('b')",
        unrelated="",
    )
    read = put('[track]\ndeploy = "late_one:f"\nsync = ["late_two:g", "late_three:h"]')
    importlib.import_module("unrelated")
    assert read == []
    assert importlib.import_module("late_user").use() == "ab"
    assert read == [3]
    assert put.states() == [
        ("late_one:f", "active", 1), ("late_two:g", "active", 1), ("late_three:h", "waiting", 0)
    ]  # fmt: skip


def test_what_is_read_later_is_what_would_be_read_now(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that goes to another directory, or changes its environment, changes nothing of it."""
    write(moved="def f(name): return name")
    Path("usagetrace.toml").write_text('[track]\ndeploy = "moved:f"')
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/usagetrace.toml").write_text('[track]\nsync = "moved:f"')
    taken: list[Any] = []
    assert later.read_later(taken.append) is True
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("USAGETRACE_TARGETS", "remove=moved:f")
    importlib.import_module("moved")
    ((target,),) = [found.targets for found in taken]
    assert (target.function, target.event) == ("moved:f", "deploy")
    monkeypatch.setenv("USAGETRACE_CONFIG", "usagetrace.toml")
    assert later.read_later(taken.append) is False


def test_modules_that_import_each_other_are_tracked_whole(write: Write, put: Any) -> None:
    """What a circle took before its first module was whole is replaced as well."""
    write(
        ring__init="",
        ring__one="import ring.two\ndef f(name): return name",
        ring__two="from ring import one\ndef g(name): return one.f(name)",
    )
    put('[track]\ndeploy = "ring.one:f"\nsync = "ring.two:g"')
    assert importlib.import_module("ring.one").ring.two.g("a") == "a"
    assert put.states() == [("ring.one:f", "active", 1), ("ring.two:g", "active", 1)]


def test_a_module_that_fails_to_import_fails_as_it_does_alone(write: Write, put: Any) -> None:
    """Nothing is read then; a later try that succeeds has it read."""
    folder = write(flaky="1 / 0")
    read = put('[track]\ndeploy = "flaky:f"')
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("flaky")
    assert read == []
    (folder / "flaky.py").write_text("def f(name): return 'quite another length'")
    importlib.invalidate_caches()
    assert importlib.import_module("flaky").f("a")
    assert put.states() == [("flaky:f", "active", 1)]


def test_what_reading_raises_does_not_reach_the_import(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noted; under a test runner too."""
    write(innocent="")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    called = []

    def fail() -> None:
        called.append(1)
        raise OSError

    assert wait(["innocent"], fail) is True
    importlib.import_module("innocent")
    assert called == [1]


def test_what_is_there_already_is_not_waited_for(write: Write) -> None:
    """A module that was imported, or that is the program itself, wants its targets now."""
    write(there="")
    importlib.import_module("there")
    assert wait(["there", "not_there"], list) is False
    assert wait(["__main__"], list) is False
    assert later._all == []


def test_nothing_is_called_any_more_once_forgotten(write: Write) -> None:
    """And the import system is as it was, which the fixture looks at."""
    write(forgotten="")
    called: list[int] = []
    assert wait(["forgotten"], lambda: called.append(1)) is True
    later.forget()
    importlib.import_module("forgotten")
    assert called == []


PROGRAM = """
import sys
before = set(sys.modules)
import usagetrace
between = set(sys.modules)
from usagetrace.autoinstrument import later
named = later.modules_named()
assert later.wait(named, lambda: None)
print(len(named), *sorted(name for name in set(sys.modules) - between if not name.startswith("usagetrace")))
"""


def test_waiting_loads_no_parser(tmp_path: Path) -> None:
    """Neither that of TOML nor what it is made of."""
    lines = "\n".join(f'kind{number} = "tool{number}:f"' for number in range(30))
    (tmp_path / "usagetrace.toml").write_text(f"[track]\n{lines}")
    env = {"HOME": os.environ["HOME"], "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["30"]
