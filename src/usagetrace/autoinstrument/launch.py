"""``usagetrace run``: what is executed in a command's place, and what begins inside the Python that it starts.

The command is executed as a shell would, with one folder more on ``PYTHONPATH``, whose ``sitecustomize`` calls
:func:`begin` in the first Python that comes. What follows the command's name is never interpreted here, but to see
whether an interpreter was told to look at no such folder. Which functions are recorded is not known here.
"""

from __future__ import annotations

import errno
import os
import sys

from usagetrace.errors import UsageTraceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

# How it goes on, and after a colon the folder in which the command was typed. "first" ends with the first Python;
# "follow" goes on in its children, where it is "followed". `bootstrap/sitecustomize.py` reads it.
VARIABLE: Final = "USAGETRACE_RUN"
BOOTSTRAP: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")
# What shells end with.
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
_IS_FOLDER: Final = "it is a folder"
# So much of a script is read to learn who runs it: Linux takes 256 bytes.
_HEAD: Final = 512
# Options of env(1) that take what follows them.
_ENV_WITH_VALUE: Final = frozenset(("-u", "--unset", "-C", "--chdir", "-S", "--split-string"))
# Options with which Python passes over PYTHONPATH, or over sitecustomize, and what helps then.
_NO_PATH: Final = "leaves PYTHONPATH out; leave that option out, or begin the program with: import usagetrace.auto"
_ALONE: Final = {"E": _NO_PATH, "I": _NO_PATH, "S": "imports no sitecustomize; leave that option out"}
_CLEARS: Final = "clears the environment"


class CommandError(UsageTraceError):
    """A command that can't be executed.

    Attributes:
        code: What a shell would end with.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Start:
    """What is to be executed.

    Attributes:
        path: The program.
        words: Its arguments, its own name first.
        environ: Its environment.
        remarks: What the user should know before, one line each.
    """

    __slots__ = ("environ", "path", "remarks", "words")

    def __init__(self, path: str, words: Sequence[str], environ: Mapping[str, str], remarks: Sequence[str]) -> None:
        self.path = path
        self.words = list(words)
        self.environ = dict(environ)
        self.remarks = tuple(remarks)


# --- before: in the process of `usagetrace run` ------------------------------------------------------------


def prepare(command: Sequence[str], environ: Mapping[str, str], settings: Mapping[str, str], *, follow: bool) -> Start:
    """Return what is to be executed for a command; where nothing can be recorded, it is the command and nothing else.

    Args:
        command: A program, by name or path, and its arguments. A file of Python code that can't be executed by itself
            is run by this Python.
        environ: The environment.
        settings: What the program's environment says beyond it.
        follow: Whether Python programs that the program starts are covered as well.

    Raises:
        CommandError: There is no such command, or it can't be executed.
    """
    from usagetrace.consent import consent

    path, words = _resolve(command, environ)
    if not consent(environ).allowed:
        return Start(path, words, environ, ())
    reason = _why_out_of_reach(path, words)
    if reason and (not follow or reason.endswith(_CLEARS)):
        return Start(path, words, {**environ, **settings}, [f"nothing is recorded, because {reason}"])
    entries = environ.get("PYTHONPATH", "").split(os.pathsep) if environ.get("PYTHONPATH") else []
    more = {
        "PYTHONPATH": os.pathsep.join([BOOTSTRAP, *(entry for entry in entries if entry != BOOTSTRAP)]),
        VARIABLE: f"{'follow' if follow else 'first'}:{_working_directory()}",
    }
    remarks = [f"only Python programs that it starts are recorded, because {reason}"] if reason else []
    return Start(path, words, {**environ, **settings, **more}, remarks)


def execute(start: Start) -> int:
    """Become the program; where the system can't do that, run it and return its exit code.

    Raises:
        CommandError: The system refuses.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if os.name == "nt":
        return run_as_child(start)
    _restore_signals()
    try:
        os.execve(start.path, start.words, start.environ)  # noqa: S606 -- no shell is wanted: the user typed a command
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            # Text without a first line that names who runs it: a shell does.
            os.execve("/bin/sh", ["sh", start.path, *start.words[1:]], start.environ)  # noqa: S606 -- as above
        raise CommandError(f"{start.path}: {_refusal(error)}", NOT_EXECUTABLE) from error


def run_as_child(start: Start) -> int:
    """Run the program in a process of its own, and return its exit code.

    What the user interrupts is the program: this process waits for how it takes it.

    Raises:
        CommandError: The system refuses.
    """
    import signal
    import subprocess

    # A function, not SIG_IGN: that one the program would inherit.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        code = subprocess.call(start.words, executable=start.path, env=start.environ)  # noqa: S603 -- the user typed it
    except OSError as error:
        raise CommandError(f"{start.path}: {_refusal(error)}", NOT_EXECUTABLE) from error
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _restore_signals() -> None:
    """Take back what Python ignores for its own sake: a program that is executed would inherit it."""
    import signal

    for name in ("SIGPIPE", "SIGXFSZ"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL)


def _refusal(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "it can't be executed: the interpreter that its first line names does not exist"
    return f"it can't be executed: {error.strerror or type(error).__name__}"


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


# --- which program -----------------------------------------------------------------------------------------


def _resolve(command: Sequence[str], environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the path of the program that a command names, and the words to execute it with."""
    name, *arguments = command
    refused = ""
    for path in _candidates(name, environ):
        if not os.path.isfile(path):
            refused = refused or (_IS_FOLDER if os.path.isdir(path) else "")
        elif _is_python_code(path):
            return sys.executable, [sys.executable, path, *arguments]
        elif os.access(path, os.X_OK):
            return path, [name, *arguments]
        else:
            refused = "it is not executable"
    if refused and (refused != _IS_FOLDER or _has_folder(name)):
        raise CommandError(f"{name}: {refused}", NOT_EXECUTABLE)
    raise CommandError(f"{name}: no such command", NOT_FOUND)


def _candidates(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths that a command's name may mean, in order."""
    if _has_folder(name):
        yield name
        return
    folders = os.get_exec_path(dict(environ))
    if os.name == "nt":
        from shutil import which

        found = which(name, path=os.pathsep.join(folders))
        if found is not None:
            yield found
    else:
        yield from (os.path.join(folder, name) for folder in folders)
    if name.endswith((".py", ".pyw")):
        # A shell would want ./ before it; there is nothing else that it can mean.
        yield name


def _has_folder(name: str) -> bool:
    return os.sep in name or (os.altsep is not None and os.altsep in name)


def _is_python_code(path: str) -> bool:
    """Return whether a file is Python code that the system does not execute by itself."""
    if not path.endswith((".py", ".pyw")):
        return False
    return os.name == "nt" or not os.access(path, os.X_OK) or not _head(path).startswith("#!")


# --- whether it can be reached -----------------------------------------------------------------------------


def _why_out_of_reach(path: str, words: Sequence[str]) -> str:
    """Return why nothing of ours will run in a program, as far as its command and its first line tell; else ""."""
    told = {"the command": _unwrapped(words), f"the first line of {path}": _unwrapped(_first_line(path))}
    for where, said in told.items():
        if said is None:
            return f"{where} {_CLEARS}"
        option = _lonely_option(said)
        if option:
            return f"{where} starts Python with -{option}, which {_ALONE[option]}"
    return ""


def _unwrapped(words: Sequence[str]) -> list[str] | None:
    """Return a command without the env(1) that it may be wrapped in; None where that clears the environment."""
    if not words or _name(words[0]) != "env":
        return list(words)
    rest = list(words[1:])
    while rest and (rest[0].startswith("-") or "=" in rest[0]):
        option = rest.pop(0)
        if option in ("-", "-i", "--ignore-environment"):
            return None
        if option in ("-S", "--split-string") and rest:
            rest[:1] = rest[0].split()
        elif option.startswith("-S"):
            rest.insert(0, option[2:])
        elif option in _ENV_WITH_VALUE and rest:
            rest.pop(0)
    return rest


def _lonely_option(words: Sequence[str]) -> str:
    """Return the letter of the option that keeps a Python from seeing the folder; "" where there is none."""
    if not words or not _name(words[0]).startswith(("python", "pypy")):
        return ""
    given = iter(words[1:])
    for word in given:
        if not word.startswith("-") or word in ("-", "--"):
            return ""
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(given, "")
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in _ALONE:
                return letter
            if letter in "cm":
                return ""
            if letter in "WX":
                if place == len(word):
                    next(given, "")
                break
    return ""


def _first_line(path: str) -> list[str]:
    """Return the command that a script's first line names; nothing for any other program."""
    first, _, rest = _head(path).partition("\n")
    if not first.startswith("#!"):
        return []
    second = rest.partition("\n")[0]
    if second.startswith("'''exec' "):
        # How installers write a path that is too long for a first line, or has a blank in it: as a shell's command.
        import shlex

        try:
            return shlex.split(second[len("'''exec' ") :])
        except ValueError:
            return []
    return first[2:].split()


def _head(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        # It may be executable, and not readable.
        return ""


def _name(path: str) -> str:
    return os.path.basename(path)


# --- after: in the program's own process -------------------------------------------------------------------


def begin(started_in: str) -> None:
    """Put the targets in force in this process, as the first thing that runs in it. Never raises.

    Args:
        started_in: The folder in which the command was typed. Its project's targets count wherever the program goes to
            work; those of another project only if the program takes code from there.
    """
    from usagetrace.autoinstrument import active
    from usagetrace.guard import guard

    with guard:
        active.begin(trust_project=_is_same_project(started_in))


def _is_same_project(started_in: str) -> bool:
    here = _working_directory()
    if here == started_in:
        return True
    from usagetrace import places
    from usagetrace.setting_files import find_project_file

    home = places.home_text(os.environ)
    found = find_project_file(here or os.sep, home)
    return found is None or (started_in != "" and found == find_project_file(started_in, home))
