"""Run papis with its functions wrapped: ``python run.py ARGUMENTS`` is ``papis ARGUMENTS``."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Any

import instrument


def main() -> Any:
    """Run the program's own console script and return what it returns: an exit code or nothing."""
    instrument.install()
    (script,) = entry_points(group="console_scripts", name="papis")
    sys.argv[0] = "papis"
    return script.load()()


if __name__ == "__main__":
    sys.exit(main())
