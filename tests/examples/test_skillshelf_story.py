"""The story of the demo: what it does, and that its account notices when telemetry is wrong."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

# The demo is a script beside the package, not a part of one.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import demo_skillshelf
from demo_skillshelf import Expected, differences

# Every metadata key that the five operations owe.
KEYS = {
    "deploy": {"version", "sha", "success"},
    "update": {"strategy", "version_before", "version_after", "conflicts_detected", "user_choice", "rollback"},
    "sync": {"sync_type", "result", "sha_before", "sha_after", "conflicts_detected", "error_message"},
    "remove": {"reason", "from_project"},
    "search": {"query", "search_type", "score", "rank", "total_results"},
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> list[Expected]:
    """The account of a story told in this process, with telemetry off."""
    return demo_skillshelf.run(tmp_path_factory.mktemp("story") / "home", {"DO_NOT_TRACK": "1"}, in_process=True)


def rows_of(account: list[Expected]) -> list[dict[str, Any]]:
    """Return rows as a recorder without a fault would have written them."""
    rows = [asdict(each) for each in account]
    for row in rows:
        row["metadata"] = {key: "x" if value is ... else value for key, value in row["metadata"].items()}
    return rows


def test_the_story_covers_what_a_user_can_do(account: list[Expected]) -> None:
    """Forty artifacts, each operation with each of its keys, each way to end, searches of each size."""
    deployed = {(e.artifact_type, e.artifact_name) for e in account if e.event_type == "deploy" and e.status == "ok"}
    assert len(deployed) >= 40
    for operation, keys in KEYS.items():
        events = [e for e in account if e.event_type == operation]
        assert keys <= {key for event in events for key in event.metadata}
        assert {"ok"} <= {event.status for event in events}
    told = {(e.event_type, key, str(value)) for e in account for key, value in e.metadata.items()}
    wanted = {("sync", "result", word) for word in ("success", "conflict", "error", "cancelled")}
    wanted |= {("sync", "sync_type", word) for word in ("overwrite", "merge", "fork")}
    wanted |= {("update", "strategy", word) for word in ("overwrite", "merge", "prompt")}
    wanted |= {("update", "user_choice", word) for word in ("proceed", "cancel")}
    wanted |= {("remove", "reason", word) for word in ("user_action", "cleanup")}
    wanted |= {("remove", "from_project", word) for word in ("True", "False")}
    wanted |= {("update", "rollback", "True"), ("deploy", "success", "False"), ("search", "total_results", "0")}
    assert wanted - told == set()
    assert max(e.item or 0 for e in account) == 4


def test_an_internal_replacement_is_no_removal(account: list[Expected]) -> None:
    """The account expects one event of an `add --replace`, and no removal of the artifact from that collection."""
    replaced = [e for e in account if e.metadata.get("replaced")]
    assert [(e.event_type, e.artifact_name) for e in replaced] == [("add", "standup")]


def test_the_account_agrees_with_a_faultless_recorder(account: list[Expected]) -> None:
    """Rows that say what was done differ in nothing, whatever their order."""
    assert differences(account, rows_of(account)[::-1]) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "abandoned"},
        {"artifact_name": "other"},
        {"artifact_type": ""},
        {"project_path": "/home/ada/projects/shop"},
        {"metadata": {"version": "1.3.0", "success": True}},
        {"metadata": None},
        {"item": 0},
    ],
)
def test_the_account_notices_a_wrong_row(account: list[Expected], fault: dict[str, Any]) -> None:
    """One wrong field in one row of many is a difference."""
    rows = rows_of(account)
    at = next(number for number, each in enumerate(account) if each.event_type == "deploy")
    assert differences(account, [*rows[:at], {**rows[at], **fault}, *rows[at + 1 :]]) != []


def test_the_account_notices_missing_and_doubled_rows(account: list[Expected]) -> None:
    """A lost event and an event counted twice are differences."""
    rows = rows_of(account)
    assert len(differences(account, rows[:-1])) == 1
    assert len(differences(account, [*rows, rows[-1]])) == 1


def test_any_value_means_that_there_is_one() -> None:
    """Where the account leaves a value open, the key must be there all the same."""
    event = Expected("sync", "a", "skill", metadata={"error_message": ...})
    there, missing = replace(event, metadata={"error_message": "x"}), replace(event, metadata={})
    assert [len(differences([event], rows_of([each]))) for each in (there, missing)] == [0, 1]
