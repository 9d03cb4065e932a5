"""The spool: events on disk before anything else happens to them, in append-only files, one a process.

What a call recorded survives the end of its process here until somebody moves it into a store. This package knows
no database and no OpenTelemetry; who drains it, and where to, is decided elsewhere.
"""

from __future__ import annotations

from usagetrace.spool.reader import Record, read_segment, segments
from usagetrace.spool.writer import Spool

__all__ = ["Record", "Spool", "read_segment", "segments"]
