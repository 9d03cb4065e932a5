"""The reader of the legacy skill-metrics file: what it takes, what it refuses and where, and what becomes of it."""

from __future__ import annotations

import codecs
import io
import itertools
import json
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import legacy_json
from usagetrace.errors import ImportFileError
from usagetrace.importers import json_text
from usagetrace.importers.json_text import JsonText
from usagetrace.importers.model import Found, Skipped
from usagetrace.importers.skill_metrics import SkillMetricsReader

DAY_MS = 86_400_000
NOW = 1_796_000_000_000
ONE: dict[str, Any] = {
    "skill_name": "review", "invoked_at": "2026-11-21T01:24:26.227224", "workflow_path": "quick", "completed": True,
    "duration_seconds": 1.5, "follow_up_actions": ["git push"], "error_type": None,
}  # fmt: skip


def reader(path: Path, **options: Any) -> SkillMetricsReader:
    return SkillMetricsReader(path, zone=timezone.utc, now_ms=lambda: NOW, **options)


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "metrics.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=2).encode())
    return path


def events(found: SkillMetricsReader) -> list[Any]:
    found.check()
    return [each.event for each in found.read() if isinstance(each, Found)]


def test_each_kind_of_ending_becomes_the_event_that_tracking_would_have_recorded(tmp_path: Path) -> None:
    """Completed, failed, given up, completed in spite of an error, and never ended: status, outcome and error."""
    kinds = [
        ONE,
        {**ONE, "completed": False, "error_type": "ValueError"},
        {**ONE, "completed": False},
        {**ONE, "error_type": "ValueError"},
        {**ONE, "completed": False, "duration_seconds": None, "invoked_at": "2026-01-01T00:00:00"},
    ]
    found = events(reader(written(tmp_path, {"invocations": kinds})))
    assert [(e.status, e.error_type, e.metadata.get("outcome"), e.metadata.get("error_type")) for e in found] == [
        ("ok", None, None, None),
        ("error", "ValueError", None, None),
        ("ok", None, "cancelled", None),
        ("ok", None, None, "ValueError"),
        ("abandoned", None, None, None),
    ]
    assert [(e.event_type, e.artifact_type, e.artifact_name, e.session_id) for e in found] == [
        ("invoke", "skill", "review", None)
    ] * 5
    assert found[0].metadata == {
        "completed": True, "invoked_at": ONE["invoked_at"], "workflow_path": "quick", "follow_up_actions": ["git push"],
    }  # fmt: skip
    assert (found[0].ts_ms, found[0].duration_ms) == (1_795_224_266_227, 1500.0)


@pytest.mark.parametrize(
    ("text", "zone", "ms"),
    [
        ("2026-11-21T01:24:26.227224", timezone(timedelta(hours=2)), 1_795_217_066_227),
        ("2026-11-21T01:24:26", timezone.utc, 1_795_224_266_000),
        ("2026-11-21 01:24:26.5", timezone.utc, 1_795_224_266_500),
        ("2026-11-21T01:24:26.227Z", timezone(timedelta(hours=2)), 1_795_224_266_227),
        ("2026-11-21T03:24:26.227224+02:00", timezone.utc, 1_795_224_266_227),
    ],
)
def test_a_time_without_an_offset_is_of_the_zone_that_was_told(
    tmp_path: Path, text: str, zone: timezone, ms: int
) -> None:
    """A time with an offset is what it says; what tells invocations apart is the text in either case."""
    path = written(tmp_path, {"invocations": [{**ONE, "invoked_at": text}]})
    found = [next(iter(SkillMetricsReader(path, zone=each).read())) for each in (zone, ZoneInfo("Asia/Tokyo"))]
    assert isinstance(found[0], Found)
    assert found[0].event.ts_ms == ms
    assert [each.identity for each in found if isinstance(each, Found)] == [found[0].identity] * 2


def test_the_hour_that_winter_time_repeats_goes_on_in_order(tmp_path: Path) -> None:
    """What is listed below a later time of the first 02:30 is of the second one."""
    times = ["2026-10-25T02:10:00", "2026-10-25T02:50:00", "2026-10-25T02:20:00", "2026-10-25T02:30:00"]
    path = written(tmp_path, {"invocations": [{**ONE, "invoked_at": each} for each in times]})
    found = [each.event.ts_ms for each in SkillMetricsReader(path, zone=ZoneInfo("Europe/Vienna")).read()]
    assert [after - before for before, after in itertools.pairwise(found)] == [2_400_000, 1_800_000, 600_000]


FAULTS: list[tuple[str, Any, str, str]] = [
    ("empty", b"", "line 1, column 1, byte 0", "the file is empty"),
    ("blank", b" \n ", "line 2, column 2, byte 3", "the file is empty"),
    ("no object", b"[1]", "line 1, column 1, byte 0", "expected '{'"),
    ("cut", b'{\n  "invocations": [\n    {"skill_name": "re', "line 3, column 23", "cut short"),
    ("cut between", b'{"invocations": [', "byte 17 (invocations[0])", "cut short"),
    ("cut in a word", b'{"invocations": [{"completed": tr', "invocations[0]", "cut short"),
    ("trailing", b"{} {}", "byte 3", "nothing after the object"),
    ("comma", b'{"invocations": [{"a": 1,}]}', "byte 25 (invocations[0])", "no JSON"),
    ("key twice", b'{"skills": {}, "skills": {}}', "byte 15", "a key stands twice"),
    ("member twice", b'{"invocations": [{"completed": true, "completed": false}]}', "invocations[0]", "stands twice"),
    ("NaN", b'{"invocations": [{"duration_seconds":\n NaN}]}', "line 2, column 2", "NaN is no number of JSON"),
    ("infinity", b'{"invocations": [{"duration_seconds": -Infinity}]}', "byte 38", "-Infinity is no number"),
    ("digits", b'{"invocations": [{"duration_seconds": ' + b"9" * 5000 + b"}]}", "byte 38", "5000 digits"),
    ("large exponent", {"invocations": [{**ONE, "duration_seconds": 1e300}]}, "duration_seconds", "impossible"),
    ("deep", b'{"invocations": [' + b"[" * 100_000, "invocations[0]", "nested too deep"),
    ("not UTF-8", b'{"invocations": [{"skill_name": "caf\xe9"}]}', "byte 36", "found the byte 0xe9"),
    ("UTF-16", codecs.BOM_UTF16_LE + "{}".encode("utf-16-le"), "byte 0", "found UTF-16"),
    ("no list", {"invocations": {}}, "line 2, column 18", "expected '['"),
    ("null", {"invocations": None}, "invocations", "expected '['"),
    ("no record", {"invocations": [ONE, 7]}, "invocations[1]", "expected an object, found a number"),
    ("no name", {"invocations": [{"invoked_at": ONE["invoked_at"]}]}, "invocations[0]", "skill_name is missing"),
    ("empty name", {"invocations": [{**ONE, "skill_name": ""}]}, "invocations[0].skill_name", "an empty text"),
    ("name of 1 MB", {"invocations": [{**ONE, "skill_name": "x" * 2**20}]}, "invocations[0].skill_name", "1048576"),
    ("number for a name", {"invocations": [{**ONE, "skill_name": 7}]}, "[0].skill_name", "expected a text"),
    ("text for a flag", {"invocations": [{**ONE, "completed": "yes"}]}, "[0].completed", "expected true or false"),
    ("negative", {"invocations": [ONE, {**ONE, "duration_seconds": -1}]}, "[1].duration_seconds", "negative"),
    ("flag for a number", {"invocations": [{**ONE, "duration_seconds": True}]}, "duration_seconds", "a number of"),
    ("no time", {"invocations": [{**ONE, "invoked_at": "yesterday"}]}, "[0].invoked_at", "expected a time"),
    ("no such day", {"invocations": [{**ONE, "invoked_at": "2026-02-30T00:00:00"}]}, "[0].invoked_at", "calendar"),
    ("too early", {"invocations": [{**ONE, "invoked_at": "1969-12-31T00:00:00"}]}, "[0].invoked_at", "from 1970"),
    ("text for a list", {"invocations": [{**ONE, "follow_up_actions": "x"}]}, "follow_up_actions", "a list of texts"),
    ("number in a list", {"invocations": [{**ONE, "follow_up_actions": ["x", 1]}]}, "follow_up_actions[1]", "a text"),
    ("too many", {"invocations": [{**ONE, "follow_up_actions": ["x"] * 201}]}, "follow_up_actions", "at most 200"),
    ("long path", {"invocations": [{**ONE, "workflow_path": "x" * 5000}]}, "workflow_path", "at most 4096"),
    ("totals", {"skills": {"review": {"total_invocations": -1}}}, "skills, entry 0.total_invocations", "whole number"),
    ("counter", {"skills": {"review": {"workflow_paths": {"x": "1"}}}}, "workflow_paths", "whole number"),
    ("no totals", {"skills": {"review": []}}, "skills, entry 0", "expected an object"),
    ("date", {"last_updated": 7}, "last_updated", "expected a text"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "place", "why"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_file_with_a_fault_is_refused_with_its_place(tmp_path: Path, content: Any, place: str, why: str) -> None:
    """The message names line, column, byte and member, and says nothing of what stands there."""
    path = written(tmp_path, content)
    with pytest.raises(ImportFileError) as caught:
        reader(path).check()
    assert place in caught.value.place
    assert caught.value.place.startswith(f"{path}, line ")
    assert why in caught.value.why
    assert len(str(caught.value)) < 400


def test_the_place_of_a_member_is_that_of_its_value(tmp_path: Path) -> None:
    """Line and column are those that an editor shows, with texts that are no ASCII before them."""
    record = '{"skill_name": "prüfen \\"x\\"", "duration_seconds": -1, "invoked_at": "2026-01-01T00:00:00"}'
    text = f'{{"invocations": [\n  {record}]}}'
    with pytest.raises(ImportFileError) as caught:
        reader(written(tmp_path, text.encode())).check()
    column = text.splitlines()[1].index("-1") + 1
    byte = text.encode().index(b"-1")
    assert f"line 2, column {column}, byte {byte} (invocations[0].duration_seconds)" in caught.value.place


def test_a_mark_of_utf_8_at_the_beginning_is_no_fault(tmp_path: Path) -> None:
    """Editors of some platforms write one."""
    path = written(tmp_path, codecs.BOM_UTF8 + json.dumps({"invocations": [ONE]}).encode())
    assert len(events(reader(path))) == 1
    with pytest.raises(ImportFileError, match="byte 3"):
        reader(written(tmp_path, codecs.BOM_UTF8 + b"[]")).check()


def test_missing_parts_of_a_file_are_those_of_an_empty_one(tmp_path: Path) -> None:
    """As the legacy tool has it: neither list nor totals have to be there, nor members with a default."""
    assert events(reader(written(tmp_path, {}))) == []
    (event,) = events(reader(written(tmp_path, {"invocations": [{k: ONE[k] for k in ("skill_name", "invoked_at")}]})))
    assert (event.status, event.duration_ms) == ("abandoned", None)


def test_what_has_begun_a_moment_ago_is_not_abandoned(tmp_path: Path) -> None:
    """It is skipped until a day has passed, or the tool is said to have stopped."""
    began = {**ONE, "invoked_at": "2026-11-29T08:00:00", "completed": False, "duration_seconds": None}
    path = written(tmp_path, {"invocations": [began]})
    assert [type(each) for each in reader(path).read()] == [Skipped]
    assert [type(each) for each in reader(path, settled=True).read()] == [Found]
    later = SkillMetricsReader(path, zone=timezone.utc, now_ms=lambda: NOW + 2 * DAY_MS)
    assert [type(each) for each in later.read()] == [Found]


def test_totals_are_held_against_a_recount_of_the_list(tmp_path: Path) -> None:
    """What the totals count beyond the list is told with both numbers; where both agree nothing is."""
    content = legacy_json.document([ONE, {**ONE, "completed": False}])
    whole = reader(written(tmp_path, content))
    whole.check()
    assert (whole.surplus, whole.notes) == ([], [])
    content["skills"]["review"]["total_invocations"] = 12
    content["skills"]["gone"] = {"skill_name": "gone", "total_invocations": 3}
    short = reader(written(tmp_path, content))
    short.check()
    assert [tuple(each) for each in short.surplus] == [
        ("gone", "total_invocations", 3, 0),
        ("review", "total_invocations", 12, 2),
    ]
    assert "review: total_invocations is 12 in the file and 2 counted from its list" in short.notes[1]


def test_keys_that_the_tool_does_not_know_are_told_and_kept(tmp_path: Path) -> None:
    """They become metadata, redacted; a session id becomes the session; a key beside the list is left out."""
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    more = {**ONE, "session_id": "s-1", "model": "large", "api_key": token}
    found = reader(written(tmp_path, {"version": 2, "invocations": [more]}))
    (event,) = events(found)
    assert (event.session_id, event.metadata["model"]) == ("s-1", "large")
    assert token not in repr(event)
    assert sorted(found.unknown) == [
        "invocations[].api_key", "invocations[].model", "invocations[].session_id", "version",
    ]  # fmt: skip
    assert any("version is not one of the legacy tool's: it is left out" in note for note in found.notes)


def test_a_file_cannot_say_that_its_events_were_written_to_both(tmp_path: Path) -> None:
    """The marks of who writes both systems are left out: the next import would take others for known ones."""
    forged = {**ONE, "json_from": "2020-01-01T00:00:00", "json_to": "2030-01-01T00:00:00", "model": "large"}
    (event,) = events(reader(written(tmp_path, {"invocations": [forged]})))
    assert sorted(event.metadata) == ["completed", "follow_up_actions", "invoked_at", "model", "workflow_path"]


def test_texts_are_redacted_on_the_way_in(tmp_path: Path) -> None:
    """Names, paths, errors and actions: no secret and no home directory gets out of the reader."""
    home = str(Path.home())
    token = "ghp_" + "z9Y8x7W6v5U4t3S2r1Q0p9O8n7M6l5K4j3I2"
    hostile = {
        **ONE, "skill_name": f"{home}/skills/review", "workflow_path": f"{home}/secret/way", "completed": False,
        "error_type": f"Denied {token}", "follow_up_actions": [f"curl -H 'Authorization: Bearer {token}'"],
    }  # fmt: skip
    (event,) = events(reader(written(tmp_path, {"invocations": [hostile]})))
    assert home not in repr(event)
    assert token not in repr(event)
    assert event.artifact_name == "~/skills/review"


def test_a_file_that_changes_while_it_is_read_is_no_longer_believed(tmp_path: Path) -> None:
    """Between the look and the import, and in the middle of it."""
    path = written(tmp_path, {"invocations": [ONE]})
    found = reader(path)
    found.check()
    path.write_text(json.dumps({"invocations": [ONE, ONE]}), "utf-8")
    with pytest.raises(ImportFileError, match="was changed while it was read"):
        list(found.read())


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    """What the system says of them, with the path."""
    for path in (tmp_path / "no.json", tmp_path):
        with pytest.raises(ImportFileError) as caught:
            reader(path).check()
        assert caught.value.place == str(path)


# --- the text itself ---------------------------------------------------------------------------------------

# Of every length in UTF-8, and what JSON escapes. The whole of Unicode takes seconds to draw from.
TEXTS = st.text('abé€😀"\\\n\0/', max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=10)
@given(st.lists(VALUES, max_size=4), st.integers(1, 40), st.sampled_from([None, 2]))
def test_values_come_out_as_the_standard_library_reads_them(values: list[Any], size: int, indent: int | None) -> None:
    """Whatever the size of the pieces in which the text is read."""

    class Pieces(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            return super().read(size)

    for plain in (True, False):
        data = json.dumps(values, indent=indent, ensure_ascii=plain).encode()
        text = JsonText(Pieces(data), "text")
        assert list(text.values("")) == list(enumerate(values))
        assert (text.peek(), text.done) == ("", len(data))


@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_fault_with_its_place(data: bytes) -> None:
    """Nothing else is raised, whatever stands there."""
    assert outcome(b'{"a": [' + data) in ("read", "text, line ")


def outcome(data: bytes) -> str:
    """Return what becomes of an object of lists: ``read``, or how the place of its fault begins."""
    text = JsonText(io.BytesIO(data), "text")
    try:
        for key in text.members(""):
            for _ in text.values(key):
                pass
    except ImportFileError as error:
        return error.place[:11]
    return "read"


def test_one_value_of_any_length_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a limit it is refused, before more of it is read."""
    monkeypatch.setattr(json_text, "VALUE_LIMIT", 1000)
    monkeypatch.setattr(json_text, "_CHUNK", 100)
    file = io.BytesIO(b'["' + b"x" * 1_000_000)
    text = JsonText(file, "text")
    with pytest.raises(ImportFileError, match="one value of more than 1000 characters"):
        list(text.values(""))
    assert file.tell() < 5000


def test_memory_does_not_grow_with_the_number_of_invocations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no moment is more of the text in memory than a piece, and a record that it cuts."""
    path = tmp_path / "metrics.json"
    legacy_json.write(path, 2000)
    monkeypatch.setattr(json_text, "_CHUNK", 4096)
    largest = 0
    found = reader(path)
    for _ in found.read():
        assert found._text is not None
        largest = max(largest, len(found._text._buffer))
    assert 0 < largest < 3 * 4096 < path.stat().st_size
