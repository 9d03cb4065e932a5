"""The spool: events on disk before anything else happens to them, in append-only files, one a process.

What a call recorded survives the end of its process here until somebody moves it into a store. This package knows
no database and no OpenTelemetry; who drains it, and where to, is decided elsewhere.
"""

from __future__ import annotations

from usagetrace.spool.layout import segments
from usagetrace.spool.writer import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.spool.reader import Record, read_segment

__all__ = ["Record", "Spool", "read_segment", "segments"]


def __getattr__(name: str) -> Any:
    # A command that only appends does not load the reader.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from usagetrace.spool import reader

    return getattr(reader, name)
