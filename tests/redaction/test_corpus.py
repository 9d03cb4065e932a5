"""The public corpus: redaction meets its goals on every seed, and the corpus's own measures tell good from bad."""

from __future__ import annotations

import pytest

from tests.redaction.corpus import BENIGN_GROUPS, PLANTED_GROUPS, Case, Identity, Measured, corpus, measure
from tests.redaction.corpus.kinds import Raw, case
from tests.redaction.corpus.measures import Redact, judge, left_of, rest_of, total
from usagetrace.redaction import Redactor

# Percent of the private cases in which nothing is left, of the harmless ones that may change, of the rest that stays.
RECALL = 99.5
CHANGED = 0.5
KEPT = 99.0
# No group may be below this, in percent of its cases.
GROUP = 97.0
NOBODY = Identity("/home/nobody-here", "", "")


def ours(identity: Identity) -> Redact:
    """Return our redactor of a machine."""
    return Redactor(identity.home, identity.user, identity.host).redact


def misses(groups: dict[str, Measured]) -> list[str]:
    """Return every goal that is missed, as a sentence."""
    private, harmless = total(groups, PLANTED_GROUPS), total(groups, BENIGN_GROUPS)
    found = []
    if private.recall < RECALL:
        found.append(f"{private.recall:.2f} % of the private cases are fully gone, {RECALL} % expected")
    if harmless.intact < 100 - CHANGED:
        found.append(f"{harmless.intact:.2f} % of the harmless cases are unchanged, {100 - CHANGED} % expected")
    if private.kept_share < KEPT:
        found.append(f"{private.kept_share:.2f} % of the text beside it is kept, {KEPT} % expected")
    for name, group in groups.items():
        share = group.intact if name in BENIGN_GROUPS else group.recall
        if share < GROUP:
            found.append(f"{name}: {share:.1f} %, {GROUP} % expected of each group")
        for what in ("raised", "mutated", "retyped", "unstable"):
            if getattr(group, what):
                found.append(f"{name}: {getattr(group, what)} {what}")
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_redaction_meets_its_goals(seed: int) -> None:
    """On each seed: nearly all gone, nearly nothing damaged, no group behind, nothing raised, mutated or unstable."""
    groups = measure(corpus(seed), ours)
    found = misses(groups)
    faults = [fault[:300] for group in groups.values() for fault in group.faults]
    assert not found, "\n".join([*found, "", *faults])


def test_harmless_texts_come_back_as_they_were_given() -> None:
    """A text that is equal afterwards is the same object: nothing was copied for it."""
    for found in corpus(7):
        if found.benign and isinstance(found.value, str):
            redacted = ours(found.identity)(found.key, found.value)
            assert redacted is found.value or redacted != found.value, found


def test_the_corpus_is_large_and_the_same_each_time() -> None:
    """A seed gives the same cases, another one others, of every group; private ones have something to find."""
    cases = corpus(7)
    assert cases == corpus(7)
    assert cases != corpus(8)
    groups = {found.group for found in cases}
    assert groups == {*PLANTED_GROUPS, *BENIGN_GROUPS}
    assert len({found.name for found in cases}) == len(cases)
    private = [found for found in cases if not found.benign]
    assert len(private) >= 900
    assert len(cases) - len(private) >= 400
    assert all((found.group in BENIGN_GROUPS) == found.benign for found in cases)
    assert not [found.name for found in cases if any(mark in repr(found.value) for mark in "⟦⟧⟨⟩§")]


def test_a_redactor_that_does_nothing_leaks_everything() -> None:
    """Left as they are, private cases all leak, nothing beside them is lost, and no harmless case is changed."""
    groups = measure(corpus(7), lambda _: lambda _key, value: value)
    private, harmless = total(groups, PLANTED_GROUPS), total(groups, BENIGN_GROUPS)
    assert (private.recall, private.kept_share, harmless.intact) == (0.0, 100.0, 100.0)


def test_a_redactor_that_removes_everything_keeps_nothing() -> None:
    """With everything masked no private case leaks, but the rest is lost and every harmless case is changed."""
    groups = measure(corpus(7), lambda _: lambda _key, _value: "[redacted:all]")
    private, harmless = total(groups, PLANTED_GROUPS), total(groups, BENIGN_GROUPS)
    assert private.recall == 100.0
    assert private.kept_share < 5
    assert harmless.changed == harmless.cases


def made(marked: object) -> Case:
    """Return a case of a marked value."""
    return case("made", 0, Raw(marked), NOBODY)


@pytest.mark.parametrize(
    ("marked", "output", "left"),
    [
        ("key=⟦Zq81mW0p⟧ end", "key=[redacted:secret] end", ""),
        ("key=⟦Zq81mW0p⟧ end", "key=[redacted:secret]mW0p end", "mW0p"),
        ("key=⟦Zq81mW0p⟧ end", "key=Zq81m[redacted:secret] end", "Zq81m"),
        ("key=⟦Zq81mW0p⟧ end", "key=[redacted:secret]W0p end", ""),
        ("the word ⟦word1234⟧", "the word [redacted:secret]", ""),
        ("by ⟦ada⟧ now", "by ada now", "ada"),
        ("by ⟦ada⟧ now", "by [redacted:user] now", ""),
        ("by ⟦ada⟧ now", "by [redacted:user] in canada", ""),
        ({"a": ["x ⟦Zq81mW0p⟧"]}, {"a": ["x Zq81mW0p"]}, "Zq81mW0p"),
        ({"⟦Zq81mW0p⟧": 1}, {"Zq81mW0p": 1}, "Zq81mW0p"),
        ("⟦secretive9⟧", "[redacted:secret]", ""),
    ],
)
def test_what_is_left_of_a_secret_is_found(marked: object, output: object, left: str) -> None:
    """Any piece of four characters is a leak, in texts and in names; markers and what stands beside it are none."""
    assert left == left_of(made(marked), output)


@pytest.mark.parametrize(
    ("marked", "output", "kept"),
    [
        ("abc ⟦Zq81mW0p⟧ def", "abc [redacted:x] def", (8, 8)),
        ("abc ⟦Zq81mW0p⟧ def", "abc [redacted:x]", (8, 4)),
        ("abc ⟦Zq81mW0p⟧⟨, x⟩ def", "abc [redacted:x] def", (8, 8)),
        ("⟦/srv/x/⟧a.csv", "a.csv", (5, 5)),
    ],
)
def test_what_stays_beside_a_secret_is_counted(marked: object, output: object, kept: tuple[int, int]) -> None:
    """Characters beside a secret count when they are there in their order; what may go counts neither way."""
    assert kept == rest_of(made(marked), output)


def test_faults_are_told_one_by_one() -> None:
    """Raising, changing the input, another type and a second change are each counted and named."""

    def raising(_key: str, _value: object) -> object:
        raise ValueError("no")

    def mutating(_key: str, value: object) -> object:
        assert isinstance(value, list)
        value.append(1)
        return ["[redacted:x]"]

    assert judge(made("⟦Zq81mW0p⟧"), raising).raised == 1
    assert judge(made(["⟦Zq81mW0p⟧"]), mutating).mutated == 1
    assert judge(made("⟦Zq81mW0p⟧"), lambda _key, _value: b"x").retyped == 1
    grown = judge(made("⟦Zq81mW0p⟧"), lambda _key, value: f"{value}!" if "Z" not in str(value) else "[redacted:x]")
    assert grown.unstable == 1
    assert [fault.partition(" ")[0] for fault in grown.faults] == ["unstable"]
