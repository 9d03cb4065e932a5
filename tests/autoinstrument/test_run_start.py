"""The start of a program under ``usagetrace run``: it finds what it would find without us, whatever is installed."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.autoinstrument.run_kit import Lab, make_lab, other_python
from usagetrace.autoinstrument.launch import BOOTSTRAP, VARIABLE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="environments are made of symbolic links here")
PYTHON = sys.executable
# Prints what a program can see of how it was started.
LOOK = """
    import json, os, sys
    from shelf.core import deploy
    deploy("canvas")
    hidden = ("USAGETRACE_DB_PATH",)
    custom = sys.modules.get("sitecustomize")
    print(json.dumps({
        "path": sys.path, "argv": sys.argv, "words": sys.orig_argv, "flags": list(sys.flags),
        "environ": {name: value for name, value in os.environ.items() if name not in hidden},
        "custom": [getattr(custom, "__file__", None), getattr(custom, "SAID", None)],
        "cached": sorted(path for path in sys.path_importer_cache if "bootstrap" in path),
        "main": sorted(sys.modules["__main__"].__dict__), "trace": repr(sys.gettrace()), "names": sorted(dir()),
    }))
"""
CUSTOM = {
    "nobody's": None,
    "one": "SAID = 'hello'\nimport sys\nprint('custom', __name__, file=sys.stderr)",
    "one that changes the path": "import sys\nsys.path.append('/nowhere')",
    "one that fails": "SAID = 1 / 0",
    "one that imports what is missing": "import missing_everywhere",
    "one that is a package": "package",
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The package ``shelf``, and a program that looks around, in a folder of its own."""
    made = make_lab(tmp_path / "lab")
    monkeypatch.chdir(made.folder)
    made.write("look.py", LOOK)
    return made


@pytest.mark.parametrize("custom", CUSTOM)
def test_a_program_finds_what_it_finds_without_us(lab: Lab, custom: str) -> None:
    """Path, environment, arguments and ``sitecustomize``, with its output and its errors, are equal."""
    source = CUSTOM[custom]
    path = f"{lab.folder / 'more'}:{lab.folder / 'other'}::"
    if source == "package":
        lab.write("more/sitecustomize/__init__.py", "SAID = 'package'")
    elif source is not None:
        lab.write("more/sitecustomize.py", source)
    bare, covered = lab.bare([PYTHON, "look.py"], PYTHONPATH=path), lab.covered([PYTHON, "look.py"], PYTHONPATH=path)
    assert covered == bare
    assert lab.names() == ["canvas"]


def test_without_a_path_there_is_none_afterwards(lab: Lab) -> None:
    """As above, where PYTHONPATH is not set."""
    bare, covered = lab.bare([PYTHON, "look.py"]), lab.covered([PYTHON, "look.py"])
    assert covered == bare
    assert "PYTHONPATH" not in covered.out


def test_somebody_elses_first_module_may_end_the_program(lab: Lab) -> None:
    """Python does not even start then, with us or without."""
    lab.write("more/sitecustomize.py", "import sys\nsys.exit(5)")
    bare, covered = (run([PYTHON, "look.py"], PYTHONPATH="more") for run in (lab.bare, lab.covered))
    assert (covered.code, covered.out) == (bare.code, bare.out)
    assert covered.err.splitlines()[-1] == bare.err.splitlines()[-1] == "SystemExit: 5"


def test_a_python_without_this_package_runs_the_program_and_says_so(lab: Lab, tmp_path: Path) -> None:
    """One line on standard error, what to install and where; everything else is as without us."""
    python = other_python(tmp_path / "other", with_package=False)
    bare, covered = lab.bare([python, "look.py"]), lab.covered([python, "look.py"])
    assert (covered.code, covered.out) == (bare.code, bare.out)
    (line,) = covered.err.splitlines()
    assert line == (
        f"usagetrace: nothing is recorded of what {python} runs: it has no usagetrace. "
        f"To install it: {python} -m pip install usagetrace"
    )


def test_a_broken_installation_runs_the_program_and_says_so(lab: Lab) -> None:
    """Whatever the package in the program's Python raises when it is loaded."""
    lab.write("broken/usagetrace/__init__.py", "raise OSError('disk')")
    ended = lab.covered([PYTHON, "-c", "print('on')"], PYTHONPATH="broken")
    assert (ended.code, ended.out) == (0, "on\n")
    assert "its usagetrace does not work (OSError)" in ended.err


@pytest.mark.parametrize("text", ["[track\n", "[track]\ndeploy = 7\n", "[track]\ndeploy = 'shelf.core:nothing'\n"])
def test_faulty_targets_are_one_warning_each(lab: Lab, text: str) -> None:
    """The program runs on, and standard output is untouched."""
    lab.write("usagetrace.toml", text)
    ended = lab.covered([PYTHON, "-m", "shelf", "canvas"])
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (0, "deployed canvas\n", 1), ended.err
    assert "usagetrace.toml" in ended.err


def test_warnings_as_errors_do_not_reach_what_we_load(lab: Lab) -> None:
    """Nothing of ours warns when it is loaded: neither of bytes, nor of files left open, nor of what will change."""
    ended = lab.covered([PYTHON, "-X", "dev", "-W", "error", "-bb", "-m", "shelf", "canvas"])
    assert (ended.code, ended.out, ended.err) == (0, "deployed canvas\n", "")
    assert lab.names() == ["canvas"]


def test_the_first_module_is_written_for_every_python() -> None:
    """It parses as the oldest syntax that this Python still knows, and uses nothing that is not in Python 2.7."""
    source = Path(BOOTSTRAP, "sitecustomize.py").read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 4))
    too_new = (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.AsyncFunctionDef, ast.YieldFrom, ast.NamedExpr)
    assert [node for node in ast.walk(tree) if isinstance(node, too_new)] == []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if f.returns or any(a.annotation for a in f.args.args) or f.args.kwonlyargs] == []
    assert f'"{VARIABLE}"' in source


PROJECTS: dict[str, tuple[str, list[str]]] = {
    "the folder itself": ("import shelf.core", ["canvas"]),
    "a folder of the same project": ("os.chdir('below')", ["canvas"]),
    "another project that gives no code": ("os.chdir('../stranger')", []),
    "another project whose code runs": ("os.chdir('../stranger'); sys.path.insert(0, os.getcwd())", ["canvas"]),
}


@pytest.mark.parametrize("place", PROJECTS)
def test_targets_are_those_of_the_project_where_the_command_was_typed(lab: Lab, tmp_path: Path, place: str) -> None:
    """A project that a program only passes through names no functions, unless the program takes code from it."""
    (lab.folder / "below").mkdir()
    Lab(tmp_path).write("stranger/usagetrace.toml", '[track]\ndeploy = "shelf.core:deploy"\n')
    goes, recorded = PROJECTS[place]
    lab.write(
        "goes.py",
        f"import os, sys\n{goes}\nfrom usagetrace.autoinstrument import launch\n"
        f"launch.begin({str(lab.folder)!r})\nfrom shelf.core import deploy\ndeploy('canvas')\n",
    )
    done = lab.bare([PYTHON, "goes.py"], USAGETRACE_DB_PATH=str(lab.database))
    assert (done.out, done.err) == ("deployed canvas\n", "")
    assert lab.names() == recorded


STARTS = """
    import multiprocessing, os, subprocess, sys
    from shelf.core import deploy

    SHELF = [sys.executable, "-m", "shelf"]
    BELOW = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'shelf', 'grandchild'])"

    def start(method):
        process = multiprocessing.get_context(method).Process(target=deploy, args=(method,))
        process.start()
        process.join()

    if __name__ == "__main__":
        deploy("program")
        sys.stdout.flush()
        subprocess.run([*SHELF, "child"])
        subprocess.run(" ".join([*SHELF, "shell"]), shell=True)
        os.system(" ".join([*SHELF, "system"]))
        subprocess.run([sys.executable, "-c", BELOW])
        for method in ("spawn", "forkserver", "fork"):
            start(method)
        os.execv(sys.executable, [*SHELF, "replaced"])
"""
CHILDREN = ["child", "fork", "forkserver", "grandchild", "program", "replaced", "shell", "spawn", "system"]


@pytest.mark.parametrize("follow", [True, False])
def test_children_are_covered_when_asked(lab: Lab, follow: bool) -> None:
    """With --follow every Python below the program; without, only the program, and what it is copied to by a fork."""
    lab.write("starts.py", STARTS)
    ended = lab.covered([PYTHON, "starts.py"], follow=follow)
    assert (ended.code, sorted(ended.out.split()[1::2]), ended.err) == (0, CHILDREN, "")
    assert lab.names() == (CHILDREN if follow else ["fork", "program"])


def test_followed_children_that_can_not_be_covered_are_silent(lab: Lab, tmp_path: Path) -> None:
    """A child with a Python of its own, or without the environment, writes what it writes without us."""
    python = other_python(tmp_path / "other", with_package=False)
    source = (
        f"import subprocess\nsubprocess.run([{str(python)!r}, '-c', 'print(1)'])\n"
        f"subprocess.run([{PYTHON!r}, '-m', 'shelf', 'child'], env={{}})\n"
    )
    lab.write("starts.py", source)
    ended = lab.covered([PYTHON, "starts.py"], follow=True)
    assert (ended.code, ended.out, ended.err) == (0, "1\ndeployed child\n", "")
    assert lab.names() == []


def test_following_leaves_one_folder_and_one_variable(lab: Lab) -> None:
    """That is what children need; the program's own path is as without us."""

    bare: dict[str, Any] = json.loads(lab.bare([PYTHON, "look.py"]).out.splitlines()[-1])
    seen: dict[str, Any] = json.loads(lab.covered([PYTHON, "look.py"], follow=True).out.splitlines()[-1])
    assert seen["environ"].pop("PYTHONPATH") == BOOTSTRAP
    assert seen["environ"].pop(VARIABLE) == f"followed:{lab.folder}"
    assert seen == bare
