"""The reference of targets is true: each example is put in force, called, and records the events that it says."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.sources import GROUP, VARIABLE
from usagetrace.autoinstrument.target import _KEYS, targets_of
from usagetrace.autoinstrument.verify import verify
from usagetrace.events import Event
from usagetrace.redaction import Redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parents[2] / "docs/reference/targets.md").read_text("utf-8")
PROGRAM = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.S)
EXAMPLES = re.findall(r"<!-- example -->\n```toml\n(.*?)```\n\n```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.S)
TABLES = re.findall(r"```toml\n(.*?)```", PAGE, re.S)


@pytest.fixture
def module(write: Callable[..., Path]) -> Any:
    """Return the page's program, imported; it is forgotten afterwards."""
    ((path, text),) = PROGRAM
    write(**{path.removesuffix(".py").replace("/", "__"): text, "skillshelf__init": ""})
    return importlib.import_module("skillshelf.shelf")


def shown(event: Event) -> str:
    """Return an event as the page writes one."""
    metadata = [f"{key}={value}" for key, value in sorted((event.metadata or {}).items())]
    return " ".join([event.event_type, f"{event.artifact_type}/{event.artifact_name}", event.status, *metadata])


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_records_what_the_page_says(module: Any, number: int) -> None:
    """Its targets have no fault, and its calls make the events that stand below it."""
    toml, calls, expected = EXAMPLES[number]
    faults: list[str] = []
    targets = targets_of(tomllib.loads(toml), "page", faults)
    assert faults == []
    assert verify(targets)[0] == [[]] * len(targets)
    rows: list[Any] = []

    def take(new: list[Any]) -> bool:
        rows.extend(new)
        return True

    runtime.install(Runtime(None, None, Redactor(), record=take))
    instrumentation = Instrumentation()
    instrumentation.begin(targets)
    try:
        exec(calls, {"shelf": module.Shelf("tools")})
    finally:
        instrumentation.end()
    assert [shown(Event(*row)) for row in rows] == expected.splitlines()


def test_every_table_of_the_page_is_read_without_a_fault() -> None:
    """Also those that are not run; every example was found."""
    assert len(EXAMPLES) == PAGE.count("<!-- example -->") > 5
    for text in TABLES:
        faults: list[str] = []
        targets = targets_of(tomllib.loads(text), "page", faults)
        assert faults == []
        assert targets or GROUP in text


def test_every_key_and_source_is_documented() -> None:
    """The table of keys names each key that a target takes, and no other."""
    table = PAGE.partition("| Key | Takes | Meaning |\n|---|---|---|\n")[2].partition("\n\n")[0]
    named = [key for line in table.splitlines() for key in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(_KEYS)
    assert [word for word in (VARIABLE, "USAGETRACE_CONFIG", GROUP) if f"`{word}`" not in PAGE] == []
