"""The modes that a tracked call may run in."""

from __future__ import annotations

from typing import Final

# Calls that are not driven by a running operation: they are handed through.
NOT_DRIVEN: Final = ("off", "suppressed", "local, suppressed")
# In these no span is made: rows go to the local store.
LOCAL: Final = ("local", "local, redactor raises", "local, spool raises")
# In the first a span appears; in none of them may the host notice anything.
MODES: Final = ("on", "unsampled", "tracer raises", "redactor raises", "meter raises", *LOCAL, *NOT_DRIVEN)
