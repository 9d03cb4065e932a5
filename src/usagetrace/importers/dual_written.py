"""Knows an invocation that was written to the legacy file and to the store at once, so that it counts once.

Who writes to both leaves with the event between which two moments the file's tracker took its time. This module owns
how the two are found to be one.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from usagetrace.importers.sqlite_file import looking

# Metadata of an event: the file's time of the same invocation lies between these two, as local times without offset.
FROM: Final = "json_from"
TO: Final = "json_to"
_WRITTEN: Final = (
    "SELECT artifact_name, json_extract(metadata, ?), json_extract(metadata, ?) FROM events "
    "WHERE event_type = 'invoke' AND json_valid(metadata) "
    "AND json_extract(metadata, ?) IS NOT NULL ORDER BY json_extract(metadata, ?), id"
)


class DualWritten:
    """The events of a store that the legacy file has as well. Each is found once.

    Args:
        store_path: The database; None, or one that is not there, has none of them.
    """

    def __init__(self, store_path: str | os.PathLike[str] | None) -> None:
        # Of each skill the moments between which its events were written to the file, until they are matched.
        self._spans: dict[str, list[tuple[str, str]]] = {}
        # How many of the file's invocations of a skill and a time the store has.
        self._there: Counter[tuple[str, str]] = Counter()
        if store_path is None or not os.path.exists(store_path):
            return
        paths = (f"$.{FROM}", f"$.{TO}", f"$.{FROM}", f"$.{FROM}")
        # A store in an older schema has no invocations; what can't be read, the import itself will name.
        with contextlib.suppress(sqlite3.Error, OSError), looking(store_path) as connection:
            for name, *times in connection.execute(_WRITTEN, paths):
                since, until = map(_whole, times)
                if since and until:
                    self._spans.setdefault(name, []).append((since, until))

    @property
    def any(self) -> bool:
        """Whether there are any that :meth:`match` would look for."""
        return bool(self._spans)

    def match(self, invocations: Iterable[tuple[str, str]]) -> None:
        """Find as many of a file's invocations as there are events of, each event once.

        Spans overlap where threads, or processes, began at once, and a file need not be in the order of time. So the
        invocations are taken in that order, and each gets, of the spans that hold it, the one that ends first: nothing
        finds more.

        Args:
            invocations: Skill, redacted, and time of each, as the file has it.
        """
        moments: dict[str, list[tuple[str, str]]] = {}
        for name, invoked_at in invocations:
            when = _whole(invoked_at) if name in self._spans else ""
            if when:
                moments.setdefault(name, []).append((when, invoked_at))
        for name, found in moments.items():
            spans = sorted(self._spans[name], reverse=True)
            open_now: list[tuple[str, str]] = []
            for when, invoked_at in sorted(found):
                while spans and spans[-1][0] <= when:
                    since, until = spans.pop()
                    heapq.heappush(open_now, (until, since))
                while open_now and open_now[0][0] < when:
                    heapq.heappop(open_now)
                if open_now:
                    heapq.heappop(open_now)
                    self._there[name, invoked_at] += 1
        self._spans = {}

    def takes(self, skill_name: str, invoked_at: str) -> bool:
        """Return whether the store has an invocation of the file; its event is not found again.

        Args:
            skill_name: The skill, redacted.
            invoked_at: The invocation's time, as the file has it.
        """
        if not self._there.get((skill_name, invoked_at)):
            return False
        self._there[skill_name, invoked_at] -= 1
        return True


def _whole(text: Any) -> str:
    """Return a time with all its digits, so that times compare as texts; ``""`` for what is none."""
    try:
        return datetime.fromisoformat(text).isoformat(timespec="microseconds")
    except (TypeError, ValueError):
        return ""
