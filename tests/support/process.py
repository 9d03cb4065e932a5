"""Python programs run as a user runs them: in a process of their own, with a HOME of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Variables of whoever runs the tests that would change what is tested.
_FOREIGN = ("OTEL_", "USAGETRACE_", "DO_NOT_TRACK", "XDG_", "PYTHONPATH", "NO_COLOR")


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str
    seconds: float


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment with another HOME and without what would change the program's telemetry."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


def run(arguments: list[str | Path], home: Path, env: Mapping[str, str] | None = None, *, timeout: float = 60) -> Ended:
    """Run a command in a HOME."""
    home.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [str(argument) for argument in arguments],
        env=clean_environment(home, env),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def run_python(source: str, home: Path, env: Mapping[str, str] | None = None, *, name: str = "tool.py") -> Ended:
    """Write a program into the HOME and run it."""
    home.mkdir(parents=True, exist_ok=True)
    script = home / name
    script.write_text(textwrap.dedent(source), encoding="utf-8")
    return run([sys.executable, script], home, env)


def bin_path(name: str) -> Path:
    """Return the path of a console command beside the running interpreter."""
    return Path(sys.executable).parent / name
