"""What ``usagetrace run`` makes of a command: which program it is, what it is told, and whether it can be reached."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
from click.testing import CliRunner, Result

from tests.autoinstrument.run_kit import Lab, make_lab
from usagetrace.autoinstrument import launch
from usagetrace.autoinstrument.launch import BOOTSTRAP, VARIABLE, CommandError, Start
from usagetrace.cli.app import app
from usagetrace.cli.context import Cli

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs are files with a mode here")
PYTHON = sys.executable


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A folder that is home, working directory and PATH."""
    made = make_lab(tmp_path / "lab")
    monkeypatch.chdir(made.folder)
    made.variables["PATH"] = os.pathsep.join([str(made.folder / "bin"), "/usr/bin", "/bin"])
    return made


def prepare(lab: Lab, *command: str, **more: str) -> Start:
    """Return what is executed for a command, without options."""
    return launch.prepare(command, lab.environ(**more), {}, follow=False)


# --- which program -----------------------------------------------------------------------------------------


def test_a_program_is_found_as_a_shell_finds_it(lab: Lab) -> None:
    """By its path as it is; by its name along PATH, the first that can be executed; arguments stay as they are."""
    lab.script("bin/tool", "")
    lab.script("here", "")
    assert (prepare(lab, "tool", "--", "-x").path, prepare(lab, "tool", "--", "-x").words) == (
        str(lab.folder / "bin/tool"),
        ["tool", "--", "-x"],
    )
    assert (prepare(lab, "./here").path, prepare(lab, "./here").words) == ("./here", ["./here"])
    with pytest.raises(CommandError) as missing:
        prepare(lab, "here")
    assert missing.value.code == launch.NOT_FOUND


def test_a_name_passes_over_what_is_not_executable(lab: Lab) -> None:
    """As a shell does: a later folder of PATH may have the program."""
    lab.write("bin/env", "")
    assert prepare(lab, "env").path == "/usr/bin/env"


@pytest.mark.parametrize("name", ["tool.py", "./tool.py", "sub/tool.pyw"])
def test_a_file_of_python_code_is_run_by_this_python(lab: Lab, name: str) -> None:
    """Where it can't be executed by itself, whether it has a first line or not."""
    lab.write("tool.py", "")
    lab.write("sub/tool.pyw", "#!/usr/bin/env python3\n")
    assert prepare(lab, name, "-x").words == [PYTHON, name, "-x"]


def test_python_code_that_is_executable_is_executed(lab: Lab) -> None:
    """Its first line says by whom; without one, a shell would take it for a text of its own."""
    lab.script("bin/tool.py", "")
    lab.write("bare.py", "", mode=0o755)
    assert prepare(lab, "tool.py").path == str(lab.folder / "bin/tool.py")
    assert prepare(lab, "./bare.py").words == [PYTHON, "./bare.py"]


REFUSED = {
    "nosuch": (127, "nosuch: no such command"),
    "./nosuch": (127, "./nosuch: no such command"),
    "nosuch.py": (127, "nosuch.py: no such command"),
    "shelf": (127, "shelf: no such command"),
    "./shelf": (126, "./shelf: it is a folder"),
    "./plain": (126, "./plain: it is not executable"),
    "noted": (126, "noted: it is not executable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_executed_ends_as_in_a_shell(lab: Lab, name: str) -> None:
    """127 where there is no such command, 126 where there is one; one line says which."""
    lab.write("plain", "")
    lab.write("bin/noted", "")
    code, message = REFUSED[name]
    ended = typed(lab, ["run", "--", name, "x"], code)
    assert (ended.stdout, ended.stderr) == ("", f"usagetrace: {message}\n")


def test_a_script_without_its_interpreter_ends_as_in_a_shell(lab: Lab) -> None:
    """Only the system knows that it can't be executed."""
    lab.script("orphan", "", interpreter="/nowhere/python")
    ended = lab.typed("./orphan")
    assert (ended.code, ended.out) == (126, "")
    assert ended.err == (
        "usagetrace: ./orphan: it can't be executed: the interpreter that its first line names does not exist\n"
    )


def test_where_no_process_can_be_replaced_it_is_a_child(lab: Lab) -> None:
    """As on Windows: the exit code is the program's."""
    start = lab.start([PYTHON, "-c", "import sys; sys.exit(7)"])
    assert launch.run_as_child(start) == 7
    assert launch.run_as_child(lab.start(["sh", "-c", "kill -9 $$"])) == 128 + 9
    start.path = "./nosuch"
    with pytest.raises(CommandError, match="can't be executed"):
        launch.run_as_child(start)


# --- what it is told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("before", ["", "a", "a::b", ":"])
def test_the_environment_gets_one_folder_and_one_variable(lab: Lab, before: str, follow: bool) -> None:
    """Ahead of what PYTHONPATH names, and once, also in a run inside a run."""
    start = launch.prepare(["env"], lab.environ(PYTHONPATH=before), {"A": "1"}, follow=follow)
    expected = f"{BOOTSTRAP}{os.pathsep}{before}" if before else BOOTSTRAP
    assert start.environ == {
        **lab.environ(),
        "A": "1",
        "PYTHONPATH": expected,
        VARIABLE: f"{'follow' if follow else 'first'}:{lab.folder}",
    }
    again = launch.prepare(["env"], start.environ, {}, follow=follow)
    assert again.environ == start.environ


# --- whether it can be reached -----------------------------------------------------------------------------

ALONE = {
    "python -I tool.py": "-I",
    "python3 -sE tool.py": "-E",
    "python3.11 -BS -c pass": "-S",
    "pypy3 -W ignore -Xdev -I tool.py": "-I",
    "env -u A B=1 python -E tool.py": "-E",
    "env -S python\\ -I tool.py": "-I",
    "env -Spython -I tool.py": "-I",
    "env -i python tool.py": "clears",
    "env - A=1 python tool.py": "clears",
    "python --check-hash-based-pycs always -I -m tool": "-I",
}
REACHED = [
    "python tool.py -I", "python -m tool -E", "python -c pass -S", "python -WIgnore tool.py", "python -X I tool.py",
    "python -B -s -u tool.py", "python - -I", "python", "python -- tool.py", "env python tool.py", "env A=-I tool",
    "tool -I", "sh -E", "env", "env -u python", "python --version",
]  # fmt: skip


@pytest.mark.parametrize("words", [*ALONE, *REACHED])
def test_an_interpreter_that_looks_away_is_told_of(lab: Lab, words: str) -> None:
    """By the options before its program, on the command line and in a script's first line, also a long one's."""
    command = [word.replace("\0", " ") for word in words.replace("\\ ", "\0").split()]
    for name in ("python", "python3", "python3.11", "pypy3", "tool"):
        lab.script(f"bin/{name}", "", "/bin/sh")
    lab.variables["PATH"] = os.pathsep.join([str(lab.folder / "bin"), "/usr/bin", "/bin"])
    expected = ALONE.get(words, "")
    (remark,) = prepare(lab, *command).remarks or ("",)
    assert (expected in remark, bool(remark)) == (True, bool(expected))
    assert not remark or remark.startswith("nothing is recorded, because the command ")


@pytest.mark.parametrize("option", ["-I", "-S"])
@pytest.mark.parametrize("follow", [True, False])
def test_a_python_that_looks_away_finds_no_folder_of_ours_unless_its_children_are_asked_for(
    lab: Lab, option: str, follow: bool
) -> None:
    """What is told is what happens: nothing is recorded, or, with --follow, only what the program starts."""
    lab.write(
        "starts.py",
        "import os, subprocess, sys\n"
        "sys.path.insert(0, os.getcwd())\n"
        "from shelf.core import deploy\n"
        "deploy('program')\n"
        "sys.stdout.flush()\n"
        "subprocess.run([sys.executable, '-m', 'shelf', 'child'])\n",
    )
    command = [PYTHON, option, "starts.py"]
    remarks = lab.start(command, follow=follow).remarks
    ended = lab.covered(command, follow=follow)
    assert (ended.code, ended.out, ended.err) == (0, "deployed program\ndeployed child\n", "")
    (remark,) = remarks
    said = "only Python programs that it starts are recorded" if follow else "nothing is recorded"
    assert remark.startswith(f"{said}, because the command starts Python with {option}, which ")
    assert lab.names() == (["child"] if follow else [])
    assert (lab.start(command, follow=follow).environ.get("PYTHONPATH") == BOOTSTRAP) is follow


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("#!/usr/bin/python3 -sP", False),
        ("#!/usr/bin/python3 -I", True),
        ("#! /usr/bin/env -S python3 -E", True),
        ("#!/bin/sh\n'''exec' \"/a long/python\" -I \"$0\" \"$@\"\n' '''", True),
        ("#!/bin/sh\n'''exec' /opt/python \"$0\" \"$@\"\n' '''", False),
        ("#!/bin/sh\n'''exec' \"unclosed -I", False),
        ("#!/bin/sh -E", False),
        ("\x7fELF -I", False),
    ],
)
def test_a_scripts_first_line_is_read(lab: Lab, first: str, told: bool) -> None:
    """What installers write there, and what people do."""
    lab.write("script", f"{first}\n", mode=0o755)
    assert bool(prepare(lab, "./script").remarks) == told


# --- the command line --------------------------------------------------------------------------------------


def typed(lab: Lab, words: list[str], code: int) -> Result:
    """Run the command line in this process: it is never to come to the execution."""
    cli = Cli(environ=lab.environ(), cwd=lab.folder)
    ended = CliRunner().invoke(app, words, prog_name="usagetrace", obj=cli)
    assert ended.exit_code == code, ended.output
    return ended


WRONG = {
    "run": "expected a command",
    "run --": "expected a command",
    "run --follow": "expected a command",
    "run --nosuch tool": "No such option",
    "run --confg tool": "Did you mean '--config'?",
    "run -m tool": "No such option '-m'. Expected a command, as in: usagetrace run -- python -m tool",
    "run --config missing.toml tool": "missing.toml",
    "run --config shelf tool": "is a directory",
    "run --service= tool": "--service: expected a name",
    "--db a --service b run tool": "give one of them",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_usage_is_said_and_nothing_is_executed(lab: Lab, line: str) -> None:
    """Exit code 2, and what was expected, on standard error."""
    ended = typed(lab, line.split(), 2)
    assert ended.stdout == ""
    assert WRONG[line] in ended.stderr


def test_the_remark_is_one_line_before_the_program(lab: Lab) -> None:
    """On standard error; the program runs all the same."""
    ended = lab.typed("--", PYTHON, "-I", "-c", "print('on')")
    assert (ended.code, ended.out) == (0, "on\n")
    assert ended.err == (
        "usagetrace: nothing is recorded, because the command starts Python with -I, which leaves PYTHONPATH out; "
        "leave that option out, or begin the program with: import usagetrace.auto\n"
    )
