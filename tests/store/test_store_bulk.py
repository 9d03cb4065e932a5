"""Rows added many at a time are the rows that were given, however many and however alike."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.store import bulk
from usagetrace.store.bulk import Insert

INSERT = Insert("INSERT INTO t (a, b, c)", width=3)
values = st.none() | st.integers(-9, 9) | st.text(max_size=2)
# Columns of one value, of two, of any.
columns_of = st.integers(1, 70).flatmap(
    lambda rows: st.tuples(
        *[
            st.one_of(
                values.map(lambda value: [value] * rows),
                st.lists(st.sampled_from(["x", None]), min_size=rows, max_size=rows),
                st.lists(values, min_size=rows, max_size=rows),
            )
            for _ in range(3)
        ]
    )
)


def added(way: Any, given_values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a table that one of the two ways filled."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c)")
        way(connection, INSERT, given_values)
        return connection.execute("SELECT a, b, c FROM t ORDER BY id").fetchall()


@pytest.mark.parametrize("most", [3, 21, 600, 4608])
@given(columns=columns_of)
def test_rows_come_as_they_were_given(most: int, columns: tuple[list[Any], ...]) -> None:
    """Both ways keep order, number and values, whatever number of values one statement takes."""
    expected = list(zip(*columns, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_MOST_VALUES", most)
        assert added(bulk.add_columns, columns) == expected
        assert added(bulk.add, expected) == expected


def test_few_statements_serve_any_number_of_rows() -> None:
    """What is left over goes in powers of two, so that a batch of another size needs no other statements."""
    texts: set[str] = set()

    class Seen:
        def execute(self, text: str, given_values: list[Any]) -> None:
            texts.add(text)

    rows = [("a", number, None) for number in range(1, 400)]
    seen: Any = Seen()
    for count in range(1, 400):
        bulk.add(seen, INSERT, rows[:count])
        bulk.add_columns(seen, INSERT, list(zip(*rows[: max(count, 2)], strict=True)))
    assert len(texts) <= 2 * 9
