"""Reports as JSON: one documented shape each (``docs/reference/json-shapes.md``).

The text is ASCII: a terminal that shows it meets no control character, and no encoding can break it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from usagetrace.reports.model import EventList, EventRow, Overview, TopArtifacts
from usagetrace.reports.window import Window

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NAMES: Final = {Overview: "overview", TopArtifacts: "top", EventList: "events"}


def to_json(report: Overview | TopArtifacts | EventList, store: str | None) -> str:
    """Return a report as JSON text that ends with a line break.

    Args:
        report: What to say.
        store: Path of the database; None where there is none yet.
    """
    body = {key: _plain(key, value) for key, value in asdict(report).items() if key != "window"}
    head = {"report": _NAMES[type(report)], "store": store, "window": window_shape(report.window)}
    return dump({**head, **body})


def window_shape(window: Window) -> dict[str, str | None]:
    """Return a window as two times; None where it is open."""
    return {"since": iso_time(window.since_ms), "until": iso_time(window.until_ms)}


def event_shape(event: EventRow) -> dict[str, Any]:
    """Return one event as plain values, in the form it has in the list of events."""
    return dict(_entry(key, value) for key, value in asdict(event).items())


def dump(shape: Mapping[str, Any]) -> str:
    """Return a shape of plain values as indented ASCII JSON that ends with a line break."""
    return json.dumps(shape, indent=2, ensure_ascii=True, allow_nan=False, default=str) + "\n"


def iso_time(ts_ms: int | None) -> str | None:
    """Return milliseconds since 1970 as ISO 8601 text in UTC, ``2026-11-01T09:30:00.000Z``; None for none.

    A time beyond the years 1 to 9999, which another tool may have written, is none.
    """
    if ts_ms is None:
        return None
    try:
        moment = _EPOCH + timedelta(milliseconds=ts_ms)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(key: str, value: Any) -> Any:
    """Return nested records as JSON's: milliseconds of a moment become its ISO text under a name without the unit."""
    if key == "metadata":
        return _finite(value)
    if isinstance(value, Mapping):
        return dict(_entry(name, item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return [_plain("", item) for item in value]
    return _finite(value)


def _entry(key: str, value: Any) -> tuple[str, Any]:
    if key in ("first_ms", "last_ms"):
        return key.removesuffix("_ms"), iso_time(value)
    if key == "ts_ms":
        # 0 stands for an unknown time.
        return "time", iso_time(value or None)
    return key, _plain(key, value)


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinity, which JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
