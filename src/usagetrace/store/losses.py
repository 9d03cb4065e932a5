"""Says once that events were lost, and why. This module owns the words; what is lost is counted elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from usagetrace.guard import warn_once

if TYPE_CHECKING:
    from usagetrace.store.background import Background

_NOWHERE: Final = (
    "%s: neither its spool nor the database could be written in time: check the disk, the permissions, and whether "
    "another program holds a lock"
)


def say_lost(path: str, background: Background | None, what: str, *, at_end: bool = False) -> None:
    """Say that events were lost, unless their cause was told already.

    Args:
        path: The database.
        background: The part that drains, which knows what is wrong; None where there is none.
        what: What was lost, in words.
        at_end: Say it in any case: the process ends.
    """
    if background is not None:
        told, background.told = background.told, True
        if told and not at_end:
            return
    reason = None if background is None else background.reason
    cause = f"{'ended' if at_end else 'lost'}:{path}"
    warn_once(cause, "%s. %s", _NOWHERE % path if reason is None else reason, what)
