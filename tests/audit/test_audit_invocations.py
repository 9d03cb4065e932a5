"""An audit looks where an invocation's texts go: its counts, and the index of the search."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.planting import WHO
from tests.audit.test_audit_clean import TOKEN
from usagetrace.audit import audit
from usagetrace.events import Event
from usagetrace.redaction.policy import Policy
from usagetrace.store import Store
from usagetrace.store.invocation_queries import search

WHERE = {
    "workflow_path": ({"workflow_path": f"quick {TOKEN}"}, "usage.metadata.workflow_path"),
    "follow_up_actions": ({"follow_up_actions": [f"push {TOKEN}"]}, "usage.metadata.follow_up_actions"),
    "error_type": ({"error_type": TOKEN}, "error.type"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "analytics.db"


@pytest.mark.parametrize("column", WHERE)
def test_found_in_the_counts_and_in_the_index(path: Path, column: str) -> None:
    """A token in a path, an action or an error's type is found under the name of what it is."""
    metadata, _ = WHERE[column]
    with Store(path) as store:
        store.write([Event("invoke", "run", "skill", 1, metadata=metadata)])
        search(store, "quick")
    found = {(each.file, each.table, each.column) for each in audit(path, WHO).findings}
    assert ("analytics.db", "invocation_counts", column) in found
    assert (("analytics.db-search", "paths_content", column) in found) == (column == "workflow_path")


@pytest.mark.parametrize("column", ["workflow_path", "follow_up_actions"])
def test_what_is_kept_by_its_key_is_kept_there_too(path: Path, column: str) -> None:
    """What the policy lets stand in the metadata it lets stand where that is counted, and nowhere else."""
    metadata, key = WHERE[column]
    with Store(path) as store:
        store.write([Event("invoke", "run", "skill", 1, metadata=metadata)])
    assert audit(path, WHO, policy=Policy(keys={key: "keep"})).findings == ()
    assert audit(path, WHO, policy=Policy(keys={"usage.metadata.other": "keep"})).findings


def test_clean_ones_are_clean(path: Path) -> None:
    """Ordinary paths, actions, errors and sessions are no findings, in tables, views and index."""
    metadata = {
        "workflow_path": "comprehensive/quick-fix",
        "follow_up_actions": ["git commit"],
        "error_type": "ValueError",
    }
    with Store(path) as store:
        for n in range(300):
            store.write([Event("invoke", f"run-{n}", "skill", 1 + n, metadata=metadata, session_id=f"{n:032x}")])
        search(store, "quick")
    found = audit(path, WHO)
    assert (found.findings, found.problems) == ((), ())
