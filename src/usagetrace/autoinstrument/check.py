"""Whether targets fit the program: each target's module is imported in a process of its own, and all faults are told.

At run time a target that does not fit is left out with one warning, when its module is imported. This is for its
author, before that. A module that exits, prints, hangs or brings the interpreter down when it is imported harms nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from usagetrace.autoinstrument.target import Target

FAULT: Final = "fault"
WARNING: Final = "warning"
# Modules that are imported at the same time.
_AT_ONCE: Final = 4
# Written out, since -m and a script's path put folders of ours or of the caller first on sys.path.
_CHILD: Final = (
    "import sys; sys.path[:1] = [path for path in sys.path[:1] if path]; "
    "from usagetrace.autoinstrument.verify import main; main(*sys.argv[1:])"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, or looks wrong, with a target.

    Attributes:
        severity: ``fault``: the target is not applied, or would not do what it says; or ``warning``.
        where: File and key of the target; empty where the message says it.
        function: What it names; empty where it names nothing.
        message: What is wrong, in one sentence.
    """

    severity: str
    where: str
    function: str
    message: str


def check(
    targets: Sequence[Target],
    faults: Iterable[str] = (),
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> list[Finding]:
    """Import what targets name, and return everything that is wrong with them.

    Args:
        targets: Of each function one.
        faults: What was wrong with other ones already: sentences with their place.
        cwd: Where modules are found that are not installed; the working directory by default.
        env: Environment of the imports; that of this process by default. Nothing is recorded in them.
        timeout_s: Seconds that one module's import may take.
    """
    findings = [Finding(FAULT, "", "", fault) for fault in faults]
    by_module: dict[str, list[Target]] = {}
    for target in targets:
        by_module.setdefault(target.module, []).append(target)
    # Imported here: the command line loads this module whatever its command is.
    from concurrent.futures import ThreadPoolExecutor

    environ = {**(os.environ if env is None else env), "USAGETRACE_DISABLED": "1", "PYTHONUTF8": "1"}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda group: _ask(group, cwd, environ, timeout_s), by_module.values())
        said = dict(zip(by_module, answers, strict=True))
    first: dict[str, Target] = {}
    for module, group in by_module.items():
        for target, (about, function) in zip(group, said[module], strict=True):
            findings += [Finding(severity, target.where, target.function, text) for severity, text in about]
            other = first.setdefault(function, target) if function else target
            if other is not target:
                text = f"two targets on one function, {function}; the other one is {other.where}"
                findings.append(Finding(FAULT, target.where, target.function, text))
    return findings


# What is said of a target, by severity; and which function it is.
_Answer = tuple[list[tuple[str, str]], str | None]


def _ask(targets: list[Target], cwd: str | None, env: Mapping[str, str], timeout_s: float) -> list[_Answer]:
    """Verify the targets of one module in a process of its own."""
    module = targets[0].module
    if module.rpartition(".")[2] == "__main__":
        return [([(WARNING, "not checked: importing its module would run the program")], None) for _ in targets]
    with tempfile.TemporaryDirectory(prefix="usagetrace-") as folder:
        request, answer = os.path.join(folder, "request"), os.path.join(folder, "answer")
        with open(request, "wb") as file:
            pickle.dump(targets, file)
        ended = _run([sys.executable, "-c", _CHILD, request, answer], cwd, env, timeout_s)
        told = _read(answer)
    if told is None or len(told["said"]) != len(targets):
        return [([(FAULT, ended)], None) for _ in targets]
    return [([(s, t) for s, t in about], name) for about, name in zip(told["said"], told["functions"], strict=True)]


def _run(command: list[str], cwd: str | None, env: Mapping[str, str], timeout_s: float) -> str:
    """Run a process without input and output; return how it ended, for where it left no answer."""
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603 -- the interpreter that runs this, with a program of ours
        command, cwd=cwd, env=dict(env), stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    ) as process:
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return f"its module was not imported within {timeout_s:g} s"
        finally:
            # Also what it may have started.
            _kill(process)
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"its module ended the process {how} when it was imported"


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()


def _read(answer: str) -> Any:
    try:
        with open(answer, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None
