"""Looks at old events in Parquet files, a group of rows at a time.

It needs pyarrow, which the extra ``archive`` brings, and knows neither the store nor its tables.
"""

from __future__ import annotations

from pathlib import Path

from usagetrace.audit.judge import Judge, Rules
from usagetrace.audit.model import Tally


def look(path: Path, name: str, judge: Judge, tally: Tally) -> None:
    """Look at one file, column by column; the texts of its own description too.

    Args:
        path: The file.
        name: How findings call it.
        judge: Says what is found.
        tally: Takes what was found; where the file is damaged, a problem.

    Raises:
        FileNotFoundError: It went away.
        StoreError: pyarrow is not installed.
    """
    from usagetrace.store.archive import require_pyarrow

    require_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for key, text in (file.schema_arrow.metadata or {}).items():
                _add(tally, name, "", judge.blob(key.decode("utf-8", "replace"), text), "description")
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                for column in table.column_names:
                    for value in table[column].unique().to_pylist():
                        _add(tally, name, column, judge.value(column, value), f"group {number}")
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        tally.problems.append(f"{name}: can't be read as Parquet: {type(error).__name__}")


def _add(tally: Tally, name: str, column: str, found: Rules, at: str) -> None:
    if found:
        tally.add(name, "archive", "", column, found, at)
