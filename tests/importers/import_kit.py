"""Sources to import, and what a store holds afterwards; for the tests of the importers."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from usagetrace.store import Store
from usagetrace.store.schema import MIGRATIONS

# 2026-11-01 12:00 UTC
NOW = 1_793_534_400_000
DAY = 86_400_000


def record(number: int, **more: Any) -> dict[str, Any]:
    """Return one record, another one for each number."""
    return {
        "event_type": ("deploy", "search", "sync")[number % 3],
        "artifact_name": f"skill-{number % 7}",
        "artifact_type": "skill",
        "time": f"2026-10-{1 + number % 28:02d}T10:{number // 60 % 60:02d}:{number % 60:02d}Z",
        **more,
    }


def write_lines(path: Path, records: Iterable[Any]) -> Path:
    """Write JSON Lines."""
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records), "utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Sequence[object]], **form: Any) -> Path:
    """Write rows of cells, the header among them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **form).writerows(rows)
    return path


def v1_database(
    path: Path,
    events: Iterable[Sequence[object]] = (),
    summary: Iterable[Sequence[object]] = (),
    *,
    wal: bool = False,
) -> sqlite3.Connection:
    """Make a database of version 1 as another tool does, and return the connection that it has open.

    Args:
        path: The file.
        events: Type, name, kind, project, time and metadata of each.
        summary: Name, kind, first and last use, deploys and total of each.
        wal: Whether it uses a write-ahead log.
    """
    made = sqlite3.connect(path, isolation_level=None)
    if wal:
        made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA synchronous=OFF")
    made.execute("BEGIN")
    for statement in MIGRATIONS[0].up:
        made.execute(statement)
    made.executemany(
        "INSERT INTO events (event_type, artifact_name, artifact_type, project_path, timestamp, metadata) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        events,
    )
    made.executemany(
        "INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, total_events) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        summary,
    )
    made.execute("COMMIT")
    return made


def attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return attributes as OTLP's JSON has them."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def span_request(*spans: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request of spans."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes({"service.name": "shelf"})},
                "scopeSpans": [{"scope": {"name": "usagetrace"}, "spans": list(spans)}],
            }
        ]
    }


def span(number: int, **more: str) -> dict[str, Any]:
    """Return one span of ours, another one for each number."""
    began = (NOW - DAY + number * 1000) * 1_000_000
    said = {"usage.event.type": "deploy", "usage.artifact.name": f"skill-{number}", "usage.artifact.type": "skill"}
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "deploy",
        "kind": 1,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + 5_000_000),
        "attributes": attributes({**said, **more}),
    }


def events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a store, the oldest first, with their metadata read."""
    with Store(path, read_only=True) as store:
        found = list(reversed(store.get_events(limit=None)))
    return [{**each, "metadata": json.loads(each["metadata"]) if each["metadata"] else None} for each in found]


def totals(path: Path) -> tuple[int, int, int]:
    """Return how many events there are, and how many summary and daily counts say that there were."""
    with Store(path, read_only=True) as store:
        connection = store.connection
        return tuple(
            connection.execute(f"SELECT COALESCE(SUM({what}), 0) FROM {table}").fetchone()[0]
            for what, table in (("1", "events"), ("total_events", "usage_summary"), ("events", "usage_daily"))
        )  # type: ignore[return-value]  # three of them


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes, and the folders."""
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else b"(folder)"
        for each in sorted(folder.rglob("*"))
    }


def now() -> int:
    """Return the present of these tests."""
    return NOW
