"""The short way for plain texts gives what the long way gives, and loads no rules for the usual values."""

from __future__ import annotations

import getpass
import re
import socket
import string
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace import patterns
from usagetrace.redaction import Redactor, identity, keys
from usagetrace.redaction import engine as engine_module
from usagetrace.redaction.commands import COMMANDS
from usagetrace.redaction.finder import findings
from usagetrace.redaction.keys import Kind
from usagetrace.redaction.personal import PERSONAL
from usagetrace.redaction.plain import is_harmless
from usagetrace.redaction.rules import Rule, Token
from usagetrace.redaction.shapes import SECRETS
from usagetrace.redaction.vendors import TOKENS
from usagetrace.redaction.wordlist import words

PLAIN = string.ascii_letters + string.digits + "._-/ "
PREFIXES = sorted({prefix for token in TOKENS for prefix in token.prefixes})
RULES: tuple[Rule | Token, ...] = (*SECRETS, *COMMANDS, *PERSONAL, *TOKENS)
# Secrets in plain texts with spaces, one for each way to tell one.
TOLD = (
    "--token q8s7d6",
    "tool --token q8s7d6",
    "a.--token q8s7d6",
    "-pin 4711",
    "the password was hunter2",
    "my Token is q8s7d6",
)
EXAMPLES = [*TOLD, *(text for rule in RULES for text in (*rule.matches, *rule.spares))]
PIECES = sorted(
    words(
        """
        canvas skill default srv shop home ada root projects usr tmp Users v1 api 1.2.0 10.20.30.40 415-555-0132 . ..
        - _ / // 4111111111111111 3C-22-FB-9A-0E-1D data x.py html img.png bin mnt c var lib bob thinkpad 2024-01-02
        --password -pin password Password login is was Bearer basic token key hunter2 abc123 the YWRhOmxvdmU
        """
    )
)
HOMES = ("/home/ada", "/root", "/home", "/data/home/ada/x", "C:\\Users\\ada", "/", "")
KEYS = ("", "project.path", "http.url", "version", "usage.artifact.name")

pieces = st.one_of(
    st.sampled_from(PIECES),
    st.sampled_from(PREFIXES),
    st.text(alphabet=PLAIN, min_size=1, max_size=45),
    st.text(alphabet="0123456789abcdef", min_size=8, max_size=64),
)
plain_texts = st.builds(
    lambda start, parts, sign: start + sign.join(parts),
    st.sampled_from(("", "/", "~/", *HOMES)),
    st.lists(pieces, min_size=1, max_size=5),
    st.sampled_from(("", "/", "-", "_", ".", " ", " ")),
)
texts = st.one_of(
    plain_texts, st.sampled_from(EXAMPLES), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)


@lru_cache
def made(home: str, way: str) -> Redactor:
    """Return the engine that goes one way alone: what it has seen, it has seen on that way."""
    return Redactor(home=home, user_name="ada", host_name="ada-thinkpad.corp.example", extra_homes=("/data/home/ada",))


@settings(max_examples=60)
@given(text=texts, key=st.sampled_from(KEYS), home=st.sampled_from(HOMES))
def test_the_short_way_gives_what_the_rules_give(text: str, key: str, home: str) -> None:
    """With and without the short way, every text comes out the same, whatever the key and the home."""
    short = made(home, "short").redact(key, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "is_harmless", lambda text, kind: False)
        assert short == made(home, "rules").redact(key, text)


@settings(max_examples=60)
@given(text=texts, kind=st.sampled_from(Kind))
def test_what_is_called_harmless_has_no_finding(text: str, kind: Kind) -> None:
    """The rules find nothing in a text that is called harmless."""
    assert not (is_harmless(text, kind) and findings(text, kind))


@pytest.mark.parametrize("around", ["{}", "/srv/{}", "x-{}", "{}/x", "a.{}.b", "the {} here", "a.{} b"])
def test_no_example_of_a_rule_is_called_harmless(around: str) -> None:
    """None of the rules' own examples, alone or inside a plain text, is called harmless where the rules find it."""
    wrong = [
        (kind, text)
        for text in map(around.format, EXAMPLES)
        for kind in Kind
        if is_harmless(text, kind) and findings(text, kind)
    ]
    assert wrong == []
    assert any(is_harmless(text, Kind.PLAIN) for text in EXAMPLES)
    assert [text for text in TOLD if not findings(text)] == []


USUAL = """
import inspect
import re

compiled = []
compile_really = re.compile
re.compile = lambda pattern, flags=0: compiled.append(pattern) or compile_really(pattern, flags)

from usagetrace.redaction import Redactor

redactor = Redactor(home="/home/ada", user_name="ada99", host_name="box77")
paths = ("/srv/shop", "/home/ada/x.py", "Canvas-v2.tar.gz", "/api/v1")
for text in ("canvas", "skill", "1.2.0", "canvas-design", "pdf tools for 2 people", *paths):
    for key in ("usage.artifact.name", "usage.project.path", "version", "http.url"):
        redactor.redact(redactor.key(key), text)
print(compiled)
redactor.redact("usage.artifact.name", "mail ada" + "@" + "example.com")
print(compiled != [])
"""


def test_the_usual_values_are_judged_without_a_pattern() -> None:
    """Names, versions and paths of the usual form compile nothing, nor do their keys; a sentence does."""
    done = subprocess.run([sys.executable, "-c", USUAL], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "True", ""]


@given(key=st.text(alphabet=string.ascii_letters + string.digits + "._- é密", max_size=24))
def test_the_words_of_a_key_are_the_same_either_way(key: str) -> None:
    """A key in lower case has the words that the pattern for keys of any style finds."""
    expected = tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-zß-ɏ]+|[^\W\d_A-Za-zß-ɏ]+", key))
    assert keys.words_of(key) == expected


@given(some=st.lists(st.text(alphabet="ab-.", min_size=1, max_size=4), min_size=1, max_size=6), text=st.text("ab-. "))
def test_one_of_some_words_is_found_with_and_without_a_pattern(some: list[str], text: str) -> None:
    """The first texts are searched for the words one by one, the later ones by a pattern: the answer is the same."""
    asked = patterns.any_of(some)
    answers = {asked.search(text) is not None for _ in range(150)}
    assert answers == {any(word in text for word in some)}
    assert "search" in vars(asked)


@pytest.mark.parametrize(
    ("own", "standard"), [(identity.own_user, getpass.getuser), (identity.own_host, socket.gethostname)]
)
def test_user_and_host_are_what_the_standard_library_says(own: Callable[[], str], standard: Callable[[], str]) -> None:
    """The names of this machine are those that the heavier modules give."""
    assert own() == standard()


@pytest.mark.parametrize("set_one", ["LOGNAME", "USER", "LNAME", "USERNAME", None])
def test_the_user_comes_from_the_first_variable_that_is_set(
    monkeypatch: pytest.MonkeyPatch, set_one: str | None
) -> None:
    """The variables count in the standard library's order; without one, the user database does."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    if set_one is not None:
        monkeypatch.setenv(set_one, "lovelace")
    assert identity.own_user() == getpass.getuser()
