"""From a record of named values to an event: which column is which field, and what each may hold.

This module knows no file format; the texts that it makes messages of are names of fields and columns, never values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from usagetrace.errors import UsageTraceError
from usagetrace.events import Event, Status
from usagetrace.importers.times import FieldError, TimeReader

_TEXTS: Final = (
    "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "error_type", "category",
    "priority", "session_id", "service_name",
)  # fmt: skip
# Other names of a field; the first one that a record has counts.
_ALIASES: Final = {"timestamp": ("timestamp", "time", "ts_ms")}
_FIELDS: Final = (
    *_TEXTS,
    "timestamp",
    "duration_ms",
    "duration_s",
    "status",
    "metadata",
    "trace_id",
    "span_id",
    "item",
)
_METADATA: Final = "metadata."
_STATUS: Final[dict[str, str]] = {
    "ok": Status.OK.value, "success": Status.OK.value, "error": Status.ERROR.value, "failure": Status.ERROR.value,
    "failed": Status.ERROR.value, "abandoned": Status.ABANDONED.value,
}  # fmt: skip
_IDS: Final = {"trace_id": re.compile("[0-9a-f]{32}"), "span_id": re.compile("[0-9a-f]{16}")}
_ITEM_LIMIT: Final = 2**31
# Times that the store can hold: the years 1 to 9999.
_TIMES: Final = (-62_135_596_800_000, 253_402_300_800_000)


class ColumnMap:
    """Which column of a record is which field.

    Args:
        columns: Column by field: ``{"artifact_name": "name", "metadata.score": "score"}``. A field that is not there is
            taken from the column of its own name.
        constants: Value by field, for what no column says.

    Raises:
        UsageTraceError: One of the fields does not exist.
    """

    def __init__(self, columns: Mapping[str, str] | None = None, constants: Mapping[str, str] | None = None) -> None:
        self.columns = dict(columns or {})
        self.constants = dict(constants or {})
        for field in (*self.columns, *self.constants):
            if field not in _FIELDS and not (field.startswith(_METADATA) and len(field) > len(_METADATA)):
                raise UsageTraceError(
                    f"an event has no field {field!r}: expected metadata.KEY or one of {', '.join(sorted(_FIELDS))}"
                )
        self._sources = {
            field: ((self.columns[field],) if field in self.columns else _ALIASES.get(field, (field,)),
                    self.constants.get(field))
            for field in _FIELDS
        }  # fmt: skip
        self._is_plain = not {*self.columns, *self.constants} & set(_TEXTS)
        self._metadata = {f[len(_METADATA) :]: c for f, c in self.columns.items() if f.startswith(_METADATA)}
        self._said = {f[len(_METADATA) :]: text for f, text in self.constants.items() if f.startswith(_METADATA)}

    def header_fault(self, header: Sequence[str]) -> str:
        """Return why records with these columns can't be events; empty where they can."""
        listed = ", ".join(header[:50])
        missing = sorted({column for column in self.columns.values() if column not in header})
        if missing:
            return f"no column {', '.join(map(repr, missing))}; there are: {listed}"
        for field in ("event_type", "timestamp"):
            names = _ALIASES.get(field, (field,))
            if field not in self.columns and field not in self.constants and not set(names) & set(header):
                return (
                    f"nothing says the {field}: name its column with --map {field}=COLUMN"
                    + (f" or give it with --set {field}=VALUE" if field == "event_type" else "")
                    + f"; there are: {listed}"
                )
        return ""

    def unused(self, header: Sequence[str]) -> list[str]:
        """Return the columns that no field is taken from."""
        own = {name for field in _FIELDS if field not in self.columns for name in _ALIASES.get(field, (field,))}
        taken = {*self.columns.values(), *own, "id", "metadata"}
        return [name for name in header if name not in taken and not name.startswith(_METADATA)]

    def texts(self, record: Mapping[str, Any]) -> list[Any]:
        """Return what a record says of its text fields; None or an empty text where it says nothing."""
        if self._is_plain:
            return [*map(record.get, _TEXTS)]
        return [self.value(record, field) for field in _TEXTS]

    def value(self, record: Mapping[str, Any], field: str) -> Any:
        """Return what a record says of a field; None where it says nothing."""
        names, constant = self._sources[field]
        for name in names:
            found = record.get(name)
            if found is None and "." in name:
                found = _at(record, name)
            if found is not None and found != "":
                return found
        return constant

    def metadata(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a record's metadata, of its column and of the single columns.

        Raises:
            ValueError: The column holds something else.
        """
        found = _mapping(self.value(record, "metadata"))
        for key, each in record.items():
            if key.startswith(_METADATA) and each is not None and each != "":
                found.setdefault(key[len(_METADATA) :], each)
        for key, column in self._metadata.items():
            each = _at(record, column)
            if each is not None and each != "":
                found[key] = each
        for key, text in self._said.items():
            found.setdefault(key, text)
        return found or None


def event_of(record: Mapping[str, Any], columns: ColumnMap, times: TimeReader) -> Event:
    """Return the event that a record is, as it stands there.

    Args:
        record: Values by column: texts, or JSON's values.
        columns: Which column is which field.
        times: Reads its time.

    Raises:
        ValueError: It is none; the message names the field and what was expected, and holds no value.
    """
    value = columns.value
    kind, name, artifact_type, collection, project, error_type, category, priority, session, service = [
        found if found is None or type(found) is str else _text(field, found)
        for field, found in zip(_TEXTS, columns.texts(record), strict=True)
    ]
    if not kind:
        raise FieldError("event_type: expected a text, found none")
    try:
        metadata = columns.metadata(record)
    except RecursionError:
        raise FieldError("metadata: nested too deeply") from None
    span_id = _id("span_id", value(record, "span_id"))
    trace_id = _id("trace_id", value(record, "trace_id"))
    if trace_id is None or span_id is None:
        trace_id = span_id = None
    return Event(
        event_type=kind,
        artifact_name=name or "",
        artifact_type=artifact_type or "",
        ts_ms=_time(value(record, "timestamp"), times),
        collection_name=collection or None,
        project_path=project or None,
        metadata=metadata,
        duration_ms=_duration(columns, record),
        status=_status(value(record, "status"), metadata, error_type or None),
        error_type=error_type or None,
        category=category or "",
        priority=priority or "",
        session_id=session or None,
        service_name=service or None,
        trace_id=trace_id,
        span_id=span_id,
        item=_item(value(record, "item")) if span_id is not None else None,
    )


def _at(record: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column, or that below the names of a path (``result.score``)."""
    if column in record or "." not in column:
        return record.get(column)
    found: Any = record
    for name in column.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _mapping(value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str):
        raise FieldError(f"metadata: expected an object, found {_kind(value)}")
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    # What another tool wrote that is no object is kept as the text that it is.
    return read if isinstance(read, dict) else {"metadata": value}


def _text(field: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and field not in ("event_type", "project_path"):
        # A name such as 2048, where a sheet has made a number of it.
        return str(value)
    raise FieldError(f"{field}: expected a text, found {_kind(value)}")


def _time(value: Any, times: TimeReader) -> int:
    if value is None:
        raise FieldError("timestamp: expected a time, found none")
    try:
        ts_ms = times(value)
    except (ValueError, OverflowError) as error:
        # Messages of strptime and datetime repeat the text.
        told = str(error) if isinstance(error, FieldError) else "expected a time of the form that was given"
        raise FieldError(f"timestamp: {told}") from None
    if not _TIMES[0] <= ts_ms < _TIMES[1]:
        raise FieldError("timestamp: expected a time of the years 1 to 9999")
    return ts_ms


def _duration(columns: ColumnMap, record: Mapping[str, Any]) -> float | None:
    for field, factor in (("duration_ms", 1.0), ("duration_s", 1000.0)):
        found = columns.value(record, field)
        if found is None:
            continue
        try:
            number = float(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise FieldError(f"{field}: expected a number from 0, found {_kind(found)}")
        return number * factor
    return None


def _status(value: Any, metadata: Mapping[str, Any] | None, error_type: str | None) -> str:
    if value is None:
        said = metadata or {}
        failed = said.get("result") == "error" or said.get("success") is False or error_type is not None
        return _STATUS["error" if failed else "ok"]
    found = _STATUS.get(value.strip().lower(), "") if isinstance(value, str) else ""
    if not found:
        raise FieldError(f"status: expected one of {', '.join(_STATUS)}")
    return found


def _id(field: str, value: Any) -> str | None:
    if value is None:
        return None
    text = value.strip().lower() if isinstance(value, str) else ""
    if _IDS[field].fullmatch(text) is None:
        raise FieldError(f"{field}: expected {32 if field == 'trace_id' else 16} hexadecimal digits")
    return text if set(text) != {"0"} else None


def _item(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if type(value) is not int or not 0 <= value < _ITEM_LIMIT:
        raise FieldError("item: expected a whole number from 0")
    return value


def _kind(value: Any) -> str:
    """Return what a value is, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float):
        return "a number"
    return "an object" if isinstance(value, Mapping) else "an array"
