"""The first thing that a Python program runs under ``usagetrace run``: it puts targets in force, and is gone.

Python imports a module of this name when it starts. The folder of this one stands first on ``PYTHONPATH``; it takes
itself out again, lets the ``sitecustomize`` run that it stands before, and begins. What the program finds afterwards is
what it would find without us, but for the modules of ``usagetrace``.

Any Python may meet this file, also one that is too old for the package, so it is written for all of them since 2.7. It
knows nothing of targets.
"""

import os
import sys

# usagetrace.autoinstrument.launch says what it holds.
_VARIABLE = "USAGETRACE_RUN"
# Kept: old versions of Python empty a module that nothing holds any more.
_this = sys.modules.pop(__name__)


def _take_out():
    # type: () -> tuple[bool, str]
    """Leave no trace of this folder but what children need; return whether to speak up, and the folder of the start."""
    folder = os.path.dirname(os.path.abspath(__file__))
    how, _, started_in = os.environ.pop(_VARIABLE, "").partition(":")
    if how in ("follow", "followed"):
        os.environ[_VARIABLE] = "followed:" + started_in
    else:
        rest = [entry for entry in os.environ.pop("PYTHONPATH", folder).split(os.pathsep) if entry != folder]
        if rest:
            os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    sys.path_importer_cache.pop(folder, None)
    return how != "followed", started_in


def _begin(speaks_up, started_in):
    # type: (bool, str) -> None
    """Put the targets in force. Where that can't be done, one line says so, unless it is somebody's child."""
    try:
        from usagetrace.autoinstrument import launch

        launch.begin(started_in)
    except Exception as error:  # noqa: BLE001 -- the program's start must not fail for our sake
        if speaks_up and sys.stderr is not None:
            fault = "it has no usagetrace"
            if not isinstance(error, ImportError) or getattr(error, "name", "usagetrace") != "usagetrace":
                fault = "its usagetrace does not work (" + type(error).__name__ + ")"
            advice = "To install it: " + sys.executable + " -m pip install usagetrace"
            sys.stderr.write(
                "usagetrace: nothing is recorded of what " + sys.executable + " runs: " + fault + ". " + advice + "\n"
            )


_told = _take_out()
try:
    # Of everybody else, or nobody: its errors, also that there is none, are for Python to deal with.
    __import__("sitecustomize")
finally:
    _begin(*_told)
