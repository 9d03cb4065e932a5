"""The command line. Its libraries, click and Rich, are imported here and below alone, and only by :func:`main`."""

from __future__ import annotations

import io
import sys

_INSTALL = "pip install 'usagetrace[cli]'"


def main() -> int:
    """Run the command line on ``sys.argv``.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage.
    """
    try:
        import click  # noqa: F401 -- looked for here, so that its absence is told apart from a fault of ours
        import rich  # noqa: F401 -- as above
    except ModuleNotFoundError as error:
        print(f"usagetrace: the command line needs {error.name}, which is not installed: {_INSTALL}", file=sys.stderr)
        return 1
    from usagetrace.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding lacks becomes an escape, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    return app.run(sys.argv[1:])
