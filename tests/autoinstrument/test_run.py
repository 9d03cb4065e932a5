"""``usagetrace run``: every way to start Python is covered, and the program does what it does without us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.autoinstrument.run_kit import MAIN, Lab, make_lab, other_python

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs are scripts with a first line here")
PYTHON = sys.executable


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The package ``shelf`` in a folder of its own, some ways to start it, and their folder on PATH."""
    made = make_lab(tmp_path / "lab")
    monkeypatch.chdir(made.folder)
    main = "import sys\nsys.path.insert(0, '.')\nfrom shelf.__main__ import main\n"
    made.write("tool.py", f"{main}main()\n")
    made.script("bin/shelf", f"{main}sys.exit(main())\n")
    made.script("started.sh", f"{PYTHON} -m shelf $*\n", "/bin/sh")
    made.write("nothing.sh", f"{PYTHON} -m shelf $*\n", mode=0o755)
    made.script("twice.sh", f"{PYTHON} -m shelf one; {PYTHON} tool.py two\n", "/bin/sh")
    made.variables["PATH"] = os.pathsep.join([str(made.folder / "bin"), os.environ["PATH"]])
    return made


# How it is started, and what it is called then.
WAYS = {
    "python and a script": ([PYTHON, "tool.py"], "tool"),
    "python and options": ([PYTHON, "-B", "-W", "ignore", "-Xdev", "tool.py"], "tool"),
    "python -m package": ([PYTHON, "-m", "shelf"], "shelf"),
    "a file of Python code": (["tool.py"], "tool"),
    "a console script by its name": (["shelf"], "shelf"),
    "a console script by its path": (["bin/shelf"], "shelf"),
    "a shell script": (["./started.sh"], "shelf"),
    "a shell script without a first line": (["./nothing.sh"], "shelf"),
    "env": (["env", "A=1", PYTHON, "tool.py"], "tool"),
    "nice": (["nice", PYTHON, "tool.py"], "tool"),
    "a shell": (["sh", "-c", f"cd . && exec {PYTHON} tool.py $0"], "tool"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_start_python_is_covered(lab: Lab, way: str) -> None:
    """The program's functions are recorded under the program's name, and it prints what it prints without us."""
    command, service = WAYS[way]
    # What a shell does with a script without a first line, the system alone does not.
    run = lab.covered if "without" not in way else lambda words: lab.typed("--", *words)
    ended = run([*command, "canvas"])
    assert (ended.code, ended.out, ended.err) == (0, "deployed canvas\n", "")
    assert lab.rows("event_type, artifact_name, service_name") == [("deploy", "canvas", service)]


ENDS = {
    "success": "pass",
    "failure": "raise LookupError('nothing there')",
    "exit with a number": "sys.exit(3)",
    "at once": "sys.stdout.flush(); os._exit(4)",
    "terminated": "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted": "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "a command that is missing": "import subprocess; subprocess.run(['./missing'])",
    "an import that fails": "import shelf.missing",
    "a warning": "import warnings; warnings.warn('old')",
}


@pytest.mark.parametrize("end", ENDS)
def test_output_and_end_are_those_of_the_bare_program(lab: Lab, end: str) -> None:
    """Standard output, standard error with its tracebacks, and exit code or signal are equal."""
    lab.write(
        "ends.py",
        "import os, signal, sys, time\nfrom shelf.core import deploy\ndeploy('canvas')\n"
        # Whoever runs the tests may have been told to ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"print('on', file=sys.stderr)\ndef end():\n    {ENDS[end]}\nend()\n",
    )
    bare, covered = lab.bare([PYTHON, "ends.py"]), lab.covered([PYTHON, "ends.py"])
    assert covered == bare
    assert covered.out == "deployed canvas\n"
    assert lab.names() == ["canvas"]


FAILING = """
    import asyncio, traceback

    def deploy(name):
        raise LookupError(name)

    async def update(name):
        await asyncio.sleep(0)
        deploy(name)

    class Shelf:
        @classmethod
        def remove(cls, name):
            try:
                deploy(name)
            except LookupError as error:
                raise ValueError(name) from error

    for call in (lambda: asyncio.run(update("a")), lambda: Shelf.remove("b"), lambda: deploy()):
        try:
            call()
        except Exception:
            traceback.print_exc()
    deploy("c")
"""


def test_a_tracked_function_that_raises_raises_the_same(lab: Lab) -> None:
    """From Python 3.11 on with the very same traceback; before, ours are further frames among the program's own."""
    lab.write("fails.py", FAILING)
    lab.write(
        "usagetrace.toml", '[track]\ndeploy = "fails:deploy"\nupdate = "fails:update"\nremove = "fails:Shelf.remove"\n'
    )
    bare, covered = lab.bare([PYTHON, "fails.py"]), lab.covered([PYTHON, "fails.py"])
    own = re.compile(r'File ".*fails\.py", line \d+, in .*|^\w+Error: .*', re.MULTILINE)
    assert (covered.code, covered.out, own.findall(covered.err)) == (bare.code, bare.out, own.findall(bare.err))
    assert sys.version_info < (3, 11) or covered.err == bare.err
    assert {row[0] for row in lab.rows("event_type, status")} == {"deploy", "remove", "update"}


MAINS = {
    "a script": (["own.py"], "own:deploy"),
    "a package": (["-m", "own_package"], "own_package.__main__:deploy"),
    "a module": (["-m", "own_package.own"], "own_package.own:deploy"),
    "options that stand together": (["-Bm", "own_package"], "own_package.__main__:deploy"),
    "an option with a value among them": (["-bW", "ignore", "-m", "own_package.own"], "own_package.own:deploy"),
    "a command": (["-c", "def deploy(name): print('deployed', name)\ndeploy('canvas')"], "__main__:deploy"),
    "standard input": (["-"], "__main__:deploy"),
    "a folder": (["own_package"], "__main__:deploy"),
    "a zip": (["own.zip"], "__main__:deploy"),
}


@pytest.mark.parametrize("kind", MAINS)
def test_functions_of_the_main_module_are_recorded(lab: Lab, kind: str) -> None:
    """A function that the program's own first module defines and calls is found, however it was named."""
    source = "def deploy(name):\n    print('deployed', name)\n\nif __name__ == '__main__':\n    deploy('canvas')\n"
    for name in ("own.py", "own_package/__main__.py", "own_package/own.py"):
        lab.write(name, source)
    lab.write("own_package/__init__.py", "")
    with zipfile.ZipFile(lab.folder / "own.zip", "w") as archive:
        archive.writestr("__main__.py", source)
    arguments, function = MAINS[kind]
    ended = lab.covered([PYTHON, *arguments], stdin=source, USAGETRACE_TARGETS=f"deploy={function}")
    assert (ended.code, ended.out, ended.err) == (0, "deployed canvas\n", "")
    assert lab.rows() == [("deploy", "canvas")]


def test_a_package_and_its_main_module_are_told_apart(lab: Lab) -> None:
    """Under ``python -m package`` a function of the package that its ``__main__`` imports is one target, not two."""
    lab.write("rack/__init__.py", "def deploy(name):\n    print('deployed', name)\n")
    lab.write("rack/__main__.py", "from rack import deploy\ndeploy('canvas')\n")
    ended = lab.covered([PYTHON, "-m", "rack"], USAGETRACE_TARGETS="deploy=rack:deploy")
    assert (ended.code, ended.out, ended.err) == (0, "deployed canvas\n", "")
    assert lab.rows() == [("deploy", "canvas")]


def test_each_first_python_of_a_chain_is_covered(lab: Lab) -> None:
    """A shell that starts two programs has two first ones; what a covered program starts is not covered."""
    lab.write("starts.py", f"import subprocess\nsubprocess.run([{PYTHON!r}, '-m', 'shelf', 'three'])\n")
    lab.covered(["./twice.sh"])
    assert lab.names() == ["one", "two"]
    assert lab.covered([PYTHON, "starts.py"]).out == "deployed three\n"
    assert lab.names() == ["one", "two"]


def test_a_script_of_another_environment_is_covered(lab: Lab, tmp_path: Path) -> None:
    """What counts is that the script's own Python has this package, not which one the command is typed in."""
    python = other_python(tmp_path / "other", with_package=True)
    script = lab.script(
        "elsewhere", "import sys\nsys.path.insert(0, '.')\n" + MAIN.replace("\n    ", "\n"), str(python)
    )
    ended = lab.covered([script, "canvas"])
    assert (ended.code, ended.out, ended.err) == (0, "deployed canvas\n", "")
    assert lab.names() == ["canvas"]


# --- the command itself ------------------------------------------------------------------------------------


def test_the_command_becomes_the_program(lab: Lab) -> None:
    """The program has the process of the command, gets its signals, and those that Python ignores are back."""
    lab.write("waits.py", "import os, sys, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    words = [PYTHON, "-m", "usagetrace", "run", "--", PYTHON, "waits.py"]
    with subprocess.Popen(words, cwd=lab.folder, env=lab.environ(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    assert (int(said), process.returncode) == (process.pid, -signal.SIGTERM)
    assert lab.typed("--", "sh", "-c", "kill -PIPE $$").code == -signal.SIGPIPE


def test_options_are_for_the_program_alone(lab: Lab) -> None:
    """--config and --service hold in the program; what follows its name is its own, also what looks like an option."""
    lab.write("elsewhere/usagetrace.toml", '[track]\nupdate = "shelf.core:deploy"\n')
    ended = lab.typed("--config", "elsewhere/usagetrace.toml", "--service", "rack", PYTHON, "-m", "shelf", "--help")
    assert (ended.code, ended.out, ended.err) == (0, "deployed --help\n", "")
    assert lab.rows("event_type, artifact_name, service_name") == [("update", "--help", "rack")]


@pytest.mark.parametrize("no", ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED"])
def test_while_recording_is_off_the_command_is_executed_untouched(lab: Lab, no: str) -> None:
    """Its environment is the one that was there, and its words are those that were typed."""
    lab.variables[no] = "1"
    start = lab.start([PYTHON, "-I", "tool.py"])
    assert (start.words, start.environ, start.remarks) == ([PYTHON, "-I", "tool.py"], lab.environ(), ())
    assert no != "DO_NOT_TRACK" or lab.covered(["tool.py", "canvas"]).out == "deployed canvas\n"
    assert lab.rows() == []
