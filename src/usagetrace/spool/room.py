"""Keeps the segments of a directory within their space: the oldest that no process appends to go.

This module owns what they take, what is dropped and how it is counted, and the word beside them. It knows no writer;
only a segment whose lock can be had is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from usagetrace.spool.layout import KEEPING, segments
from usagetrace.spool.locks import LockedFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# A file takes at least that much of a disk, in bytes.
BLOCK: Final = 4096


def drop_oldest(directory: str, wanted: int, max_total: int) -> tuple[int, int, int]:
    """Drop the oldest segments that nobody appends to or drains, until there is room.

    Args:
        directory: Where the segments lie.
        wanted: Bytes that are to fit beside what is left.
        max_total: Bytes that all may take on the disk.

    Returns:
        Bytes by which it is still too much, or a number up to 0; how many events were in what was dropped, those
        that had been drained already included; how many losses it told of.

    Raises:
        OSError: The directory can't be read.
    """
    sizes = dict(_sizes(directory))
    excess = sum(sizes.values()) + wanted - max_total
    events = told = 0
    for path, size in sizes.items():
        if excess <= 0:
            break
        try:
            counts = _drop(path)
        except OSError:
            # It stays, and the next one is tried.
            continue
        if counts is not None:
            excess -= size
            events += counts[0]
            told += counts[1]
    return excess, events, told


def _drop(path: str) -> tuple[int, int] | None:
    # Imported here: a command that only appends reads no segment.
    from usagetrace.spool.reader import count_events

    file = LockedFile.take(path)
    if file is None:
        return None
    try:
        counts = count_events(path)
        file.remove()
    finally:
        file.close()
    return counts


def _sizes(directory: str) -> Iterator[tuple[str, int]]:
    for name in segments(directory):
        path = os.path.join(directory, name)
        try:
            yield path, -(-os.stat(path).st_size // BLOCK) * BLOCK
        except OSError:
            # Drained, and removed, meanwhile.
            continue


def spool_size(directory: str) -> tuple[int, int]:
    """Return how many segments lie in a directory, and how many bytes they take."""
    count = size = 0
    for name in segments(directory):
        try:
            size += os.stat(os.path.join(directory, name)).st_size
        except FileNotFoundError:
            # Drained meanwhile.
            continue
        count += 1
    return count, size


def leave_word(directory: str, word: str) -> None:
    """Say beside the segments how long events are kept: readers drain as well, and know no settings of a tool.

    Args:
        directory: Where the segments lie.
        word: The days, and on a second line the archive's folder.

    Raises:
        OSError: It can't be written.
    """
    place = os.path.join(directory, KEEPING)
    if _text_of(place) == word:
        return
    made = f"{place}.{os.getpid()}"
    data = word.encode("utf-8", "surrogateescape")
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(made, place)


def _text_of(place: str) -> str | None:
    """Return what a small file says, or None where it is not there: the first process of a tool finds none."""
    try:
        with open(place, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None
