"""Version 4 of the schema: operations that have begun and have not said that they ended.

This module owns SQL text alone, as :mod:`usagetrace.store.schema` does.
"""

from __future__ import annotations

from typing import Final

# Columns that version 4 adds.
V4_COLUMNS: Final[dict[str, tuple[str, ...]]] = {"spool_starts": ("trace_id", "span_id", "segment", "event")}

# The way back leaves it, as it leaves the positions: what has begun can still end, or be abandoned.
UP: Final = (
    """
CREATE TABLE IF NOT EXISTS spool_starts (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    segment TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID""",
)
