"""The generated page says what the schema is."""

from __future__ import annotations

import pytest

from usagetrace.store import Store, describe
from usagetrace.store.connection import MEMORY


def test_every_column_and_index_is_there() -> None:
    """Each column of each table and view has a line with a meaning, and no line is about a column that is not."""
    with Store(MEMORY) as store:
        rows = store.connection.execute(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
            "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'"
        ).fetchall()
        indexes = store.connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
    page = describe.describe()
    assert {f"{table}.{column}" for table, column in rows} == describe.COLUMNS.keys()
    assert page.count("\n| `") == len(rows)
    assert all(f"`{name}` (" in page for (name,) in indexes)


def test_a_table_without_meaning_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that nobody described makes the page fail rather than miss it."""
    monkeypatch.setattr(describe, "TABLES", {"events": "Rows."})
    with pytest.raises(KeyError, match="metric_daily"):
        describe.describe()
