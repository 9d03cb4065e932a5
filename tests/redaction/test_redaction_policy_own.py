"""That people's own rules, allowed values and keys make redaction stricter or leave it, and never tear it apart."""

from __future__ import annotations

import copy
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.errors import ConfigurationError
from usagetrace.guard import guard
from usagetrace.redaction import Match, Policy, PolicyRule, Redactor, hashkey
from usagetrace.redaction.explain import explain
from usagetrace.redaction.policy import MODES
from usagetrace.redaction.policy_check import table_faults

TOKEN = "ghp" + "_" + "Planted9" * 5
MAIL = "ada@example.com"
# Each with what of it may stand nowhere.
CANARIES = {
    TOKEN: "Planted9",
    MAIL: "@example",
    "/home/ada/notes/x.md": "home",
    "/srv/vault7/plans/y.csv": "vault7",
    "C:\\Users\\ada\\z\\t.txt": "Users",
    "ada-thinkpad": "thinkpad",
    "password=" + "q8s7" + "d6f5": "d6f5",
    "203.0.113.77": "113",
}


def engine(policy: Policy | None = None) -> Redactor:
    return Redactor(home="/home/ada", user_name="ada", host_name="ada-thinkpad", policy=policy)


def own(*patterns: str, **more: Any) -> Policy:
    return Policy(rules=[PolicyRule(f"own{number}", each) for number, each in enumerate(patterns)], **more)


# The digits of a hash are by chance those of anything.
_HASHED = re.compile("~h:[0-9a-f]{16}")

# --- own rules ---------------------------------------------------------------------------------------------

_pieces = st.sampled_from(
    ["[_@=:/.\\\\]", "gh", "Planted", "9P", "ada", "home", "/", "\\w", "\\d", "[a-z]", "(?P<secret>a)", "x?", " ", "-",
     "pass", "q8", "think", "\\b", "[^x]", "redacted", "\\S", "(?<=a)", "(?=@)", "srv/", "Users"]
)  # fmt: skip
_PATTERNS = st.lists(_pieces, min_size=1, max_size=3).map("".join).filter(lambda text: text.count("secret") < 2)


@settings(max_examples=150)
@given(
    st.lists(_PATTERNS, min_size=1, max_size=3),
    st.lists(st.sampled_from([*CANARIES, "x", "a: b", "canvas", "E-123456"]), min_size=1, max_size=4),
    st.sampled_from([" ", ", ", "\n", " at "]),
    st.sampled_from(MODES),
)
def test_no_own_rule_saves_what_the_others_remove(patterns: list[str], words: list[str], gap: str, mode: str) -> None:
    """Whatever own rules find, a planted secret is gone, and examining says the same."""
    try:
        policy = own(*patterns, mode=mode)
    except ConfigurationError:
        return
    text = gap.join(words)
    found = engine(policy).redact("note", text)
    usual = engine(Policy(mode=mode)).redact("note", text)
    for secret in CANARIES.values():
        if secret not in _HASHED.sub("", str(usual)):
            assert secret not in _HASHED.sub("", str(found))
    assert engine(policy).examine("note", text).value == found
    assert "redacted:held" not in str(found)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("[_@=:/]", f"{TOKEN} a=b", "[redacted:*] a[redacted:own0]b"),
        (r"by \S+ now", f"see by {MAIL} now.", "see [redacted:own0]."),
        (r"E-\d{6}", "/home/ada/E-123456/x", "~/[redacted:own0]/x"),
        (r"E-\d{6}", "/srv/E-123456/x.csv", "x.csv"),
        (r"/srv/plans/\S+", "see /srv/plans/x.csv now", "see [redacted:own0] now"),
        (r"/home/ada/pl\S+", "see /home/ada/plans/ada-thinkpad/x now", "see [redacted:own0] now"),
        (r"Users", r"C:\Users\ada\x\y z", "~/x/y z"),
        (r"E-\d", r"C:\Users\ada\E-7\y z", "[redacted:own0] z"),
        (r"plans\\\w+", r"C:\Users\ada\plans\y z", "[redacted:own0] z"),
        ("redacted", f"redacted {MAIL}", "[redacted:own0] [redacted:email]"),
        ("x", "[redacted:home] x", "[redacted:home] [redacted:own0]"),
        ("case (?P<secret>E-[0-9]+)?[a-z]*", "case E-7, case blue", "case [redacted:own0], [redacted:own0]"),
    ],
)
def test_own_findings_are_joined_with_the_others(pattern: str, text: str, expected: str) -> None:
    """They see the text as it was, and swallow what they overlap; a group that took no part leaves the whole match."""
    redactor = engine(own(pattern))
    found = redactor.redact("note", text)
    assert isinstance(found, str)
    assert re.fullmatch(re.escape(expected).replace(r"\*", "[a-z-]+"), found), found
    assert redactor.redact("note", found) == found


def test_own_rules_are_explained_by_line() -> None:
    """Each rule at the line where it acted, also beside others."""
    text = f"a E-1 b\n{MAIL} E-2\n/home/ada/E-3/x"
    explained = explain(engine(own(r"E-\d")), "note", text)
    assert explained.text == "a [redacted:own0] b\n[redacted:email] [redacted:own0]\n~/[redacted:own0]/x"
    assert [(each.line, each.rule, each.times) for each in explained.acted] == [
        (1, "own0", 1), (2, "email", 1), (2, "own0", 1), (3, "home", 1), (3, "own0", 1),
    ]  # fmt: skip


# --- allowed values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("x", "10.0.0.1", "10.0.0.1"),
        ("x", "at 10.0.0.1, ok", "at 10.0.0.1, ok"),
        ("x", f"10.0.0.1 by {MAIL}", "10.0.0.1 by [redacted:email]"),
        ("x", f"10.0.0.1,{MAIL}", "10.0.0.1,[redacted:email]"),
        ("x", "10.0.0.1\n/home/ada/x", "10.0.0.1\n~/x"),
        ("password", "10.0.0.1", "10.0.0.1"),
        ("password", f"10.0.0.1,{TOKEN}", "[redacted:secret]"),
        ("password", "10.0.0.1:/home/ada/x", "[redacted:secret]"),
        ("password", "10.0.0.1 hunter2", "[redacted:secret]"),
    ],
)
def test_an_allowed_glob_spares_findings_and_nothing_around_them(key: str, text: str, expected: str) -> None:
    """`*` stops at white space, and what else is found in a text is redacted."""
    assert engine(Policy(values=["10.0.0.*"])).redact(key, text) == expected


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["keep", "mask", "drop", "hash"])
def test_a_key_s_mode_is_not_for_texts_without_a_key(mode: str) -> None:
    """Names of attributes, spans and a mapping's entries are redacted as ever."""
    redactor = engine(Policy(keys={"*": mode}))
    assert redactor.redact("", f"by {MAIL}") == "by [redacted:email]"
    assert redactor.redact("", "canvas") == "canvas"
    assert redactor.key(MAIL) == "[redacted:email]"
    assert TOKEN not in str(redactor.attributes({TOKEN: "x"}))
    assert not PolicyRule("own", "x", ["*"]).concerns("")


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("HTTP.*", "httpUrl", True),
        ("http.*", "HTTPUrl", True),
        ("HTTP.*", "http_url", True),
        ("httpUrl*", "usage.metadata.http-url-full", True),
        ("Project.Pa*", "projectPath", True),
        ("http.*", "httpsUrl", False),
        ("http.*", "https.url", False),
    ],
)
def test_globs_of_keys_are_for_any_case_style(pattern: str, key: str, matches: bool) -> None:
    """As names without a star are."""
    assert (Policy(keys={pattern: "mask"}).mode_of(key) == "mask") is matches


def test_the_table_of_keys_is_read_only() -> None:
    """Also of a joined policy; copies are equal."""
    policy = Policy(keys={"a": "mask"})
    for each in (policy, policy.joined(Policy(keys={"b": "drop"})), copy.deepcopy(policy)):
        with pytest.raises(TypeError):
            each.keys["a"] = "keep"  # type: ignore[index]
    assert copy.deepcopy(policy) == pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("x.toml: redaction.", "x.toml: redaction: expected a table, found 'off'"),
        ("configure(redaction=...): ", "configure(redaction=...): expected a table, found 'off'"),
    ],
)
def test_a_word_in_the_place_of_the_table_is_a_fault(label: str, expected: str) -> None:
    """The fault names the place as it is written."""
    assert table_faults("off", label) == [expected]


# --- callback and key file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, RecursionError, BaseException])
def test_no_exception_of_a_callback_ends_the_caller(error: type[BaseException]) -> None:
    """The usual happens, and it is counted."""

    def callback(match: Match) -> str:
        raise error(match.text)

    before = guard.failures
    assert engine(Policy(callback=callback)).redact("x", MAIL) == "[redacted:email]"
    assert guard.failures == before + 1


def test_a_keyboard_interrupt_passes() -> None:
    """It is the user's."""

    def callback(match: Match) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine(Policy(callback=callback)).redact("x", MAIL)
    assert engine().redact("x", MAIL) == "[redacted:email]"


@pytest.mark.skipif(os.name != "posix", reason="pipes with names, and modes, are POSIX")
def test_a_pipe_is_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing waits for it; values are masked, with one warning."""
    path = Path(hashkey.key_path())
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert engine(Policy(mode="hash")).redact("x", MAIL) == "[redacted:email]"
    assert ["expected a regular file" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_key_that_others_can_read_is_taken_from_them(mode: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is used, its mode is 0600 from then on, and one warning says so."""
    path = Path(hashkey.key_path())
    path.parent.mkdir(parents=True)
    path.write_bytes(b"k" * hashkey.KEY_LENGTH)
    path.chmod(mode)
    assert str(engine(Policy(mode="hash")).redact("x", MAIL)).startswith("~h:")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ["its mode is 0600 now" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
def test_a_key_that_stays_open_to_others_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a file system without modes, values are masked."""
    path = Path(hashkey.key_path())
    path.parent.mkdir(parents=True)
    path.write_bytes(b"k" * hashkey.KEY_LENGTH)
    path.chmod(0o644)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    assert engine(Policy(mode="hash")).redact("x", MAIL) == "[redacted:email]"
    assert ["can't be set to 0600" in record.getMessage() for record in caplog.records] == [True]
