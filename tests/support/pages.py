"""Pages of the documentation, followed word for word in a shell, in a home of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.otelcol import ENVIRONMENT, ROOT

HOW_TOS = ROOT / "docs" / "how-to"
# What the page's last command has ended is gone by then.
_END_S = 30.0


def commands(text: str) -> str:
    """Return the commands of a page's console blocks as a shell's script."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return "".join(re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks)


class Shell:
    """Runs scripts, each in a process group of its own.

    Args:
        home: The HOME of what they start, and where their log goes.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._groups: list[int] = []

    def run(self, script: str, seconds: float, more: Mapping[str, str] | None = None) -> str:
        """Run a script to its end, and return what it said.

        Args:
            script: The shell's commands; the first one that fails ends it, and fails the test.
            seconds: How long it may take.
            more: Further variables of the environment.
        """
        own = {
            key: value for key, value in ENVIRONMENT.items() if not key.startswith(("USAGETRACE_", "OTEL_", "DO_NOT_"))
        }
        log = self._home / "shell.log"
        with log.open("wb") as out:
            shell = subprocess.Popen(
                ["bash", "-eu", "-c", script],
                cwd=ROOT,
                env={**own, "HOME": str(self._home), "TMPDIR": str(self._home), **(more or {})},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(shell.pid)
            code = shell.wait(timeout=seconds)
        told = log.read_text(encoding="utf-8", errors="replace")
        assert code == 0, told[-6000:]
        return told

    def assert_all_ended(self) -> None:
        """Wait until everything that the scripts started has ended."""
        end = time.monotonic() + _END_S
        while any(map(_lives, self._groups)):
            assert time.monotonic() < end, "what the page starts still runs after its last command"
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill what is left."""
        for leader in filter(_lives, self._groups):
            os.killpg(leader, signal.SIGKILL)


def _lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def shell(home: Path) -> Iterator[Shell]:
    """Give a shell; at the end nothing of what it started may run, and whatever becomes of the test, nothing does."""
    made = Shell(home)
    try:
        yield made
        made.assert_all_ended()
    finally:
        made.kill()
