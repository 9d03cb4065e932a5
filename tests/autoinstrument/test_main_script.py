"""Targets in the program that Python was asked to run: in real processes, since only there it is the main module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from usagetrace.autoinstrument.main_script import names_of_main

# What each program runs first: put targets in force, and print at the end what was called.
BEGIN = """
import atexit, json, sys
from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.target import Target
made = Instrumentation()
def tell():
    print(json.dumps([{s.target.function: s.calls for s in made.states()}, sys.gettrace() is None]))
atexit.register(tell)
made.begin([Target(name, "deploy", where="here") for name in NAMES])
"""

PROGRAM = """
def deploy(name):
    return name

deploy("at once")

class Shelf:
    def deploy(self, name):
        return name

def main():
    deploy("from main")
    Shelf().deploy("method")

if __name__ == "__main__":
    main()
"""


def _run(folder: Path, command: list[str], *, code: int = 0) -> Any:
    found = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stderr) == (code, "")
    return json.loads(found.stdout.splitlines()[-1])


def _begin(*names: str) -> str:
    return BEGIN.replace("NAMES", repr(names))


@pytest.mark.parametrize("module", ["__main__", "tool"])
def test_functions_of_a_script_are_tracked_from_their_first_call(tmp_path: Path, module: str) -> None:
    """Those of its own name, too; and nothing is traced any more once all are there."""
    names = (f"{module}:deploy", f"{module}:Shelf.deploy", f"{module}:main")
    (tmp_path / "tool.py").write_text(_begin(*names) + PROGRAM)
    assert _run(tmp_path, ["tool.py"]) == [dict(zip(names, (2, 1, 1), strict=True)), True]


@pytest.mark.parametrize("name", ["pk.tool", "pk"])
def test_functions_of_a_module_that_is_run_are_tracked(tmp_path: Path, name: str) -> None:
    """By the name that imports know it by: ``python -m pk.tool``, ``python -m pk``."""
    module = "pk.tool" if name == "pk.tool" else "pk.__main__"
    (tmp_path / "pk").mkdir()
    (tmp_path / "pk" / "__init__.py").write_text("")
    (tmp_path / "pk" / f"{module[3:]}.py").write_text(_begin(f"{module}:deploy") + PROGRAM)
    assert _run(tmp_path, ["-m", name]) == [{f"{module}:deploy": 2}, True]


def test_a_name_that_the_script_does_not_have_traces_nothing(tmp_path: Path) -> None:
    """A target that is gone must not slow the program down for as long as it runs."""
    (tmp_path / "tool.py").write_text(_begin("tool:gone") + "print(sys.gettrace())\n" + PROGRAM)
    found = subprocess.run(
        [sys.executable, "tool.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.splitlines() == ["None", '[{"tool:gone": 0}, true]']
    assert "tool:gone is not recorded" in found.stderr


def test_a_debugger_is_left_alone(tmp_path: Path) -> None:
    """Its trace function stays; one warning says what is not recorded."""
    trace = "def mine(*_): return None\nimport sys\nsys.settrace(mine)\n"
    (tmp_path / "tool.py").write_text(trace + _begin("tool:deploy") + PROGRAM + "print(sys.gettrace() is mine)")
    found = subprocess.run(
        [sys.executable, "tool.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.splitlines()[0] == "True"
    assert "a debugger or a coverage tool traces it" in found.stderr


def test_an_exception_of_the_script_looks_as_it_does_alone(tmp_path: Path) -> None:
    """The traceback has the script's lines alone."""
    program = dedent("""
        def deploy(name):
            return name
        deploy("a")
        raise LookupError("of the program")
    """)
    (tmp_path / "tool.py").write_text(_begin("tool:deploy") + program)
    found = subprocess.run(
        [sys.executable, "tool.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 1
    assert "main_script" not in found.stderr
    assert found.stderr.endswith("LookupError: of the program\n")
    assert json.loads(found.stdout)[0] == {"tool:deploy": 1}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["python", "tool.py", "-m", "x"], {"__main__", "tool"}),
        (["python", "/a/b/tool.py"], {"__main__", "tool"}),
        (["python", "-X", "dev", "-W", "error", "-b", "tool.py"], {"__main__", "tool"}),
        (["python", "/bin/papis", "add"], {"__main__"}),
        (["python", "-m", "pk.tool", "x.py"], {"__main__", "pk.tool", "pk.tool.__main__"}),
        (["python", "-mpk"], {"__main__", "pk", "pk.__main__"}),
        (["python", "-c", "pass", "x.py"], {"__main__"}),
        (["python", "-cpass"], {"__main__"}),
        (["python", "-"], {"__main__"}),
        (["python"], {"__main__"}),
    ],
)
def test_the_command_line_says_what_the_main_module_is_called(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: set[str]
) -> None:
    """Before the main module is there."""
    monkeypatch.delattr(sys.modules["__main__"], "__spec__", raising=False)
    assert names_of_main(arguments) == names
