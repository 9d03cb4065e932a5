"""Metric points of one day add up."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.store import MetricPoint, Store
from usagetrace.store.connection import MEMORY
from usagetrace.store.metrics import attributes_text, merge

BOUNDS = [(0.1, 1.0), (0.5,), ()]


@st.composite
def points(draw: st.DrawFn) -> MetricPoint:
    kind = draw(st.sampled_from(["histogram", "sum"]))
    bounds = draw(st.sampled_from(BOUNDS)) if kind == "histogram" else ()
    size = len(bounds) + 1
    counts = draw(st.lists(st.integers(0, 10**6), min_size=size, max_size=size)) if kind == "histogram" else []
    extreme = st.none() | st.integers(-1000, 1000).map(float)
    return MetricPoint(
        day=draw(st.sampled_from(["2025-11-16", "2025-11-17"])),
        name=draw(st.sampled_from(["usage.events", "usage.operation.duration"])),
        unit="s",
        service_name=draw(st.sampled_from(["", "shelf"])),
        attributes=draw(st.sampled_from(["{}", attributes_text({"b": 1, "a": "ü"})])),
        kind=kind,
        count=sum(counts) if counts else draw(st.integers(0, 100)),
        sum=float(draw(st.integers(-(10**6), 10**6))),
        min=draw(extreme),
        max=draw(extreme),
        bounds=bounds,
        bucket_counts=tuple(counts),
    )


@settings(deadline=None)
@given(st.lists(st.lists(points(), max_size=8), max_size=4))
def test_stored_equals_merged(batches: list[list[MetricPoint]]) -> None:
    """However points come, each key's row is the sum of its points: counts, sums, buckets, extremes."""
    expected = []
    for _, same in groupby(sorted((p for batch in batches for p in batch), key=MetricPoint.key), MetricPoint.key):
        whole, *rest = same
        for point in rest:
            whole = merge(whole, point)
        expected.append(whole)
    with Store(MEMORY) as store:
        for batch in batches:
            store.write_metrics(batch)
        stored = store.get_metrics()
    assert stored == expected


@given(points(), points(), points())
def test_merging_is_associative_and_commutative(a: MetricPoint, b: MetricPoint, c: MetricPoint) -> None:
    """The order in which processes deliver their points does not matter."""
    from dataclasses import replace

    shape = {"kind": a.kind, "bounds": a.bounds}
    same = [
        replace(p, **shape, bucket_counts=(p.bucket_counts * 3 + (0, 0, 0))[: len(a.bucket_counts)]) for p in (b, c)
    ]
    left = merge(merge(a, same[0]), same[1])
    right = merge(a, merge(same[0], same[1]))
    swapped = merge(merge(a, same[1]), same[0])
    assert left == right == swapped


def test_other_bounds_are_another_row(path: Path) -> None:
    """A histogram whose buckets were changed is not added to the old one."""
    old = MetricPoint("2025-11-16", "d", "s", "x", "{}", "histogram", 1, 0.2, 0.2, 0.2, (0.5,), (1, 0))
    new = MetricPoint("2025-11-16", "d", "s", "x", "{}", "histogram", 1, 0.2, 0.2, 0.2, (0.1, 0.5), (0, 1, 0))
    with Store(path) as store:
        store.write_metrics([old, new, old])
        assert [(point.bounds, point.bucket_counts) for point in store.get_metrics("d")] == [
            ((0.1, 0.5), (0, 1, 0)),
            ((0.5,), (2, 0)),
        ]


@pytest.mark.parametrize(
    ("window", "days"),
    [
        ({}, ["14", "15", "16"]),
        ({"since_day": "2025-11-15"}, ["15", "16"]),
        ({"until_day": "2025-11-15"}, ["14"]),
        ({"name": "other"}, []),
    ],
)
def test_window(path: Path, window: dict[str, Any], days: list[str]) -> None:
    """Points are read by day, from included until excluded."""
    with Store(path) as store:
        store.write_metrics(
            [MetricPoint(f"2025-11-{d}", "d", "1", "x", "{}", "sum", 1, 1.0) for d in ("16", "14", "15")]
        )
        assert [point.day[-2:] for point in store.get_metrics(**window)] == days


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "gauge"}, "kind"),
        ({"kind": "histogram", "bounds": (1.0,), "bucket_counts": (1,)}, "expected 2 bucket counts"),
        ({"kind": "sum", "bucket_counts": (1,)}, "expected 0 bucket counts"),
    ],
)
def test_impossible_points(fields: dict[str, Any], words: str) -> None:
    """A point whose parts don't fit is refused when it is made."""
    with pytest.raises(ValueError, match=words):
        MetricPoint("2025-11-16", "d", "1", "x", "{}", count=1, sum=1.0, **fields)
