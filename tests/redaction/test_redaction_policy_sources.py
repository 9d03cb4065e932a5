"""Where a policy comes from: user's file, variable, project, code; who wins; and what then leaves, by every door."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import usagetrace
from usagetrace import places, semconv, track
from usagetrace.cli.waiting import bring_in
from usagetrace.config import load_settings
from usagetrace.errors import ConfigurationError, RedactionError
from usagetrace.redaction import Match, Policy, RedactingSpanProcessor, Redactor, default_redactor
from usagetrace.redaction.policy import KEY_MODES
from usagetrace.redaction.policy_table import redaction_policy
from usagetrace.testing import capture_events
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

MAIL = "bob@example.com"


def user(text: str) -> None:
    path = places.config_file(os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def project(text: str) -> None:
    Path("usagetrace.toml").write_text(text, "utf-8")


def faults() -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        redaction_policy()
    return list(caught.value.faults)


# --- which source says what --------------------------------------------------------------------------------

_MODES = ("", "mask", "drop", "hash")


@pytest.mark.parametrize(
    ("file", "variable", "code", "repository"),
    # Every pair and every three of them.
    [each for each in itertools.product(_MODES, _MODES, _MODES, ("", "mask", "drop")) if any(each) and not all(each)],
)
def test_the_strictest_of_user_code_and_project_counts(
    file: str, variable: str, code: str, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's variable goes before the user's file; a source that says nothing makes no difference."""
    if file:
        user(f"[redaction]\nmode = '{file}'\n")
    if repository:
        project(f"[redaction]\nmode = '{repository}'\n")
    if variable:
        monkeypatch.setenv("USAGETRACE_REDACTION_MODE", variable.upper())
    said = [each for each in (variable or file, code, repository) if each]
    policy = load_settings({"redaction": {"mode": code} if code else None}).redaction
    assert policy is not None
    assert policy.mode == max(said, key=KEY_MODES.index)


def test_without_a_word_there_is_no_policy() -> None:
    """The default costs nothing: not even a policy that says the default."""
    assert load_settings().redaction is None
    assert default_redactor().policy is None


WHOLE = """
[redaction]
mode = "hash"
only = ["note", "query", "project.path", "ticket"]
values = ["bob@example.com"]

[redaction.keys]
"project.path" = "hash"
query = "drop"

[[redaction.rules]]
name = "ticket"
pattern = "T-[0-9]+"
keys = ["note"]
"""


@pytest.mark.parametrize("door", ["user", "named", "pyproject", "code"])
def test_a_table_says_everything(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the user's file, in a file that the user names, in the code; in a project's file what it may say."""
    given = None
    if door == "user":
        user(WHOLE)
    elif door == "named":
        Path("named.toml").write_text(WHOLE)
        monkeypatch.setenv("USAGETRACE_CONFIG", "named.toml")
    elif door == "pyproject":
        text = WHOLE.replace('mode = "hash"', 'mode = "mask"').replace('values = ["bob@example.com"]', "")
        Path("pyproject.toml").write_text(text.replace("[redaction", "[tool.usagetrace.redaction"))
    else:
        rules = [{"name": "ticket", "pattern": "T-[0-9]+", "keys": ["note"]}]
        given = {"mode": "hash", "only": ["note", "query", "project.path", "ticket"], "values": [MAIL], "rules": rules}
        given["keys"] = {"project.path": "hash", "query": "drop"}
    redactor = Redactor(policy=load_settings({"redaction": given}).redaction)
    left = redactor.attributes(
        {"note": f"T-12 by {MAIL}", "usage.query": "x", "usage.project.path": "/x/y", "host": "h", "ticket": "T-1"}
    )
    assert sorted(left) == ["note", "ticket", "usage.project.path"]
    assert left["ticket"] == "T-1"
    assert str(left["usage.project.path"]).startswith("~h:")
    if door == "pyproject":
        assert left["note"] == "[redacted:ticket] by [redacted:email]"
    else:
        assert str(left["note"]).startswith("~h:")
        assert str(left["note"]).endswith(f" by {MAIL}")


LOOSENING = {
    "mode = 'hash'": "redaction.mode: a project file may make redaction stricter only",
    "values = ['x']": "redaction.values: a project file may make redaction stricter only",
    "keys = {x = 'keep'}": "redaction.keys.'x': a project file may make redaction stricter only",
    "callback = 'x:y'": "redaction.callback: unknown key",
}


@pytest.mark.parametrize("line", LOOSENING)
def test_a_project_may_not_loosen(line: str) -> None:
    """It may come from a stranger: such a line is a fault, and a fault means off."""
    project(f"[redaction]\n{line}\n")
    assert [LOOSENING[line] in fault for fault in faults()] == [True]
    if "callback" not in line:
        Path("usagetrace.toml").unlink()
        user(f"[redaction]\n{line}\n")
        assert redaction_policy() is not None


def test_a_project_s_hash_takes_the_place_of_no_marker() -> None:
    """What a secret's key masks stays masked; what nothing masked is hashed. The user's own hash counts."""
    project("[redaction.keys]\npassword = 'hash'\nnote = 'hash'\n")
    redactor = Redactor(policy=redaction_policy())
    assert redactor.redact("password", "hunter2") == "[redacted:key]"
    assert str(redactor.redact("note", "plain")).startswith("~h:")
    user("[redaction.keys]\npassword = 'hash'\n")
    # Both say it now: the stricter one counts.
    assert Redactor(policy=redaction_policy()).redact("password", "hunter2") == "[redacted:key]"
    Path("usagetrace.toml").unlink()
    assert str(Redactor(policy=redaction_policy()).redact("password", "hunter2")).startswith("~h:")


def test_allow_lists_of_two_sources_leave_what_both_name() -> None:
    """A project can't name more than the user does, nor the user more than the project."""
    user("[redaction]\nonly = ['a', 'b']\n")
    project("[redaction]\nonly = ['b', 'c']\n")
    redactor = Redactor(policy=redaction_policy())
    assert redactor.attributes({"a": 1, "b": 2, "c": 3}) == {"b": 2}


def test_the_tool_makes_the_user_s_policy_no_weaker() -> None:
    """Its keeping loses against the user's dropping; what it allows and its callback count beside the user's."""
    user("[redaction]\nmode = 'drop'\nkeys = {note = 'drop'}\n")
    given = Policy(keys={"note": "keep"}, values=["a@example.com"], callback=lambda match: None)
    redactor = Redactor(policy=load_settings({"redaction": given}).redaction)
    assert redactor.redact("note", "x") is None
    assert redactor.redact("x", MAIL) is None
    assert redactor.redact("x", "a@example.com") == "a@example.com"


@pytest.mark.parametrize(
    "text", ["mode = 'blur'", "surprise = 1", "[[redaction.rules]]\nname = 'a'\npattern = '(x+)+y'"]
)
@pytest.mark.parametrize("where", [user, project])
def test_a_fault_means_off(text: str, where: Callable[[str], None], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is recorded, one warning says why, and what environment variables installed lets nothing pass."""
    where(f"[redaction]\n{text}\n")
    with pytest.raises(RedactionError):
        default_redactor().redact("x", "harmless")
    assert default_redactor().passes_number("x") is False
    usagetrace.configure()
    assert usagetrace.record_event("deploy", "canvas", "skill") is False
    assert len([record for record in caplog.records if "settings have faults" in record.getMessage()]) == 1
    assert not places.data_dir(os.environ).exists()


def test_a_faulty_variable_means_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every bad setting does."""
    monkeypatch.setenv("USAGETRACE_REDACTION_MODE", "blur")
    assert faults() == ["environment variable USAGETRACE_REDACTION_MODE: expected mask or drop or hash, found 'blur'"]


@pytest.mark.parametrize("given", [{"mode": "blur"}, {"surprise": 1}, 5, {"callback": 5}])
def test_a_faulty_argument_raises(given: Any) -> None:
    """It is the developer's."""
    with pytest.raises(ConfigurationError, match=r"configure\(redaction=\.\.\.\)"):
        usagetrace.configure(redaction=given)


def test_a_fault_is_put_right_by_the_next_configuration() -> None:
    """A redactor that let nothing pass works again for who holds it."""
    user("[redaction]\nmode = 'blur'\n")
    held = default_redactor()
    with pytest.raises(RedactionError):
        held.redact("x", "y")
    user("[redaction]\nmode = 'drop'\n")
    usagetrace.configure(local=False)
    assert default_redactor() is held
    assert [held.redact("x", MAIL), held.redact("x", "y")] == [None, "y"]


def test_configuring_makes_no_redactor() -> None:
    """A program that configures and then only shows its help has no use for one; who asks gets the policy."""
    program = (
        "import sys, usagetrace; usagetrace.configure(); "
        "assert not [m for m in sys.modules if m in ('usagetrace.redaction.engine', 'usagetrace.redaction.policy')]; "
        "usagetrace.configure(redaction={'keys': {'x': 'drop'}}); "
        "assert usagetrace.redaction.redact('x', 'y') is None"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)


# --- what leaves -------------------------------------------------------------------------------------------


@track.deploy
def deploy(artifact_name: str, artifact_type: str, project_path: str, note: str, count: int) -> None:
    """Stands for a tool's function."""


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the events of a store, after bringing in what waits."""
    usagetrace.shutdown()
    bring_in(path)
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY id")]
    finally:
        connection.close()


ONLY = ["metadata.count"]


@pytest.mark.parametrize("own_provider", [False, True])
def test_an_allow_list_lets_nothing_else_out(tmp_path: Path, own_provider: bool) -> None:
    """Local rows, and spans of the application's provider, hold what is named and what a record needs."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RedactingSpanProcessor(SimpleSpanProcessor(exporter)))
    path = tmp_path / "analytics.db"
    more: dict[str, Any] = {"tracer_provider": provider} if own_provider else {}
    usagetrace.configure(service_name="shelf", db_path=path, redaction={"only": ONLY}, **more)
    track.deploy(deploy, metadata={"note": "$note", "count": "$count"})(
        "plainname", "plaintype", "/srv/plainproject", "plainnote", 7
    )
    usagetrace.record_event("deploy", "plainname", "plaintype", metadata={"note": "plainnote", "count": 8})
    with provider.get_tracer("foreign").start_as_current_span("foreign", attributes={"x": "plainother", "n": 5}):
        pass
    found = rows(path)
    assert [row["artifact_name"] for row in found] == ["[redacted:unlisted]"] * 2
    assert [json.loads(row["metadata"])["count"] for row in found] == [7, 8]
    assert {row["service_name"] for row in found} == {"shelf"}
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == (["deploy", "deploy", "foreign"] if own_provider else ["foreign"])
    told = repr(found) + "".join(span.to_json() for span in spans)
    assert [
        word for word in ("plainname", "plaintype", "plainproject", "plainnote", "plainother") if word in told
    ] == []
    for span in spans[:-1]:
        attributes = span.attributes or {}
        assert attributes[semconv.ARTIFACT_NAME] == "[redacted:unlisted]"
        assert attributes[semconv.EVENT_TYPE] == "deploy"
        assert semconv.PROJECT_PATH not in attributes
    provider.shutdown()


@pytest.mark.parametrize("mode", ["mask", "drop", "hash"])
def test_modes_reach_the_local_file(tmp_path: Path, mode: str) -> None:
    """A dropped value leaves an empty place, a hashed one a hash, and everything else is as it was."""
    path = tmp_path / "analytics.db"
    usagetrace.configure(service_name="shelf", db_path=path, redaction={"mode": mode, "keys": {"collection": "drop"}})
    usagetrace.record_event("deploy", "canvas", "skill", f"of {MAIL}", "/srv/x/y", {"by": MAIL, "count": 3})
    usagetrace.record_event("deploy", f"for {MAIL}", "skill")
    first, second = rows(path)
    metadata = json.loads(first["metadata"])
    assert metadata["count"] == 3
    assert first["project_path"] == "y"
    expected = {
        "mask": "[redacted:email]",
        "drop": None,
        "hash": Redactor(policy=Policy(mode="hash")).redact("x", MAIL),
    }
    assert metadata.get("by") == expected[mode]
    assert first["collection_name"] == (None if mode == "drop" else f"of {expected[mode]}")
    # The record can't be without a name.
    assert second["artifact_name"] == f"for {expected['mask' if mode == 'drop' else mode]}"


@pytest.mark.parametrize("door", ["start", "set"])
@pytest.mark.parametrize("field", ["collection_name", "note"])
def test_what_is_left_out_takes_the_value_before_with_it(door: str, field: str) -> None:
    """The earlier value is not true any more: it is neither in a row, nor in the span that had it from the start."""
    policy = Redactor(policy=Policy(mode="drop"))
    before = {"collection_name": "default", "metadata": {"note": "default"}} if door == "start" else {}

    def act() -> None:
        with track.deploy(artifact_name="canvas", **before) as operation:
            if door == "set":
                operation.set(collection_name="default", note="default")
            operation.set(**{field: f"of {MAIL}"})

    with capture_events(redactor=policy) as events:
        act()
    rows: list[tuple[Any, ...]] = []
    with runtime.hold(Runtime(None, None, policy, record=lambda more: not rows.extend(more))):
        act()
    found = {"collection_name": rows[0][4], "note": (rows[0][6] or {}).get("note")}
    assert found.pop(field) is None
    assert list(found.values()) == ["default"]
    # From a span nothing can be taken: it is emptied there.
    of_span = {"collection_name": events[0].collection_name, "note": dict(events[0].metadata or {}).get("note")}
    assert of_span.pop(field) == ("" if door == "start" else None)
    assert list(of_span.values()) == ["default"]


def test_configuring_again_forgets_what_values_became(tmp_path: Path) -> None:
    """No cache of a tracked function knows the policy before."""
    found = []
    for number, policy in enumerate((None, {"mode": "hash"}, {"keys": {"by": "drop"}}, None)):
        path = tmp_path / f"{number}.db"
        usagetrace.configure(service_name="shelf", db_path=path, redaction=policy)
        for _ in range(2):
            usagetrace.record_event("deploy", "canvas", "skill", metadata={"by": MAIL, "n": number})
        found.append([json.loads(row["metadata"]).get("by") for row in rows(path)])
    assert found[0] == found[3] == ["[redacted:email]"] * 2
    assert found[1][0] == found[1][1]
    assert found[1][0].startswith("~h:")
    assert found[2] == [None, None]


def test_a_callback_from_code(tmp_path: Path) -> None:
    """It decides what the local file holds."""

    def keep_the_domain(match: Match) -> str | None:
        return "…@" + match.text.partition("@")[2] if match.rule == "email" else None

    path = tmp_path / "analytics.db"
    usagetrace.configure(service_name="shelf", db_path=path, redaction=Policy(callback=keep_the_domain))
    usagetrace.record_event("deploy", "canvas", "skill", metadata={"by": f"{MAIL} at 203.0.113.7"})
    (row,) = rows(path)
    assert json.loads(row["metadata"])["by"] == "…@example.com at [redacted:ip]"
