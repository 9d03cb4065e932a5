"""Instrument a program by its configuration alone, as the first line of the program itself::

    import usagetrace.auto

From here on each function that a target names is tracked as soon as its module is imported. Targets come from
``USAGETRACE_TARGETS``, the settings files, and packages that ship their own (see
:mod:`usagetrace.autoinstrument.sources`). A file that merely lies in the working directory counts only where the
program takes code from that directory or from below it: whoever wrote it is trusted by then.

Where the user said no to telemetry, nothing is read and nothing is watched.
"""

from __future__ import annotations

from usagetrace.autoinstrument import active

active.begin(trust_project=False)
