"""Daily counts, mergeable percentiles and sessions.

This module owns what a bucket of durations is, and the SQL that adds a batch's counts to the rollups. It is given rows
of ``events``; where they come from is the writer's.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log
from typing import Final

from usagetrace.store import bulk
from usagetrace.store.bulk import Insert

# A duration is taken for a value of its bucket that is at most this far from it, relatively.
RELATIVE_ERROR: Final = 0.01
_GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)
# Durations of zero and below (a clock that was set back): lower than any other bucket.
ZERO_BUCKET: Final = -1_000_000
# Thirty million years, in milliseconds. What is longer, or no number, is no duration.
DURATION_END_MS: Final = 1e18


def bucket(duration_ms: float) -> int:
    """Return the bucket of a duration: the logarithm to the base 1.01/0.99, rounded up.

    Buckets of any two stores and days are the same ones, so that their counts add up.
    Source: the DDSketch of Masson, Rim and Lee, 2019.

    Args:
        duration_ms: A finite number of milliseconds.
    """
    return math.ceil(math.log(duration_ms) / _LOG_GAMMA) if duration_ms > 0 else ZERO_BUCKET


def bucket_ms(number: int) -> float:
    """Return the duration in milliseconds that stands for a bucket: within 1 % of each duration in it."""
    if number == ZERO_BUCKET:
        return 0.0
    # The value whose relative distance to both ends of the bucket is the same.
    return math.exp(number * _LOG_GAMMA) * 2 / (_GAMMA + 1)


def percentile(operations: Mapping[int, int], share: float) -> float | None:
    """Return a percentile of durations, within 1 % of the exact one (nearest rank).

    Args:
        operations: How many operations each bucket has; counts of several days or types may be added first.
        share: 0.5 for the median, 0.95 for the 95th percentile; from 0 to 1.

    Returns:
        Milliseconds; None where there are no operations.

    Raises:
        ValueError: ``share`` is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be between 0 and 1, not {share}")
    rank = max(math.ceil(share * sum(operations.values())), 1)
    for number in sorted(operations):
        rank -= operations[number]
        if rank <= 0:
            return bucket_ms(number)
    return None


def define_bucket(connection: sqlite3.Connection, name: str) -> None:
    """Give SQL on a connection the function :func:`bucket` under a name; NULL gives NULL."""
    connection.create_function(name, 1, lambda value: None if value is None else bucket(value), deterministic=True)


def define_bucket_ms(connection: sqlite3.Connection, name: str) -> None:
    """Give SQL on a connection the function :func:`bucket_ms` under a name; NULL gives NULL."""
    connection.create_function(name, 1, lambda value: None if value is None else bucket_ms(value), deterministic=True)


# Key: day, event type, artifact type, artifact name. Value: events, errors, durations, their sum in milliseconds.
UsageKey = tuple[int, str, str, str]
# Key: day, event type, artifact type.
HistogramKey = tuple[int, str, str]

_ADD_USAGE: Final = Insert(
    "INSERT INTO usage_daily (day, event_type, artifact_type, artifact_name, events, errors, durations, duration_ms)",
    width=8,
    tail="""
ON CONFLICT (day, event_type, artifact_type, artifact_name) DO UPDATE SET
    events = events + excluded.events, errors = errors + excluded.errors,
    durations = durations + excluded.durations, duration_ms = duration_ms + excluded.duration_ms""",
)
_ADD_DURATIONS: Final = Insert(
    "INSERT INTO duration_daily (day, event_type, artifact_type, bucket, operations)",
    width=5,
    tail="""
ON CONFLICT (day, event_type, artifact_type, bucket) DO UPDATE SET operations = operations + excluded.operations""",
)
_ADD_SESSION: Final = Insert(
    "INSERT INTO sessions (session_id, first_ms, last_ms, events, errors)",
    width=5,
    tail="""
ON CONFLICT (session_id) DO UPDATE SET
    first_ms = MIN(first_ms, excluded.first_ms), last_ms = MAX(last_ms, excluded.last_ms),
    events = events + excluded.events, errors = errors + excluded.errors""",
)


def add_usage(connection: sqlite3.Connection, counts: Mapping[UsageKey, Sequence[float]]) -> None:
    """Add a batch's events, errors, durations and sum of durations to their days, in the order of the key."""
    bulk.add(connection, _ADD_USAGE, [(*key, *counts[key][:4]) for key in sorted(counts)])


def add_durations(connection: sqlite3.Connection, operations: Mapping[HistogramKey, Iterable[float]]) -> None:
    """Add a batch's operations to their buckets, in the order of the key.

    Args:
        connection: A connection inside a transaction.
        operations: The durations in milliseconds, one an operation.
    """
    rows: list[tuple[int, str, str, int, int]] = []
    for key in sorted(operations):
        # As `bucket`, whose call would cost as much again.
        counts = Counter([ceil(log(each) / _LOG_GAMMA) if each > 0 else ZERO_BUCKET for each in operations[key]])
        rows += [(*key, *counted) for counted in sorted(counts.items())]
    bulk.add(connection, _ADD_DURATIONS, rows)


def add_sessions(connection: sqlite3.Connection, rows: Sequence[tuple[str, int, bool]]) -> None:
    """Add a batch's events to their sessions.

    Args:
        connection: A connection inside a transaction.
        rows: For each event the session, when it began (milliseconds since 1970 UTC), and whether it failed.
    """
    counts: dict[str, list[int]] = {}
    for session, ts_ms, failed in rows:
        found = counts.get(session)
        if found is None:
            counts[session] = [ts_ms, ts_ms, 1, int(failed)]
            continue
        if ts_ms < found[0]:
            found[0] = ts_ms
        if ts_ms > found[1]:
            found[1] = ts_ms
        found[2] += 1
        found[3] += failed
    bulk.add(connection, _ADD_SESSION, [(session, *counts[session]) for session in sorted(counts)])
