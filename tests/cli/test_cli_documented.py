"""What the reference says of the command line is what it does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from usagetrace.cli.app import app
from usagetrace.cli.describe import describe
from usagetrace.events import Event

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
NOW = 1_793_534_400_000
COMMANDS = {
    "overview": "report", "top": "top", "events": "events", "stats": "db stats", "status": "status", "config": "config",
    "drain": "db drain", "audit": "audit", "redact": "redact", "targets": "targets list",
    "targets_check": "targets check", "skills": "skills list",
}  # fmt: skip
# They need an endpoint, a file or a name: their shapes are compared in their own tests.
ELSEWHERE = {
    "forward": ("forward",),
    "import": ("import v1", "import jsonl", "import otlp", "import csv", "import skills"),
    "skill": ("skills show",),
    "skill_timeline": ("skills timeline",),
    "skill_search": ("skills search",),
    "skills_compare": ("skills compare",),
}
TYPES = {"text": str, "whole": int, "number": int | float, "bool": bool, "null": type(None)}


def shapes() -> dict[str, Any]:
    text = (REFERENCE / "json-shapes.md").read_text("utf-8")
    return {
        name: json.loads(block) for name, block in re.findall(r"^## (\w+)\n.*?```json\n(.*?)```", text, re.M | re.S)
    }


def mismatches(shape: Any, value: Any, place: str) -> list[str]:
    """Return where a value differs from a documented shape."""
    if isinstance(shape, str):
        kinds = shape.split(" | ")
        fits = "any" in kinds or any(
            isinstance(value, TYPES[kind]) and (kind == "bool") == isinstance(value, bool) for kind in kinds
        )
        return [] if fits else [f"{place}: expected {shape}, found {value!r}"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{place}: expected a list"]
        return [fault for index, item in enumerate(value) for fault in mismatches(shape[0], item, f"{place}[{index}]")]
    if "*" in shape:
        return [fault for key, item in value.items() for fault in mismatches(shape["*"], item, f"{place}.{key}")]
    if list(shape) != list(value):
        return [f"{place}: expected the keys {list(shape)}, found {list(value)}"]
    return [fault for key in shape for fault in mismatches(shape[key], value[key], f"{place}.{key}")]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("state", ["full", "bare", "absent", "off"])
def test_json_has_the_documented_shape(home: Any, sample: Any, name: str, state: str) -> None:
    """Every key, its type and its place, with events, with bare ones, without a store, and while off."""
    if state == "full":
        home.record(*sample())
    elif state == "bare":
        home.record(Event("deploy", "canvas", "", 0, status="error"))
    elif state == "off":
        home.environ["DO_NOT_TRACK"] = "1"
    value = home.json(COMMANDS[name])
    assert value["report"] == name
    assert mismatches(shapes()[name], value, name) == []


def test_each_shape_is_of_a_report_and_each_report_has_one() -> None:
    """No report without a documented shape, no shape without a report."""
    assert set(shapes()) == {*COMMANDS, *ELSEWHERE}
    with_json = {
        name
        for name, command in walk(app, "")
        for parameter in command.params
        if isinstance(parameter.type, click.Choice) and "json" in parameter.type.choices
    }
    assert with_json == {*COMMANDS.values(), *(name for names in ELSEWHERE.values() for name in names)}


def walk(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    found = [(name, command)]
    context = click.Context(command)
    for child in command.list_commands(context) if isinstance(command, click.Group) else ():
        below = command.get_command(context, child)
        assert below is not None
        found += walk(below, f"{name} {child}".strip())
    return found


def test_the_page_of_commands_is_the_generated_one() -> None:
    """The text between the marks is what the commands say of themselves."""
    text = (REFERENCE / "cli.md").read_text("utf-8")
    assert text.partition("<!-- generated -->\n")[2].partition("<!-- end generated -->")[0] == describe()


def test_every_command_and_option_has_help_and_is_described() -> None:
    """Nothing is left without a sentence."""
    page = describe()
    for name, command in walk(app, "usagetrace"):
        assert f"## `{name}`" in page
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                assert parameter.metavar
                assert parameter.metavar in page
                continue
            assert isinstance(parameter, click.Option)
            assert parameter.help, (name, parameter.name)
            assert parameter.opts[0] in page
