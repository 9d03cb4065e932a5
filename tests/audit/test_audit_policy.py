"""An audit looks for what the policy in force removes: its own rules too, and not for what it lets stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.audit.planting import WHO, database, plant
from tests.audit.test_audit_clean import TOKEN
from usagetrace.audit import audit
from usagetrace.events import Event
from usagetrace.redaction import Redactor
from usagetrace.redaction.policy import Policy
from usagetrace.store import Store

OTHER = TOKEN[:-4] + "9wXy"
MAIL = "grace@example.org"


def rules(path: Path, policy: Policy | None) -> set[str]:
    return {each.rule for each in audit(path, WHO, policy=policy).findings}


@pytest.mark.parametrize("text", [TOKEN, MAIL, "ran by lovelace today", "/home/lovelace/x"])
@pytest.mark.parametrize("place", ["row", "removed", "index", "blob"])
def test_a_value_that_the_policy_lets_stand_is_not_reported(tmp_path: Path, text: str, place: str) -> None:
    """In rows, in free space beside other values, in full-text indexes."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        if place == "index":
            connection.execute("CREATE VIRTUAL TABLE notes USING fts5(body, content='')")
            connection.execute("INSERT INTO notes (body) VALUES (?)", (text,))
        else:
            plant(connection, [text])
        if place == "blob":
            connection.execute("UPDATE planted SET s0 = CAST(s0 AS BLOB)")
        if place == "removed":
            connection.execute("DROP TABLE planted")
    allowed = Policy(values=[text, "lovelace"])
    assert (place == "index" and text == MAIL) or rules(path, None)
    assert rules(path, allowed) == set()


def test_another_value_is_reported_all_the_same(tmp_path: Path) -> None:
    """What is let stand is that one alone."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        plant(connection, [TOKEN, OTHER])
    found = audit(path, WHO, policy=Policy(values=[TOKEN])).findings
    assert {(each.area, each.column) for each in found} == {("row", "s1")}


def test_own_rules_are_looked_for(tmp_path: Path) -> None:
    """What a policy finds besides is no less private."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        plant(connection, ["see TICK-1234"])
    assert rules(path, None) == set()
    assert rules(path, Policy(rules=[{"name": "ticket", "pattern": r"TICK-\d+"}])) == {"ticket"}


@pytest.mark.parametrize("mode", ["mask", "drop", "hash"])
@pytest.mark.parametrize("key", ["usage.metadata.note", "note", "usage.metadata.*"])
def test_keys_are_those_of_the_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, key: str) -> None:
    """The entries of metadata have the names that they were recorded by; no key for hashes is made for that."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", 1, metadata={"note": "plain"})])
    assert rules(path, None) == set()
    assert rules(path, Policy(keys={key: mode})) == {"key"}
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(("key", "found"), [("usage.metadata.note", set()), ("query", {"gh-token"})])
def test_what_is_kept_below_a_key_is_not_reported(tmp_path: Path, key: str, found: set[str]) -> None:
    """Metadata is kept entry by entry."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", 1, metadata={"note": TOKEN})])
    assert rules(path, Policy(keys={key: "keep"})) == found


@pytest.mark.parametrize("mode", ["mask", "drop"])
def test_what_a_policy_wrote_is_clean_by_it(tmp_path: Path, mode: str) -> None:
    """Also under an allow-list: columns that are no attributes are no findings."""
    policy = Policy(
        mode=mode, keys={"note": "mask", "project.path": "keep"}, only=["usage.*"], values=[MAIL],
        rules=[{"name": "ticket", "pattern": r"TICK-\d+"}],
    )  # fmt: skip
    metadata = {"note": "plain", "text": f"{MAIL} TICK-12", "token": TOKEN}
    redacted = Redactor("/home/lovelace", "lovelace", "analytical-engine-7", policy=policy).redact(
        "usage.metadata", metadata
    )
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", 1, None, "/home/lovelace/x", json.loads(json.dumps(redacted)))])
    assert rules(path, policy) == set()
    assert rules(path, None) >= {"home"}
