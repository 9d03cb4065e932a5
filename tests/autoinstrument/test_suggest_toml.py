"""A suggestion as text: TOML that reads back, with everything unsure in comments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import tomllib
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.autoinstrument.suggest import Proposal, Suggestion, suggest, to_toml
from usagetrace.autoinstrument.target import targets_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FIELDS = st.dictionaries(
    st.sampled_from(["artifact_name", "artifact_type", "each", "outcome", "metadata"]),
    st.one_of(TEXT, st.dictionaries(TEXT, TEXT, max_size=3)),
    max_size=4,
)
PROPOSALS = st.builds(
    Proposal,
    function=TEXT,
    event=st.sampled_from(["deploy", "update", "sync", "remove", "search"]),
    fields=FIELDS,
    unsure=st.tuples(TEXT),
    place=TEXT,
    score=st.just(1.0),
    sure=st.sampled_from([0.1, 0.9]),
)


def read(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the targets of a text: function, event, fields."""
    table = tomllib.loads(text)
    listed = lambda value: [value] if isinstance(value, str) else value  # noqa: E731 -- two lines below use it
    short = [(name, event, {}) for event, names in table.get("track", {}).items() for name in listed(names)]
    long = [
        (name, entry["event"], {key: value for key, value in entry.items() if key not in ("function", "event")})
        for entry in table.get("targets", [])
        for name in listed(entry["function"])
    ]
    return short + long


@settings(max_examples=50)
@given(st.lists(PROPOSALS, max_size=4), TEXT, TEXT)
def test_whatever_is_proposed_reads_back(found: list[Proposal], package: str, note: str) -> None:
    """Function, event and fields come back from the text, whatever characters they and the comments hold."""
    text = to_toml(Suggestion(package, tuple(found), 3, 1, (note,)))
    key = lambda row: (row[0], row[1], repr(sorted(row[2].items())))  # noqa: E731 -- one sort key for two lists
    expected = [(each.function, each.event, each.fields if each.sure >= 0.6 else {}) for each in found]
    assert sorted(read(text), key=key) == sorted(expected, key=key)


def test_the_text(tmp_path: Path) -> None:
    """One line where conventions suffice, a table where fields are told, guesses and faults as comments."""
    (tmp_path / "shelf.py").write_text(
        "def install(name):\n    open(name, 'w')\n\n"
        "def uninstall(document):\n    open(document['ref'], 'w')\n\n"
        "def purge(document):\n    open(document['ref'], 'w')\n\n"
        "def upgrade(url):\n    open(url, 'w')\n"
    )
    assert to_toml(suggest("shelf", [str(tmp_path)])) == (
        "# shelf: 4 functions that may be operations, by their names; nothing was imported or run.\n"
        "\n"
        "[track]\n"
        'deploy = "shelf:install"  # shelf.py:1\n'
        'update = "shelf:upgrade"  # shelf.py:10; unsure: artifact_name = "$url"\n'
        "\n"
        "[[targets]]\n"
        "function = [\n"
        '    "shelf:uninstall",  # shelf.py:4\n'
        '    "shelf:purge",  # shelf.py:7\n'
        "]\n"
        'event = "remove"\n'
        'artifact_name = "$document.ref"\n'
        'artifact_type = "document"\n'
    )


def test_what_could_not_be_read_is_said_in_a_comment(tmp_path: Path) -> None:
    """A package of one broken file gives a text without targets, and the reason."""
    (tmp_path / "shelf.py").write_text("def (:\n")
    text = to_toml(suggest("shelf", [str(tmp_path)]))
    assert tomllib.loads(text) == {}
    assert "# not read: shelf.py: line 1: " in text


@pytest.mark.parametrize("package", ["click", "importlib.metadata", "usagetrace.store"])
def test_real_packages_give_targets_without_a_fault(package: str) -> None:
    """Everything that can be proposed for a package is a valid target file."""
    faults: list[str] = []
    found = suggest(package, everything=True)
    targets = targets_of(tomllib.loads(to_toml(found)), "usagetrace.toml", faults)
    assert faults == []
    assert len(targets) == len(found.proposals) > 0
