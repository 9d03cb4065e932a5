"""What a drain tells of itself. This module owns the numbers' names and meanings alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a drain did.

    Attributes:
        events: Events added to the store.
        records: Records that they came in.
        gaps: Records that were missing, by their numbers; damaged ones are among them.
        damaged: Stretches of bytes that held no sound record, and records that the store can't hold.
        lost: Events that writers say they could not keep: a full disk, or a spool that grew too large.
        segments_finished: Segments that were read to their end and removed.
        complete: Whether everything that was there when the drain began is in the store now. False where another
            process drains, or where the time was over.
        abandoned: Operations of processes that are gone which never said that they ended, added as events; they are
            not among ``events``.
        counted: Events that sampling took away: in the summary and the rollups, and not among ``events``.
    """

    events: int = 0
    records: int = 0
    gaps: int = 0
    damaged: int = 0
    lost: int = 0
    segments_finished: int = 0
    complete: bool = True
    abandoned: int = 0
    counted: int = 0
