"""JSON Lines: the shape of our own list of events, other names by a map, and faults with their places."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.import_kit import NOW, events, now, record, write_lines
from usagetrace.errors import ImportFileError
from usagetrace.events import Event
from usagetrace.importers.fields import ColumnMap
from usagetrace.importers.jsonl import JsonLinesReader
from usagetrace.importers.model import Found, Skipped
from usagetrace.importers.run import run
from usagetrace.reports.jsonshape import event_shape
from usagetrace.reports.model import EventRow
from usagetrace.store import Store


def read(content: bytes, tmp_path: Path, **form: Any) -> list[Found | Skipped]:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    return list(JsonLinesReader(path, **form).read())


def fault(content: bytes, tmp_path: Path) -> str:
    with pytest.raises(ImportFileError) as caught:
        read(content, tmp_path)
    return str(caught.value)


def test_our_own_list_of_events_comes_back_as_it_was(tmp_path: Path) -> None:
    """What `usagetrace events --format json` says of an event is all that is needed to have it again, ids included."""
    first, second = tmp_path / "a.db", tmp_path / "b.db"
    whole = Event(
        "search", "canvas", "skill", NOW - 5123, "default", "app", {"score": 0.5, "deep": [{"a": None}]}, 12.25,
        "error", "OSError", "usage", "high", "s1", "shelf", "a" * 32, "b" * 16, 3,
    )  # fmt: skip
    with Store(first) as store:
        store.write([whole, whole._replace(span_id="c" * 16, item=None, metadata=None, status="abandoned")])
    names = EventRow.__dataclass_fields__
    listed = [event_shape(EventRow(**{name: each[name] for name in names if name in each})) for each in events(first)]
    report = run(JsonLinesReader(write_lines(tmp_path / "a.jsonl", listed)), second, now_ms=now)
    assert report.added == 2
    assert events(second) == events(first)
    assert run(JsonLinesReader(tmp_path / "a.jsonl"), first, now_ms=now).known == 2


def test_a_map_finds_nested_names(tmp_path: Path) -> None:
    """A column may be a path into the record; a name with a dot in it comes first."""
    columns = ColumnMap(
        {"artifact_name": "what.name", "timestamp": "at", "metadata.score": "result.score", "metadata.dot": "a.b"},
        {"event_type": "search"},
    )
    line = {"what": {"name": "canvas"}, "at": NOW / 1000, "result": {"score": 0.5}, "a.b": 1, "a": {"b": 2}}
    [each] = read(json.dumps(line).encode(), tmp_path, columns=columns)
    assert isinstance(each, Found)
    assert (each.event.artifact_name, each.event.ts_ms) == ("canvas", NOW)
    assert each.event.metadata == {"score": 0.5, "dot": 1}


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n\r\n  \n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_marks_line_ends_and_packing_change_nothing(tmp_path: Path, before: bytes, end: bytes, packed: bool) -> None:
    """A byte order mark, empty lines, either line end, and gzip."""
    content = before + end.join(json.dumps(record(each)).encode() for each in range(3))
    assert len(read(gzip.compress(content) if packed else content, tmp_path)) == 3


FAULTS = {
    "cut": (b'{"event_type": "dep', "line 2: column 16: not valid JSON: Unterminated string"),
    "list": (b"[1]", "line 2: expected an object"),
    "two": (b"{} {}", "line 2: column 4: not valid JSON: Extra data"),
    "nan": (b'{"event_type": NaN}', "line 2: not valid JSON: a number that"),
    "digits": (b'{"a": ' + b"9" * 5000 + b"}", "line 2: not valid JSON: a number that"),
    "deep": (b'{"a": ' * 100_000, "line 2: nested too deeply"),
    "bytes": (b'{"a": "\xff"}', "line 2: byte 8: not in UTF-8"),
    "none": (b"{}", "line 2: event_type: expected a text, found none"),
    "type": (b'{"event_type": 5, "time": 1}', "line 2: event_type: expected a text, found a number"),
    "name": (
        b'{"event_type": "a", "artifact_name": {}, "time": 1}',
        "line 2: artifact_name: expected a text, found an o",
    ),
    "time": (b'{"event_type": "a", "time": [1]}', "line 2: timestamp: expected a time"),
    "true": (b'{"event_type": "a", "time": true}', "line 2: timestamp: expected a time"),
    "big": (b'{"event_type": "a", "time": 1e300}', "line 2: timestamp: expected a number since 1970"),
    "metadata": (
        b'{"event_type": "a", "time": 1, "metadata": [1]}',
        "line 2: metadata: expected an object, found an a",
    ),
    "took": (b'{"event_type": "a", "time": 1, "duration_ms": "x"}', "line 2: duration_ms: expected a number"),
    "item": (
        b'{"event_type": "a", "time": 1, "item": -1, "trace_id": "%s", "span_id": "%s"}' % (b"a" * 32, b"b" * 16),
        "line 2: item: expected a whole number",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    """Which file, line and column, what was expected; and it can be skipped instead."""
    line, told = FAULTS[name]
    content = b"\n".join([json.dumps(record(1)).encode(), line, json.dumps(record(2)).encode()])
    assert f"a.jsonl, {told}" in fault(content, tmp_path)
    skipped = read(content, tmp_path, lenient=True)
    assert [type(each) for each in skipped] == [Found, Skipped, Found]
    assert skipped[1].place == "line 2"


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes of this kind")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe would be waited for, and can't be read twice; a folder is no file; and one that is missing is named."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImportFileError, match="expected a regular file"):
        JsonLinesReader(tmp_path / "pipe").check()
    with pytest.raises(ImportFileError, match=f"^{re.escape(str(tmp_path))}: expected a regular file"):
        JsonLinesReader(tmp_path).check()
    with pytest.raises(FileNotFoundError):
        JsonLinesReader(tmp_path / "none").check()


def test_a_line_without_end_is_not_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused at its limit, packed or not."""
    monkeypatch.setattr("usagetrace.importers.source.LINE_LIMIT", 1000)
    content = json.dumps(record(1)).encode() + b"\n" + b" " * 5000
    for each in (content, gzip.compress(content)):
        assert fault(each, tmp_path) == "a.jsonl, line 2: longer than 1000 bytes"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('a\0\n"\ud800é', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "metadata", "\ud800"]), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["event_type", "artifact_name", "artifact_type", "time", "timestamp", "metadata", "metadata.x", "duration_ms",
     "duration_s", "status", "trace_id", "span_id", "item", "session_id", "project_path", "category"]
)  # fmt: skip


@settings(max_examples=15)
@given(records=st.lists(st.dictionaries(NAMES, VALUES, max_size=6), max_size=4), cut=st.integers(0, 60))
def test_whatever_the_records_hold_they_are_imported_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], cut: int
) -> None:
    """Wrong types, NUL, lone surrogates, and a file cut anywhere: each line is an event or a fault of its own."""
    folder = tmp_path_factory.getbasetemp()
    base = [record(1), *({**record(2), **each} for each in records)]
    text = "".join(f"{json.dumps(each)}\n" for each in base).encode()
    path = folder / "any.jsonl"
    path.write_bytes(text[: len(text) - cut])
    report = run(JsonLinesReader(path, lenient=True), folder / "none.db", now_ms=now, dry_run=True)
    assert report.complete
    assert report.read == report.added + report.known + report.skipped
    assert report.read <= len(base)


def test_odd_texts_are_stored(tmp_path: Path) -> None:
    """NUL and lone surrogates, which neither SQLite nor UTF-8 hold, are replaced."""
    source = write_lines(tmp_path / "a.jsonl", [record(1, artifact_name="a\0b\ud800c", metadata={"k\0": "\ud800"})])
    assert run(JsonLinesReader(source), tmp_path / "a.db", now_ms=now).added == 1
    [event] = events(tmp_path / "a.db")
    assert (event["artifact_name"], event["metadata"]) == ("a\u2400b\ufffdc", {"k\u2400": "\ufffd"})
