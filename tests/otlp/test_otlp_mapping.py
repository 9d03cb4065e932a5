"""Mappings: what other instrumentations send becomes events by the names of its attributes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.otlp.otlp_requests import NOW_NS, SPAN_ID, TRACE_ID, decoder, logs, traces
from usagetrace.errors import ConfigurationError
from usagetrace.events import Event
from usagetrace.otlp.decode import LOGS, TRACES
from usagetrace.otlp.mapping import Mapping, mappings_from_settings, mappings_of

SETTINGS = """
[[receiver.map]]
scope = "myapp*"
name = "deploy *"
event = "deploy"
artifact_name = '$app.artifact | $resource.service.name | "unnamed"'
artifact_type = "skill"
collection_name = "$app.collection"
project_path = "$app.root"
session_id = "$app.session"
metadata.region = "$resource.cloud.region"
metadata.what = "$name"
metadata.retries = "$app.retries"
metadata.source = "myapp"
metadata.mapped = true

[[receiver.map]]
event = "$app.verb"
artifact_name = "$app.artifact"
"""


def mapped(text: str) -> list[Mapping]:
    """Return the mappings of a settings file's text."""
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    faults: list[str] = []
    found = mappings_of(tomllib.loads(text), "usagetrace.toml", faults)
    assert faults == []
    return found


def test_a_span_becomes_the_event_that_a_mapping_says() -> None:
    """Fields from attributes, of the resource as well, from the name, and literals; the rest is the span's own."""
    attributes = {"app.artifact": "canvas", "app.collection": "main", "app.retries": 3, "app.unread": "x",
                  "error.type": "Timeout", "session.id": "not this"}  # fmt: skip
    request = traces(
        {**attributes, "app.session": "s-9"}, scope="myapp.core", name="deploy canvas", status=2,
        resource={"cloud.region": "north", "other": 1},
    )  # fmt: skip
    (row,) = decoder(mappings=mapped(SETTINGS)).read(TRACES, request).rows
    assert row == tuple(Event(
        "deploy", "canvas", "skill", NOW_NS // 1_000_000, "main", None,
        {"region": "north", "what": "deploy canvas", "retries": 3, "source": "myapp", "mapped": True}, 2.5, "error",
        "Timeout", "usage", "normal", "s-9", "shop", TRACE_ID.hex(), SPAN_ID.hex(), None,
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "service", "expected"),
    [
        ({"app.artifact": "canvas"}, "shop", "canvas"),
        ({"app.artifact": ""}, "shop", "shop"),
        ({}, "shop", "shop"),
        ({}, None, "unnamed"),
        ({"app.artifact": 5}, None, "5"),
        ({"app.artifact": ["a", "b"]}, None, "['a', 'b']"),
    ],
)
def test_a_chain_falls_back(attributes: dict[str, Any], service: Any, expected: str) -> None:
    """To the next that has something, to the literal at last."""
    request = traces(attributes, scope="myapp", name="deploy x", service=service)
    assert [row[1] for row in decoder(mappings=mapped(SETTINGS)).read(TRACES, request).rows] == [expected]


@pytest.mark.parametrize(
    ("scope", "name", "attributes", "expected"),
    [
        ("myapp", "deploy x", {"app.verb": "paint"}, "deploy"),
        ("myapp", "Deploy x", {"app.verb": "paint"}, "paint"),
        ("other", "deploy x", {"app.verb": "paint"}, "paint"),
        ("other", "deploy x", {"app.verb": " "}, None),
        ("other", "deploy x", {}, None),
    ],
)
def test_the_first_mapping_that_fits_is_taken(scope: str, name: str, attributes: Any, expected: Any) -> None:
    """By scope and name, in the order of the file; one whose event has no value does not fit."""
    decoded = decoder(mappings=mapped(SETTINGS)).read(TRACES, traces(attributes, scope=scope, name=name))
    assert [row[0] for row in decoded.rows] == ([] if expected is None else [expected])
    assert decoded.ignored == (expected is None)


def test_log_events_are_mapped_and_other_records_are_not() -> None:
    """By the event's name; a record without one is a line of a log."""
    read = decoder(mappings=mapped(SETTINGS)).read
    attributes = {"app.verb": "paint", "app.artifact": "canvas", "log.record.uid": "a-uid"}
    (row,) = read(LOGS, logs(attributes, scope="x", event_name="app.painted", severity_number=17)).rows
    (again,) = read(LOGS, logs(attributes, scope="x", event_name="app.painted", severity_number=17)).rows
    assert (row[:2], row[7], row[8], row[15]) == (("paint", "canvas"), None, "error", again[15])
    assert read(LOGS, logs(attributes, scope="x", event_name="")).ignored == 1


def test_our_own_events_need_no_mapping() -> None:
    """And none changes them."""
    (row,) = decoder(mappings=mapped(SETTINGS)).read(TRACES, traces(scope="myapp", name="deploy x")).rows
    assert row[1] == "canvas"


def test_every_fault_is_named_with_its_place() -> None:
    """All of them at once, and what is right is kept."""
    good = {"name": "x", "event": "e"}
    entries = [
        {"scope": 5, "event": "e"}, {"name": "x"}, {"event": "everything"}, {"name": "x", "event": "$"},
        {"name": "x", "event": "e", "artefact_name": "a"}, {"name": "", "event": "e"}, "text",
        {"name": "x", "event": "e", "artifact_name": '"a" | $b'}, {"name": "x", "event": "$a b | 'c'"},
        {"name": "x", "event": "e", "metadata": {"k": ["l"], "t": ""}}, {"name": "x", "event": ["e"], "metadata": "m"},
        {"name": "x", "event": "e", "artifact_name": '$a | "lit" | $b'}, good,
    ]  # fmt: skip
    faults: list[str] = []
    found = mappings_of({"receiver": {"map": entries, "maps": []}}, "t.toml", faults)
    assert [repr(mapping) for mapping in found] == [
        repr(Mapping("*", "x", fields={}, metadata={})),
        repr(Mapping("*", "x", fields={}, metadata={})),
    ]
    assert faults == [
        "t.toml: receiver.maps: unknown key; expected map",
        "t.toml: receiver.map[1]: scope: expected a pattern such as 'shop.*', found a number",
        "t.toml: receiver.map[2]: event: is missing; expected an event type, or $ and the name of an attribute",
        "t.toml: receiver.map[3]: would make every span an event; expected scope, name, or an event such as "
        "'$app.verb'",
        f"t.toml: receiver.map[4]: event: {EXPECTED}, found '$'",
        "t.toml: receiver.map[5]: artefact_name: unknown key; did you mean 'artifact_name'?",
        "t.toml: receiver.map[6]: name: expected a pattern such as 'shop.*', found ''",
        "t.toml: receiver.map[7]: expected a table, found a text",
        f"t.toml: receiver.map[9]: event: {EXPECTED}, found '$a b'",
        "t.toml: receiver.map[10]: metadata.k: expected a text, found an array",
        "t.toml: receiver.map[10]: metadata.t: expected a literal, or $ and the name of an attribute, found nothing",
        "t.toml: receiver.map[11]: event: expected a text, found an array",
        "t.toml: receiver.map[11]: metadata: expected a table, found a text",
        "t.toml: receiver.map[12]: artifact_name: what stands behind a literal is never looked at: "
        """'$a | "lit" | $b'""",
    ]


EXPECTED = "expected $ and the name of an attribute, $resource. and one of the resource, $name, or a literal in quotes"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"receiver": 5}, "t: receiver: expected a table, found a number"),
        ({"receiver": {"map": {}}}, "t: receiver.map: expected an array of tables, [[receiver.map]], found a table"),
    ],
)
def test_tables_of_a_wrong_kind(table: Any, fault: str) -> None:
    """They are named, not raised."""
    faults: list[str] = []
    assert mappings_of(table, "t", faults) == []
    assert faults == [fault]
    assert mappings_of({}, "t", []) == []


def test_they_are_read_from_the_settings_files(tmp_path: Path) -> None:
    """The project's file, and every fault of it in one error."""
    file = tmp_path / "usagetrace.toml"
    file.write_text(SETTINGS)
    assert [mapping.name for mapping in mappings_from_settings({}, tmp_path)] == ["deploy *", "*"]
    file.write_text("[[receiver.map]]\nevent = 5\nnome = 'x'\n")
    with pytest.raises(ConfigurationError) as caught:
        mappings_from_settings({}, tmp_path)
    assert len(caught.value.faults) == 3


def test_the_page_says_what_is_true() -> None:
    """The span of the how-to page is an event by its own attributes, and the same event by the page's mapping."""
    text = (Path(__file__).parents[2] / "docs/how-to/receive-other-instrumentations.md").read_text("utf-8")
    (request,) = re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (settings,) = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    mappings = mapped(settings)
    (row,) = decoder(mappings=mappings).decode(TRACES, request.encode(), json=True).rows
    assert row[:9] == ("deploy", "canvas", "", 1_700_000_000_000, None, None, {"version": "1.2"}, 250.0, "ok")
    (other,) = decoder(mappings=mappings).decode(TRACES, request.replace("usage.", "x.").encode(), json=True).rows
    assert other == ("deploy", "canvas", "skill", row[3], "shop", *row[5:])
