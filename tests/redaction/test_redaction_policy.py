"""What a policy makes of values: each mode, each key's own mode, allow-lists, rules, allowed values, callbacks."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace import places, semconv
from usagetrace.errors import ConfigurationError
from usagetrace.guard import guard
from usagetrace.redaction import Match, Policy, PolicyRule, Redactor, hashkey
from usagetrace.redaction.policy import ALWAYS, MODES, NEEDED

TOKEN = "ghp" + "_" + "Planted9" * 5
MAIL = "ada@example.com"
HASHED = r"~h:[0-9a-f]{16}"


def engine(policy: Policy | None = None) -> Redactor:
    return Redactor(home="/home/ada", user_name="ada", host_name="ada-thinkpad", policy=policy)


# What each mode makes of a value with a secret: kind of value -> value, masked, dropped.
VALUES: dict[str, tuple[object, object, object]] = {
    "text": (f"by {MAIL}", "by [redacted:email]", None),
    "bytes": (f"by {MAIL}".encode(), b"by [redacted:email]", None),
    "list": (["a", MAIL], ["a", "[redacted:email]"], ["a", None]),
    "tuple": (("a", MAIL), ("a", "[redacted:email]"), ("a", None)),
    "set": ({MAIL, "a"}, {"[redacted:email]", "a"}, {"a"}),
    "mapping": ({"x": MAIL, "y": 1}, {"x": "[redacted:email]", "y": 1}, {"y": 1}),
    "mapping's key": ({MAIL: 2, "y": 1}, {"[redacted:email]": 2, "y": 1}, {"y": 1}),
    "below a secret key": ({"pin": 4711, "y": 1}, {"pin": "[redacted:secret]", "y": 1}, {"y": 1}),
    "JSON": (json.dumps({"x": MAIL, "y": 1}), json.dumps({"x": "[redacted:email]", "y": 1}), json.dumps({"y": 1})),
    "path": ("see /home/ada/x", "see ~/x", "see ~/x"),
    "harmless": ("canvas", "canvas", "canvas"),
    "number": (7, 7, 7),
    "none": (None, None, None),
}


@pytest.mark.parametrize("name", VALUES)
def test_mask_and_drop(name: str) -> None:
    """A marker in the finding's place, or the smallest thing left out that has a name; paths are short in both."""
    value, masked, dropped = VALUES[name]
    assert engine(Policy()).redact("x", value) == masked == engine().redact("x", value)
    assert engine(Policy(mode="drop")).redact("x", value) == dropped


@pytest.mark.parametrize("name", VALUES)
def test_hash_stands_where_the_marker_would(name: str) -> None:
    """A keyed hash stands exactly where a marker would, and the rest of the value is the same."""
    value, masked, _ = VALUES[name]
    hashed = repr(engine(Policy(mode="hash")).redact("x", value))
    pattern = repr(masked).replace("[redacted:email]", "@").replace("[redacted:secret]", "@")
    assert pattern.count("@") == hashed.count("~h:")
    if pattern.count("@") and name != "set":
        before, after = pattern.split("@")
        assert hashed.startswith(before)
        assert hashed.endswith(after)
        assert len(hashed) == len(before) + len("~h:") + 16 + len(after)
    assert "example" not in hashed


KEY_MODES = {
    "mask": "[redacted:key]",
    "drop": None,
    "keep": TOKEN,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("own", [*KEY_MODES, "hash"])
@pytest.mark.parametrize("key", ["project.path", "usage.project.path", "usage.item.project.path", "projectPath"])
def test_a_key_s_own_mode_counts_for_the_whole_value(mode: str, own: str, key: str) -> None:
    """Whatever the value holds, and whatever the general mode is; members of arrays one by one."""
    redactor = engine(Policy(mode=mode, keys={"project.path": own}))
    found = redactor.redact(key, TOKEN)
    if own == "hash":
        assert found == hashkey.keyed_hash(TOKEN)
    else:
        assert found == KEY_MODES[own]
    members = redactor.redact(key, [TOKEN, None, "plain"])
    assert members == (None if own == "drop" else [found, None, redactor.redact(key, "plain")])
    assert redactor.redact("other", "plain") == "plain"


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("query", "usage.metadata.query", True),
        ("query", "usage.metadata.queryText", False),
        ("user_query", "usage.metadata.userQuery", True),
        ("http.*", "http.route", True),
        ("http.*", "usage.metadata.http.route", True),
        ("http.*", "xhttp.route", False),
        ("*.route", "http.route", True),
        ("usage.metadata.score", "usage.item.metadata.score", True),
        ("query", "", False),
        ("*", "anything", True),
    ],
)
def test_keys_are_named_whole_by_last_words_or_by_glob(pattern: str, key: str, matches: bool) -> None:
    """The same patterns for keys' modes, allow-lists and rules."""
    assert (Policy(keys={pattern: "mask"}).mode_of(key) == "mask") is matches
    rule = PolicyRule("ticket", "T-[0-9]+", [pattern])
    assert rule.concerns(key) is matches
    if key:
        assert Policy(only=[pattern]).lets(key) is matches


def test_of_several_patterns_the_strictest_counts() -> None:
    """Drop before mask before hash before keep, in whatever order they stand."""
    said = {"*": "keep", "path": "hash", "project.path": "mask"}
    for keys in (said, dict(reversed(said.items()))):
        assert Policy(keys=keys).mode_of("project.path") == "mask"
        assert Policy(keys=keys).mode_of("other.path") == "hash"
        assert Policy(keys=keys).mode_of("x") == "keep"


@pytest.mark.parametrize("key", sorted(NEEDED))
def test_what_a_record_cannot_be_without_is_masked_where_others_are_dropped(key: str) -> None:
    """In drop mode, and where a key's mode says drop."""
    assert engine(Policy(mode="drop")).redact(key, f"by {MAIL}") == "by [redacted:email]"
    if key:
        assert engine(Policy(keys={key: "drop"})).redact(key, "canvas") == "[redacted:key]"


# --- allow-list --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_only_named_attributes_leave(mode: str) -> None:
    """And what a record can't be without; an artifact's name becomes a marker."""
    redactor = engine(Policy(mode=mode, only=["metadata.strategy", "artifact.type"]))
    given: dict[str, Any] = dict.fromkeys(sorted(ALWAYS - {""}), "canvas")
    more = {semconv.ARTIFACT_TYPE: "skill", semconv.METADATA_PREFIX + "strategy": "fast"}
    secret = {semconv.METADATA_PREFIX + "query": "x", semconv.PROJECT_PATH: "~/x", "host.name": "h", "n": 1, "l": [1]}
    left = redactor.attributes({**given, **more, **secret, semconv.ARTIFACT_NAME: "canvas"})
    assert left == {**given, **more, semconv.ARTIFACT_NAME: "[redacted:unlisted]"}
    assert redactor.redact(semconv.ITEM_ARTIFACT_NAME, ["a", "", "b"]) == [
        "[redacted:unlisted]",
        "",
        "[redacted:unlisted]",
    ]
    assert redactor.redact("usage.metadata", {"strategy": "fast", "query": "x"}) == {"strategy": "fast"}
    assert [redactor.passes_number(key) for key in ("usage.metadata.query", "usage.metadata.strategy")] == [False, True]


# --- user's rules and allowed values -----------------------------------------------------------------------


def test_a_rule_of_one_s_own() -> None:
    """Its name is in the marker; a group `secret` narrows what is masked; it acts below its keys alone."""
    rules = [
        PolicyRule("employee", r"\bE-\d{6}\b"),
        PolicyRule("case", r"case (?P<secret>\w+)", ["note"]),
    ]
    redactor = engine(Policy(rules=rules))
    text = "E-123456 in case blue"
    assert redactor.redact("x", text) == "[redacted:employee] in case blue"
    assert redactor.redact("note", text) == "[redacted:employee] in case [redacted:case]"
    assert redactor.redact("x", {"note": text, "y": [text]}) == {
        "note": "[redacted:employee] in case [redacted:case]",
        "y": ["[redacted:employee] in case blue"],
    }
    notes = redactor.examine("note", text).notes
    assert sorted(notes) == [("case", "value", 1), ("employee", "value", 1)]


@pytest.mark.parametrize("mode", MODES)
def test_allowed_values_stay(mode: str) -> None:
    """Exact ones and globs, as a whole value and inside a text, also where a later rule would find a part of them."""
    redactor = engine(Policy(mode=mode, values=["ada@example.com", "/srv/shared/*", "changeme"]))
    text = "ask ada@example.com about /srv/shared/a/b.csv"
    assert redactor.redact("x", text) is text
    assert redactor.redact("password", "changeme") == "changeme"
    assert redactor.redact("x", "ask bob@example.com") != "ask bob@example.com"


# --- callback ----------------------------------------------------------------------------------------------


def test_a_callback_decides() -> None:
    """It sees key, value, rule and text, and returns what stands there; None is the usual."""
    seen: list[tuple[str, object, str, str]] = []

    def callback(match: Match) -> str | None:
        seen.append((match.key, match.value, match.rule, match.text))
        return {"email": "<mail>", "home": match.text}.get(match.rule)

    redactor = engine(Policy(callback=callback))
    text = f"{MAIL} /home/ada/x /srv/data/y.csv {TOKEN}"
    assert redactor.redact("note", text) == "<mail> /home/ada/x y.csv [redacted:gh-token]"
    assert sorted(seen) == sorted(
        [
            ("note", text, "email", MAIL),
            ("note", text, "gh-token", TOKEN),
            ("note", text, "home", "/home/ada/x"),
            ("note", text, "path", "/srv/data/y.csv"),
        ]
    )
    seen.clear()
    assert redactor.redact("x", {"pin": 4711}) == {"pin": "[redacted:secret]"}
    assert seen == [("pin", 4711, "secret", "4711")]


def test_what_a_callback_says_below_one_key_is_not_said_below_another() -> None:
    """Results are remembered by key, at the top and inside values."""
    redactor = engine(Policy(callback=lambda match: match.text if match.key == "a" else None))
    for _ in range(2):
        assert redactor.redact("a", MAIL) == MAIL
        assert redactor.redact("b", MAIL) == "[redacted:email]"
        assert redactor.redact("", {"a": MAIL, "b": MAIL}) == {"a": MAIL, "b": "[redacted:email]"}


def _raises(match: Match) -> str:
    raise ValueError(match.text)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", [_raises, lambda match: 5, lambda match: b"x", lambda match: [match.text]])
def test_a_callback_that_fails_leaves_the_usual(mode: str, wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted, what it was given is in no log, and nothing is raised."""
    before = guard.failures
    with caplog.at_level("DEBUG"):
        found = engine(Policy(mode=mode, callback=wrong)).redact("x", f"by {MAIL}")
    assert found == engine(Policy(mode=mode)).redact("x", f"by {MAIL}")
    assert guard.failures == before + 1
    assert MAIL not in caplog.text


def test_a_callback_may_redact() -> None:
    """A redaction inside a callback asks no callback, and leaves nothing behind in the caches."""
    inner: list[object] = []

    def callback(match: Match) -> str:
        inner.append(redactor.redact("x", match.text))
        return "<mail>"

    redactor = engine(Policy(callback=callback))
    assert [redactor.redact("x", MAIL), redactor.redact("x", f"a {MAIL}")] == ["<mail>", "a <mail>"]
    assert inner == ["[redacted:email]", "[redacted:email]"] or inner == ["[redacted:email]", "<mail>"]


# --- laws --------------------------------------------------------------------------------------------------

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.lists(
    st.sampled_from([MAIL, TOKEN, "/home/ada/x", "/srv/a/b", "token=q8s7d6f5", "canvas", "ada", " ", "~h:", '"', "{"]),
    max_size=5,
).map(" ".join)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "password", "note", MAIL, "path"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_policies = st.builds(
    Policy,
    mode=st.sampled_from(MODES),
    keys=st.dictionaries(st.sampled_from(["note", "path", "a"]), st.sampled_from(["mask", "drop", "hash"]), max_size=2),
    only=st.none() | st.just(["note", "usage.*"]),
    rules=st.sampled_from([(), (PolicyRule("word", "can(?P<secret>vas)"),)]),
    values=st.sampled_from([(), ("canvas", "*@example.com")]),
)


@settings(max_examples=50)
@given(_policies, st.sampled_from(["note", "usage.artifact.name", "x", "", "usage.metadata"]), _values)
def test_twice_is_once_under_every_policy(policy: Policy, key: str, value: object) -> None:
    """What a policy made is left alone by it, and examining says the same value with notes that hold none of it."""
    redactor = engine(policy)
    once = redactor.redact(key, value)
    assert redactor.redact(key, once) == once
    examined = engine(policy).examine(key, value)
    assert examined.value == once
    assert all(type(note.count) is int and note.channel in ("value", "key") for note in examined.notes)
    assert "Planted9" not in repr(examined.notes)
    assert "example" not in repr(examined.notes)


@settings(max_examples=50)
@given(st.sampled_from(["note", "x", "", "password"]), _values)
def test_examining_says_what_redacting_does(key: str, value: object) -> None:
    """The same value as without a policy; there are notes exactly where something changed."""
    redactor = engine()
    examined = redactor.examine(key, value)
    assert examined.value == redactor.redact(key, value)
    if not examined.notes:
        assert examined.value == value


@settings(max_examples=50)
@given(st.sampled_from(["note", "x"]), _values, st.sampled_from(["drop", "hash"]))
def test_no_secret_survives_a_mode(key: str, value: object, mode: str) -> None:
    """Whatever the mode, a planted token and an address are gone."""
    found = repr(engine(Policy(mode=mode)).redact(key, value))
    assert "Planted9" not in found
    assert MAIL not in found


def test_without_a_policy_hashes_stay() -> None:
    """What one process hashed, another one without that policy leaves alone, below any key and in any text."""
    text = hashkey.keyed_hash("x")
    assert text is not None
    assert engine().redact("password", text) == text
    assert engine().redact("x", f"token={text} by {MAIL}") == f"token={text} by [redacted:email]"


# --- the key of the installation ---------------------------------------------------------------------------


def test_hashes_belong_to_the_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same value has one hash by one key, and another by another; the file is the user's alone."""
    found = []
    for folder in ("one", "two", "one"):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / folder))
        monkeypatch.setenv("HOME", str(tmp_path / folder))
        monkeypatch.setattr(hashkey, "_keys", {})
        found.append(engine(Policy(mode="hash")).redact("x", MAIL))
        path = Path(hashkey.key_path())
        assert len(path.read_bytes()) == hashkey.KEY_LENGTH
        assert [each.name for each in path.parent.iterdir()] == ["redaction.key"]
        if os.name == "posix":
            assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]
    assert found[0] == found[2] != found[1]


def test_processes_agree_on_a_key(tmp_path: Path) -> None:
    """Those that start at once, with no key yet, end up with the same."""
    program = "from usagetrace.redaction.hashkey import keyed_hash; print(keyed_hash('x'))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    started = [
        subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert len({each.communicate()[0] for each in started}) == 1


def test_threads_agree_on_a_key() -> None:
    """So do threads, at the first hash."""
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(hashkey.keyed_hash("x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("fault", ["empty", "long", "directory", "no folder"])
def test_without_a_key_values_are_masked(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """A key that can't be read or made never makes redaction weaker; one warning names the file."""
    path = Path(hashkey.key_path())
    if fault == "no folder":
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.write_text("in the way")
    else:
        path.parent.mkdir(parents=True)
        if fault == "directory":
            path.mkdir()
        else:
            path.write_bytes(b"" if fault == "empty" else b"x" * 40)
    redactor = engine(Policy(mode="hash", keys={"query": "hash"}))
    assert redactor.redact("x", f"by {MAIL}") == "by [redacted:email]"
    assert redactor.redact("query", "plain") == "[redacted:key]"
    assert ["redaction.key can't be used" in record.getMessage() for record in caplog.records] == [True]


def test_a_policy_that_hashes_nothing_makes_no_key() -> None:
    """The key is made when it is needed."""
    engine(Policy(mode="hash")).redact("x", "canvas")
    assert not places.config_file(os.environ).parent.exists()


# --- faults ------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "mode": ({"mode": "blur"}, "mode: expected mask or drop or hash, found 'blur'"),
    "key's mode": ({"keys": {"a": "blur"}}, "keys.'a': expected keep or hash or mask or drop, found 'blur'"),
    "keys": ({"keys": ["a"]}, "keys: expected a table of keys and modes"),
    "only": ({"only": "a"}, "only: expected a list of names of keys"),
    "only's name": ({"only": [""]}, "only[1]: expected the name of a key"),
    "values": ({"values": ["**"]}, "values[1]: expected a text with more in it"),
    "rule": ({"rules": [5]}, "rules[1]: expected a table with name and pattern"),
    "rule's name": ({"rules": [{"name": "A b", "pattern": "x"}]}, "rules[1].name: expected 1 to 24"),
    "rule's taken name": ({"rules": [{"name": "path", "pattern": "x"}]}, "rules[1].name: path has a meaning"),
    "rule's key": ({"rules": [{"name": "a", "pattern": "x", "why": "y"}]}, "rules[1].why: unknown key"),
    "no pattern": ({"rules": [{"name": "a"}]}, "rules[1].pattern: expected a regular expression"),
    "bad pattern": ({"rules": [{"name": "a", "pattern": "("}]}, "rules[1].pattern: no regular expression"),
    "empty match": ({"rules": [{"name": "a", "pattern": "x*"}]}, "rules[1].pattern: matches the empty text"),
    "slow pattern": ({"rules": [{"name": "a", "pattern": "(x+)+y"}]}, "rules[1].pattern: can take exponential time"),
    "callback": ({"callback": 5}, "callback: expected a function"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name: str) -> None:
    """With its place and what was expected."""
    arguments, expected = FAULTS[name]
    with pytest.raises(ConfigurationError) as caught:
        Policy(**arguments)
    assert [fault.startswith(f"Policy: {expected}") for fault in caught.value.faults] == [True], caught.value.faults


def test_all_faults_are_told_at_once() -> None:
    """One round of corrections is enough."""
    rules = [{"name": "a", "pattern": "("}, {"name": "a", "pattern": "(y+)+z"}]
    with pytest.raises(ConfigurationError) as caught:
        Policy(mode="x", keys={"a": "y"}, values=["*"], rules=rules)
    assert len(caught.value.faults) == 6


def test_a_policy_cannot_be_changed() -> None:
    """Neither it nor a rule; equal ones are equal, and no allowed value is shown."""
    policy = Policy(mode="hash", values=["private-word"])
    rule = PolicyRule("a", "x")
    for each in (policy, rule):
        with pytest.raises(AttributeError, match="can't be changed"):
            each.mode = "mask"  # type: ignore[union-attr]
    assert policy == Policy(mode="hash", values=["private-word"]) != Policy()
    assert rule == PolicyRule("a", "x") != PolicyRule("a", "y")
    assert "private-word" not in repr(policy)
    assert "hunter2" not in repr(Match("k", "hunter2", "secret", "hunter2"))


def test_a_new_policy_is_for_everybody_who_holds_the_redactor() -> None:
    """No result of the policy before is left."""
    redactor = engine()
    found = []
    for policy in (None, Policy(mode="hash"), Policy(keys={"x": "drop"}), None):
        redactor.govern(policy)
        assert redactor.policy is policy
        found.append([redactor.redact("x", MAIL), redactor.key(MAIL), redactor.passes_number("x")])
    assert found[0] == found[3] == ["[redacted:email]", "[redacted:email]", True]
    assert str(found[1][0]).startswith("~h:")
    assert found[1][0] == found[1][1]
    assert found[2] == [None, "[redacted:email]", False]
