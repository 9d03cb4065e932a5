"""CSV: headers, column maps, encodings, quoting, and faults with their places."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.import_kit import NOW, events, now, write_csv
from usagetrace.errors import ImportFileError, UsageTraceError
from usagetrace.importers.csv_file import CsvReader
from usagetrace.importers.fields import ColumnMap
from usagetrace.importers.model import Found, Report, Skipped
from usagetrace.importers.run import run

HEADER = ("event_type", "artifact_name", "time")
ROW = ("deploy", "canvas", "2026-10-01T10:00:00Z")


def imported(path: Path, columns: ColumnMap | None = None, **form: Any) -> tuple[Report, list[dict[str, Any]]]:
    """Import a file and return the report, and what the store holds."""
    store = path.with_suffix(".db")
    report = run(CsvReader(path, columns, **form), store, now_ms=now)
    return report, events(store)


def found(content: bytes, tmp_path: Path, **form: Any) -> list[Found | Skipped]:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    return list(CsvReader(path, **form).read())


def fault(content: bytes, tmp_path: Path, **form: Any) -> str:
    with pytest.raises(ImportFileError) as caught:
        found(content, tmp_path, **form)
    return str(caught.value)


def test_columns_of_a_fields_own_name_need_no_map(tmp_path: Path) -> None:
    """Every field, and metadata of its own column and of single ones; empty cells say nothing."""
    header = (
        *HEADER, "artifact_type", "collection_name", "project_path", "duration_ms", "status", "error_type",
        "session_id", "service_name", "metadata", "metadata.rank", "metadata.none",
    )  # fmt: skip
    row = (*ROW, "skill", "default", "/srv/app", "12.5", "failed", "OSError", "s1", "shelf", '{"a": [1]}', "3", "")
    _, [event] = imported(write_csv(tmp_path / "a.csv", [header, row]))
    wanted = {
        "event_type": "deploy", "artifact_name": "canvas", "artifact_type": "skill", "collection_name": "default",
        "project_path": "app", "timestamp": "2026-10-01 10:00:00", "duration_ms": 12.5, "status": "error",
        "error_type": "OSError", "category": "usage", "session_id": "s1", "service_name": "shelf",
        "metadata": {"a": [1], "rank": "3"},
    }  # fmt: skip
    assert {name: event[name] for name in wanted} == wanted


def test_a_map_names_the_columns(tmp_path: Path) -> None:
    """Other names, constants for what no column says, and a note of the columns that nothing is taken from."""
    path = write_csv(
        tmp_path / "a.csv",
        [("when", "name", "score", "colour"), ("01.10.2026 10:00", "canvas", "0.5", "red")],
        delimiter=";",
    )
    columns = ColumnMap(
        {"timestamp": "when", "artifact_name": "name", "metadata.score": "score"},
        {"event_type": "sync", "artifact_type": "skill", "metadata.from": "sheet"},
    )
    form = {"delimiter": ";", "time_format": "%d.%m.%Y %H:%M", "timezone": "utc"}
    reader = CsvReader(path, columns, **form)  # type: ignore[arg-type]  # texts
    reader.check()
    assert reader.notes == ["columns that no field is taken from: colour"]
    nameless = CsvReader(
        write_csv(tmp_path / "b.csv", [("event_type", "time", "", ""), ("deploy", "2026-10-01", "x", "y")])
    )
    nameless.check()
    assert nameless.notes == ["columns that no field is taken from: (no name), (no name)"]
    _, [event] = imported(path, columns, **form)
    assert (event["event_type"], event["artifact_name"], event["artifact_type"]) == ("sync", "canvas", "skill")
    assert (event["timestamp"], event["metadata"]) == ("2026-10-01 10:00:00", {"score": "0.5", "from": "sheet"})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, ending: str, packed: bool) -> None:
    """A byte order mark, any line end, and gzip change nothing."""
    text = ending.join(("event_type,artifact_name,time", 'deploy,"Größe, klein",2026-10-01T10:00:00Z', ""))
    content = text.encode(encoding)
    [each] = found(gzip.compress(content) if packed else content, tmp_path, encoding=encoding.removesuffix("-sig"))
    assert isinstance(each, Found)
    assert each.event.artifact_name == "Größe, klein"


def test_a_cell_may_have_lines(tmp_path: Path) -> None:
    """The place of a record is where it begins and ends; empty lines are no records."""
    content = b'event_type,artifact_name,time\n\ndeploy,"a\nb\nc",2026-10-01\n\n\nsync,x,2026-10-01\n'
    assert [each.place for each in found(content, tmp_path)] == ["lines 3 to 5", "line 8"]


FAULTS = {
    "empty": (b"", "line 1: expected a header"),
    "no type": (b"artifact_name,time\n", "line 1: nothing says the event_type: name its column with --map event_type"),
    "no time": (b"event_type,name\n", "line 1: nothing says the timestamp: name its column with --map timestamp"),
    "twice": (b"event_type,time,time\n", "line 1: the header names a column twice: 'time'"),
    "short": (b"event_type,time\ndeploy\n", "line 2: expected 2 cells, as the header has, found 1"),
    "long": (b"event_type,time\ndeploy,2026-10-01,x\n", "line 2: expected 2 cells, as the header has, found 3"),
    "open": (b'event_type,time\ndeploy,"2026-10-01\n', "line 2: not valid CSV: unexpected end of data"),
    "quote": (b'event_type,time\n"deploy"x,2026-10-01\n', "line 2: not valid CSV"),
    "time": (b"event_type,time\ndeploy,yesterday\n", "line 2: timestamp: expected a time such as 2026-11-01T09:30:00Z"),
    "none": (b"event_type,time\ndeploy,\n", "line 2: timestamp: expected a time, found none"),
    "untyped": (b"event_type,time\n,2026-10-01\n", "line 2: event_type: expected a text, found none"),
    "year": (b"event_type,time\ndeploy,-99999999999\n", "line 2: timestamp: expected a time of the years 1"),
    "status": (b"event_type,time,status\ndeploy,2026-10-01,odd\n", "line 2: status: expected one of ok, success"),
    "duration": (b"event_type,time,duration_ms\ndeploy,2026-10-01,-1\n", "line 2: duration_ms: expected a number"),
    "trace": (b"event_type,time,trace_id\ndeploy,2026-10-01,abc\n", "line 2: trace_id: expected 32 hexadecimal digits"),
    "bytes": (b"event_type,time\ndeploy,\xff\n", "or after it: not in the encoding utf-8"),
    "packed": (gzip.compress(b"event_type,time\n" + b"deploy,2026-10-01\n" * 99)[:-9], "the gzip data is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    """Which file, which line, what was expected; never the value."""
    content, told = FAULTS[name]
    message = fault(content, tmp_path)
    assert message.startswith("a.csv, line ")
    assert told in message
    assert "yesterday" not in message


def test_faulty_rows_can_be_skipped(tmp_path: Path) -> None:
    """Those that have a fault of their own are counted by reason; the others are imported."""
    path = write_csv(tmp_path / "a.csv", [HEADER, ROW, ("deploy", "x", "odd"), ("deploy", "y"), ROW])
    report, stored = imported(path, lenient=True)
    assert (report.read, report.added, report.skipped, len(stored)) == (4, 2, 2, 2)
    assert report.places == {
        "timestamp: expected a time such as 2026-11-01T09:30:00Z; another form is said by --time-format, as in "
        "--time-format '%d.%m.%Y %H:%M'": ["line 3"],
        "expected 3 cells, as the header has, found 2": ["line 4"],
    }


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""}, {"delimiter": ",,"}, {"delimiter": '"'}, {"delimiter": "\n"}, {"encoding": "none-such"},
        {"timezone": "Nowhere/None"}, {"time_format": "odd"},
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    """Before any file is opened."""
    with pytest.raises(UsageTraceError):
        CsvReader(tmp_path / "none.csv", **options)  # type: ignore[arg-type]  # texts
    with pytest.raises(UsageTraceError, match="an event has no field 'odd'"):
        ColumnMap({"odd": "x"})


def test_a_huge_cell_is_kept_short_and_its_secrets_away(tmp_path: Path) -> None:
    """A name of a megabyte is recorded with how long it was; the module's own limit of cells stays as it was."""
    limit = csv.field_size_limit()
    secret = "ghp_" + "A7b9" * 9
    path = write_csv(tmp_path / "a.csv", [HEADER, ("deploy", f"{'word ' * 200_000}{secret}", ROW[2])])
    _, [event] = imported(path)
    assert csv.field_size_limit() == limit
    assert len(event["artifact_name"]) <= 512
    assert "characters]" in event["artifact_name"]
    assert secret.encode() not in path.with_suffix(".db").read_bytes()


@settings(max_examples=25)
@given(content=st.binary(max_size=300), encoding=st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_whatever_the_bytes_are_they_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, encoding: str
) -> None:
    """Any bytes behind a sound header give events, or one error that names the file."""
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes("event_type,artifact_name,time\n".encode(encoding) + content)
    for lenient in (False, True):
        try:
            read = list(CsvReader(path, encoding=encoding, lenient=lenient).read())
        except ImportFileError as error:
            place = error.place
        else:
            place = "bytes.csv, "
            assert all(isinstance(each, Found | Skipped) for each in read)
        assert place.startswith("bytes.csv, ")


# Few signs: hypothesis takes seconds to learn all there are.
CELLS = st.text("a1,;\"'\n\r\t \u00e9\u2028\U0001f600", max_size=20)


@settings(max_examples=15)
@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5), cut=st.integers(0, 200), end=st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], cut: int, end: str
) -> None:
    """Names with quotes, commas and line ends survive; a cut file gives a part of the events or is refused."""
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    buffer = io.StringIO()
    written = csv.writer(buffer, lineterminator=end, quoting=csv.QUOTE_ALL)
    written.writerow(("event_type", "artifact_name", "metadata.note", "time"))
    for name, note in rows:
        written.writerow(("deploy", name, note, NOW))
    text = buffer.getvalue().encode()
    path.write_bytes(text)
    whole = [each.event for each in CsvReader(path).read() if isinstance(each, Found)]
    assert [(event.artifact_name, (event.metadata or {}).get("note", "")) for event in whole] == rows
    path.write_bytes(text[: len(text) - min(cut, len(text))])
    try:
        part = [each.event for each in CsvReader(path, lenient=True).read() if isinstance(each, Found)]
    except ImportFileError:
        return
    assert len(part) <= len(whole)
