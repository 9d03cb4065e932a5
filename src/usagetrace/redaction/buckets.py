"""Buckets of two histograms, joined without losing a count.

Explicit bounds: what both have in common is exact, so the joined histogram keeps those. Exponential: the finer one is
brought to the scale of the coarser one, as the data model of OpenTelemetry describes it
(https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram). Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.metrics.export import Buckets

# Most buckets of each sign, as the SDK's own aggregation has it by default.
MAX_BUCKETS: Final = 160


def join_explicit(
    left_bounds: Sequence[float], left_counts: Sequence[int], right_bounds: Sequence[float], right_counts: Sequence[int]
) -> tuple[Sequence[float], Sequence[int]]:
    """Return the bounds that two histograms share, and how many measurements lie between them.

    Args:
        left_bounds: Upper bounds, ascending.
        left_counts: One more than the bounds; empty where the histogram keeps no buckets.
        right_bounds: As above.
        right_counts: As above.
    """
    if not left_counts or not right_counts:
        # One of them only knows count and sum: so does the joined one.
        return (), ()
    shared = sorted(set(left_bounds) & set(right_bounds))
    counts = [0] * (len(shared) + 1)
    for bounds, own in ((left_bounds, left_counts), (right_bounds, right_counts)):
        at = 0
        for index, count in enumerate(own):
            counts[at] += count
            if at < len(shared) and index < len(bounds) and bounds[index] == shared[at]:
                at += 1
    return shared, counts


def join_exponential(
    left_scale: int,
    left_positive: Buckets,
    left_negative: Buckets,
    right_scale: int,
    right_positive: Buckets,
    right_negative: Buckets,
) -> tuple[int, Buckets, Buckets]:
    """Return scale, positive and negative buckets of two exponential histograms together.

    Args:
        left_scale: A bucket of index i holds what lies in (base**i, base**(i+1)], base = 2**(2**-scale).
        left_positive: Buckets of the positive values: index of the first one, and counts.
        left_negative: Those of the negative values.
        right_scale: As above.
        right_positive: As above.
        right_negative: As above.
    """
    scale = min(left_scale, right_scale)
    parts = [
        _at_scale(left_positive, left_scale - scale),
        _at_scale(right_positive, right_scale - scale),
        _at_scale(left_negative, left_scale - scale),
        _at_scale(right_negative, right_scale - scale),
    ]
    positive, negative = _add(parts[0], parts[1]), _add(parts[2], parts[3])
    while _width(positive) > MAX_BUCKETS or _width(negative) > MAX_BUCKETS:
        positive, negative = _coarser(positive, 1), _coarser(negative, 1)
        scale -= 1
    return scale, _buckets(positive), _buckets(negative)


def _at_scale(buckets: Buckets, steps: int) -> dict[int, int]:
    """Return the counts by index, that many scales coarser; empty buckets are left out."""
    counts = {buckets.offset + at: count for at, count in enumerate(buckets.bucket_counts) if count}
    return _coarser(counts, steps)


def _coarser(counts: dict[int, int], steps: int) -> dict[int, int]:
    if steps == 0:
        return counts
    result: dict[int, int] = {}
    for index, count in counts.items():
        # Two neighbours become one with each step; the shift rounds down, below zero too.
        result[index >> steps] = result.get(index >> steps, 0) + count
    return result


def _add(left: dict[int, int], right: dict[int, int]) -> dict[int, int]:
    result = dict(left)
    for index, count in right.items():
        result[index] = result.get(index, 0) + count
    return result


def _width(counts: dict[int, int]) -> int:
    return max(counts) - min(counts) + 1 if counts else 0


def _buckets(counts: dict[int, int]) -> Buckets:
    if not counts:
        return Buckets(0, [])
    first = min(counts)
    return Buckets(first, [counts.get(first + at, 0) for at in range(_width(counts))])
