"""The modes that a tracked call may run in."""

from __future__ import annotations

from typing import Final

# Calls that are not driven by a running operation: they are handed through.
NOT_DRIVEN: Final = ("off", "suppressed", "tracer raises")
# In the first a span appears; in none of them may the host notice anything.
MODES: Final = ("on", "unsampled", "redactor raises", "meter raises", *NOT_DRIVEN)
