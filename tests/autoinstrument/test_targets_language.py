"""Targets as TOML says them: what each form becomes, and every fault named with file and key."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.autoinstrument.target import FIELDS, FRAMEWORKS, Target, is_function, targets_from, targets_of
from usagetrace.track import plan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "usagetrace.toml"


def read(text: str) -> tuple[list[Target], list[str]]:
    """Return the targets and the faults of a file."""
    faults: list[str] = []
    return targets_of(tomllib.loads(text), FILE, faults), faults


def test_the_fields_of_a_target_are_those_of_track() -> None:
    """The list is repeated so that a program that imports no target loads no tracking; it must be the same list."""
    assert FIELDS == plan.FIELDS


def test_the_short_form_is_one_line_a_function_or_a_list_of_them() -> None:
    """`[track]` names event types and their functions; conventions find the fields."""
    targets, faults = read('[track]\ndeploy = "a.b:C.f"\nsearch = ["a:s", "b:s"]\n"tokens_used" = "m:t"')
    assert faults == []
    assert [(t.function, t.module, t.qualname, t.event, t.fields) for t in targets] == [
        ("a.b:C.f", "a.b", "C.f", "deploy", {}),
        ("a:s", "a", "s", "search", {}),
        ("b:s", "b", "s", "search", {}),
        ("m:t", "m", "t", "tokens_used", {}),
    ]
    assert targets[1].where == f"{FILE}: track.search (a:s)"


def test_the_long_form_takes_every_field_of_track() -> None:
    """A table of `[[targets]]` may give each field; what it gives is handed on as it stands."""
    targets, faults = read("""
        [[targets]]
        function = "m:f"
        event = { "$upgrade" = "update", else = "deploy" }
        each = "$result"
        requested = "$names"
        artifact_name = "$item.name | $item"
        artifact_type = "skill"
        collection_name = "$self.collection.name"
        project_path = "$project"
        session_id = "$session"
        outcome = { "$item.errors" = "error" }
        skip_if = "$dry_run or not $names"
        skip_within = ["add"]
        nested = false
        fill_only = true
        optional = true
        preload = true
        [targets.metadata]
        version = "$result.version"
        limit = 5
        """)
    assert faults == []
    (target,) = targets
    assert target.event == {"$upgrade": "update", "else": "deploy"}
    assert set(target.fields) == set(FIELDS)
    assert target.fields["metadata"] == {"version": "$result.version", "limit": 5}
    assert (target.optional, target.preload, target.framework, target.events) == (True, True, "", {})
    assert target.where == f"{FILE}: targets[1] (m:f)"


def test_what_is_not_said_is_not_optional_and_not_preloaded() -> None:
    """The flags are false where a table does not name them."""
    (target,), faults = read('[[targets]]\nfunction = "m:f"\nevent = "deploy"')
    assert (faults, target.optional, target.preload) == ([], False, False)


def test_a_list_of_functions_makes_a_target_of_each() -> None:
    """They share event and fields, and no dictionary."""
    targets, faults = read('[[targets]]\nfunction = ["m:f", "m:g"]\nevent = "deploy"\nartifact_type = "skill"')
    assert (faults, [t.function for t in targets]) == ([], ["m:f", "m:g"])
    targets[0].fields["artifact_type"] = "other"
    assert targets[1].fields == {"artifact_type": "skill"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_stands_in_place_of_a_function(framework: str) -> None:
    """It needs no event; `events` maps the names of commands, and further keys are fields of all of them."""
    targets, faults = read(
        f'[[targets]]\n{framework} = "tool.cli:cli"\nartifact_type = "note"\nevents = {{ ls = "search" }}'
    )
    assert faults == []
    (target,) = targets
    assert (target.framework, target.function, target.event) == (framework, "tool.cli:cli", "")
    assert (target.events, target.fields) == ({"ls": "search"}, {"artifact_type": "note"})


SHARED = """
[fields.skill]
artifact_type = "skill"
artifact_name = "$name"
metadata = { version = "$version", source = "$source" }
[fields.project]
artifact_type = "project"
project_path = "$path"
"""


def test_shared_fields_lie_beneath_a_targets_own() -> None:
    """`use` takes fields over by name: a target's own win, of several names the first, and metadata is joined."""
    targets, faults = read(
        SHARED
        + """
        [[targets]]
        function = "m:one"
        event = "deploy"
        use = "skill"
        [[targets]]
        function = "m:two"
        event = "deploy"
        use = ["skill", "project"]
        artifact_name = "$other"
        metadata = { version = "$v" }
        """
    )
    assert faults == []
    skill = {"version": "$version", "source": "$source"}
    assert targets[0].fields == {"artifact_type": "skill", "artifact_name": "$name", "metadata": skill}
    assert targets[1].fields == {
        "artifact_type": "skill", "artifact_name": "$other", "project_path": "$path",
        "metadata": {"version": "$v", "source": "$source"},
    }  # fmt: skip


GOOD = 'function = "m:f"\nevent = "deploy"\n'
EXPECTED = "expected module:function, such as 'tool.core:deploy' or 'tool.core:Shelf.deploy'"
NAME = "expected the name of an event type, such as 'deploy'"
FAULTS = {
    'track = "m:f"': "track: expected a table of event types, found a text",
    'targets = "m:f"': "targets: expected an array of tables, [[targets]], found a text",
    "[targets]\nevent = 1": "targets: expected an array of tables, [[targets]], found a table",
    "targets = [1]": "targets[1]: expected a table, found a number",
    '[track]\ndeploy = "m.f"': f"track.deploy: {EXPECTED}, found 'm.f'; did you mean 'm:f'?",
    '[track]\ndeploy = ["m:f", 3]': f"track.deploy: {EXPECTED}, found a number",
    "[track]\ndeploy = []": "track.deploy: names no function",
    '[track]\n"" = "m:f"': "track.: expected the name of an event type, such as deploy, before the function",
    '[[targets]]\nevent = "deploy"': "targets[1]: names nothing to record; expected one of function, click, typer, "
    "argparse, fastapi",
    f'[[targets]]\n{GOOD}click = "m:c"': "targets[1]: names function and click; expected one of function, click, "
    "typer, argparse, fastapi",
    '[[targets]]\nfunction = "m"\nevent = "deploy"': f"targets[1].function: {EXPECTED}, found 'm'",
    '[[targets]]\nfunction = "m:f()"\nevent = "deploy"': f"targets[1].function: {EXPECTED}, found 'm:f()'",
    '[[targets]]\nfunction = "m:f"': "targets[1] (m:f): event: is missing; expected the name of an event type, such as "
    "'deploy'",
    '[[targets]]\nfunction = "m:f"\nevent = " "': f"targets[1] (m:f): event: is ' '; {NAME}",
    '[[targets]]\nfunction = "m:f"\nevent = "$kind"': "targets[1] (m:f): event: is '$kind'; expected the name of an "
    "event type, such as 'deploy'",
    '[[targets]]\nfunction = "m:f"\nevent = ["a"]': f"targets[1] (m:f): event: is an array; {NAME}",
    '[[targets]]\nfunction = "m:f"\nevent = { "$a" = 1 }': "targets[1] (m:f): event: is a table; expected the name of "
    "an event type, such as 'deploy'",
    f'[[targets]]\n{GOOD}events = {{ ls = "search" }}': "targets[1] (m:f): events: only for click, typer, argparse, "
    "fastapi",
    '[[targets]]\nclick = "m:c"\nevent = "deploy"': "targets[1] (m:c): event: the commands' names say it; map others "
    "by events = { name = 'event' }",
    '[[targets]]\nclick = "m:c"\nevents = { ls = 1 }': "targets[1] (m:c): events: expected a table of names and event "
    "types",
    f'[[targets]]\n{GOOD}artefact_name = "$n"': "targets[1] (m:f): artefact_name: unknown field; did you mean "
    "'artifact_name'?",
    f"[[targets]]\n{GOOD}optional = 1": "targets[1] (m:f): optional: expected true or false, found 1",
    f'[[targets]]\n{GOOD}nested = "yes"': "targets[1] (m:f): nested: expected true or false, found 'yes'",
    f"[[targets]]\n{GOOD}fill_only = 0": "targets[1] (m:f): fill_only: expected true or false, found 0",
    f'[[targets]]\n{GOOD}preload = "no"': "targets[1] (m:f): preload: expected true or false, found 'no'",
    f'[[targets]]\n{GOOD}skip_within = "add"': "targets[1] (m:f): skip_within: expected a list of event types, such as "
    "['add'], found 'add'",
    f"[[targets]]\n{GOOD}skip_within = 3": "targets[1] (m:f): skip_within: expected a list of event types, such as "
    "['add'], found 3",
    f"[[targets]]\n{GOOD}metadata = 3": "targets[1] (m:f): metadata: expected a table, or a selector that gives one, "
    "found a number",
    f'[[targets]]\n{GOOD}metadata = "x"': "targets[1] (m:f): metadata: expected a table, or a selector that gives one, "
    "found a text",
    'fields = "x"': "fields: expected tables, [fields.NAME], found a text",
    "[fields]\nskill = 3": "fields.skill: expected a table of fields, found a number",
    '[fields.skill]\nartifact_nam = "$n"': "fields.skill: artifact_nam: unknown field; did you mean 'artifact_name'?",
    '[fields.skill]\nfunction = "m:f"': "fields.skill: function: unknown field; expected one of " + ", ".join(FIELDS),
    f'[[targets]]\n{GOOD}use = "skill"': "targets[1] (m:f): use: no fields of the name 'skill'; there is no table "
    "[fields.NAME]",
    f'[fields.skill]\n[[targets]]\n{GOOD}use = ["skil"]': "targets[1] (m:f): use: no fields of the name 'skil'; there "
    "are skill",
}  # fmt: skip


@pytest.mark.parametrize("text", FAULTS)
def test_each_fault_is_one_sentence_with_file_and_key(text: str) -> None:
    """Nothing faulty becomes a target, and the sentence says where it stands and what was expected."""
    targets, faults = read(text)
    assert faults == [f"{FILE}: {FAULTS[text]}"]
    assert [t.function for t in targets if t.qualname != "f" or "track" not in text] == []


def test_all_faults_are_told_at_once_and_the_good_targets_stay() -> None:
    """One faulty table hides neither its other faults nor the tables beside it."""
    targets, faults = read("""
        [track]
        remove = "m:gone"
        [[targets]]
        function = "m.f"
        evnt = "deploy"
        nested = 1
        [[targets]]
        function = "m:good"
        event = "deploy"
        """)
    assert [t.function for t in targets] == ["m:gone", "m:good"]
    assert [fault.partition(": ")[2] for fault in faults] == [
        f"targets[1].function: {EXPECTED}, found 'm.f'; did you mean 'm:f'?",
        "targets[1]: event: is missing; expected the name of an event type, such as 'deploy'",
        "targets[1]: evnt: unknown field; did you mean 'event'?",
        "targets[1]: nested: expected true or false, found 1",
    ]


def test_of_two_targets_on_one_function_the_first_counts_and_the_second_is_a_fault() -> None:
    """Nobody could say which is meant; the sentence names both places."""
    targets, faults = read('[track]\ndeploy = "m:f"\n[[targets]]\nfunction = ["m:g", "m:f"]\nevent = "update"')
    assert [(t.function, t.event) for t in targets] == [("m:f", "deploy"), ("m:g", "update")]
    assert faults == [
        f"{FILE}: targets[1] (m:f): two targets on one function; the other one is {FILE}: track.deploy (m:f)"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m:f", True), ("a.b:C.f", True), ("__main__:f", True), ("m:f.<locals>.g", False), ("m", False), (":f", False),
        ("m:", False), ("a b:f", False), ("m:f:g", False), ("m:1f", False), ("", False),
    ],
)  # fmt: skip
def test_a_function_is_a_module_a_colon_and_its_place(text: str, expected: bool) -> None:
    """Everything else is told, with advice where a dot stands for the colon."""
    assert is_function(text) is expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(date(2026, 11, 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["function", "event", "events", "optional", "preload", "use", *FRAMEWORKS, *FIELDS, "other"]
)  # fmt: skip


@settings(max_examples=40)
@given(st.dictionaries(KEYS, VALUES | st.just("m:f"), max_size=6))
def test_whatever_a_table_holds_it_becomes_targets_or_faults(entry: dict[str, Any]) -> None:
    """No value raises; a table without a fault gives at least one target, one with a fault none."""
    faults: list[str] = []
    targets = targets_from(entry, "here", faults)
    assert bool(targets) is not bool(faults)
    assert all(fault.startswith("here") for fault in faults)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["track", "targets", "fields", "analytics"]), VALUES, max_size=4))
def test_whatever_a_file_holds_nothing_is_raised(table: dict[str, Any]) -> None:
    """The tables of other settings are passed over, and each fault names the file."""
    faults: list[str] = []
    targets_of(table, FILE, faults)
    assert [fault for fault in faults if not fault.startswith(f"{FILE}: ")] == []


@pytest.mark.parametrize(
    ("name", "meant"), [("tracks", "track"), ("target", "targets"), ("Targets", ""), ("field", "fields"), ("otlp", "")]
)
def test_a_table_whose_name_is_nearly_one_of_ours_is_a_fault(name: str, meant: str) -> None:
    """A slip of the pen must not make a whole file silent."""
    faults: list[str] = []
    targets_of({name: {"deploy": "a:b"}}, "usagetrace.toml", faults)
    assert faults == ([f"usagetrace.toml: {name}: unknown table; did you mean {meant!r}?"] if meant else [])
