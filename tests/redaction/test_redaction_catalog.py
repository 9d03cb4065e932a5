"""The list of all rules: each described, each with examples that hold for the engine as a whole."""

from __future__ import annotations

import pytest

from usagetrace.redaction import Redactor
from usagetrace.redaction.catalog import HOME, HOST, USER, Described, all_rules
from usagetrace.redaction.dense import COST_LIMIT, LONG, bounded
from usagetrace.redaction.keys import Kind, kind_of

ENGINE = Redactor(home=HOME, user_name=USER, host_name=HOST)
RULES = all_rules()
CODED = [rule for rule in RULES if rule.name in ("home", "path", "user", "host", "dense", "secret", "person")]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.why[:24]}")
def test_the_engine_changes_what_a_rule_finds(rule: Described) -> None:
    """Every example of every rule is changed by the whole engine or, for keys, judged as private."""
    if rule.about == "key":
        assert [key for key in rule.matches if kind_of(key) not in (Kind.SECRET, Kind.PERSON)] == []
    else:
        assert [text for text in rule.matches if ENGINE.text(text) == text] == []


@pytest.mark.parametrize("rule", CODED, ids=lambda rule: f"{rule.name}-{rule.why[:24]}")
def test_the_engine_leaves_what_a_rule_spares(rule: Described) -> None:
    """What a rule that is found by code spares comes back as the same object."""
    if rule.about == "key":
        assert [key for key in rule.spares if kind_of(key) in (Kind.SECRET, Kind.PERSON)] == []
    else:
        assert [text for text in rule.spares if ENGINE.text(text) is not text] == []


def test_every_rule_says_why_in_one_line() -> None:
    """A reason, an example and a name: what a page of documentation shows."""
    assert [rule for rule in RULES if not rule.why or "\n" in rule.why or not rule.matches or not rule.name] == []


@pytest.mark.parametrize("unit", ["/a", "\\x\\y ", "token=a:", "1-2.", "a@b.c", "=>", '"a": 1, '])
def test_a_long_dense_text_is_cut_at_a_cost(unit: str) -> None:
    """A long text of signs is searched up to the limit, ends in a marker, and is cut only once."""
    text = unit * (3_000_000 // len(unit))
    once = bounded(text)
    assert once.endswith("[redacted:dense]")
    assert LONG // 4 < len(once) < COST_LIMIT // 40
    assert bounded(once) == once


def test_a_long_text_of_words_is_searched_whole() -> None:
    """A megabyte of prose is under the limit, and a secret at its end is found."""
    text = "ordinary words of prose go on and on " * 27_000
    assert bounded(text) is text
    result = ENGINE.text(text + "password=" + "q8s7d6f5")
    assert result == text + "password=[redacted:secret]"


def test_a_long_value_that_would_be_spared_is_masked() -> None:
    """What looks like code is spared when it is short; a text of nested names is not read once for each name."""
    assert ENGINE.text("token=f(x)") == "token=f(x)"
    assert "[redacted:secret]" in ENGINE.text("token=f(" + "token=f(" * 200)
