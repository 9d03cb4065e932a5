"""Which patterns of people's own rules are taken, and which are refused for the time that they could take."""

from __future__ import annotations

import pytest

from usagetrace.redaction.ambiguity import slowness

EXPONENTIAL = [
    r"(a+)+b", r"(a|ab|b)*c", r"(\w+\s?)*:", r"(.*a){30,}b", r"(?i:(?:A|aB|b)*)c", r"(?=(a+)+b)x",
    r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(\d|[0-9]x?)+y", r"(?:a|a)+b", r"(?:ab|ab)*c",
    # Letters that are one without regard to case.
    "(?i)(?:sa|\u017fa)+x", "(?i)(?:\u03c3a|\u03c2a)+x", "(?i)(?:ka|\u212aa)+x", "(?i)(?:sa|[\u0170-\u0180]a)+x",
]  # fmt: skip
EMPTY = [
    r"(a*)*b",
    r"(a?b?)*c",
    r"(a{0,50}){0,50}b",
    r"((ab)*|a|b)+c",
    r"(?:(?:a?){30}a{30})b",
    r"(a|[^b])*?(?:[^c]|a*)*z",
]
POWER = [
    r"(.*)(.*)(.*)(.*)(.*)z", r"\s*\s*\s*x", r"(?:ab)*(?:ab)*(?:ab)*c", r"\w+\w+\w+\b", r".*a.*b.*c",
    r"x(?=\d*\d*\d*z)", r"\d{1,40}\d{1,40}\d{1,40}x",
]  # fmt: skip
MANY = [
    "a?" * 30 + "a" * 30 + "b",
    "(?:a|a){30}b",
    "(?:ab|ab)" * 20 + "c",
    "(?:ab|ab){14}c",
    ".{0,16}" * 6 + "z",
    "(?:|)" * 30 + "x",
]
FAST = [
    r"E-\d{6}", r"(?:\d{4}[ -]?){3}\d{4}", r"(?:[a-z]+\.)+com", r"[a-z]{3,64}", r".*foo.*", r"(?:[^,]*,)*x",
    r"(?:(?:[a-z0-9_-]{1,63})\.)+[a-z]{2,24}", r"(?:ab|cd)+", r"(?<![a-z])x(?![a-z])", r"\d+\.\d+\.\d+",
    r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", r".*foo.*bar", r"\S+@\S+\.\S+", r"(?:a|b)*c", r"a+b+c+",
    r"(?P<secret>[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7})\b", "(?i)m\xfcller", "(?i)\\b(?:strasse|stra\xdfe)\\s+\\d+",
    r"\+?\d{1,3}[ -]?\d{2,4}[ -]?\d{3,4}[ -]?\d{3,4}\b", r"(?:\d[ -]?){13,16}", r"^\s*name:\s*(.*)$",
    r"(?:https?://)?(?:www\.)?\w+\.corp\b", r"(?:^|\s|$)x", r"foo(?:\b|$)",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        *((pattern, "exponential") for pattern in EXPONENTIAL),
        *((pattern, "can be empty") for pattern in EMPTY),
        *((pattern, "high power") for pattern in POWER),
        *((pattern, "very many ways") for pattern in MANY),
    ],
)
def test_a_pattern_that_can_take_too_long_is_told(pattern: str, why: str) -> None:
    """Ambiguous repeats in whatever form, with what is wrong with them."""
    assert why in slowness(pattern)


@pytest.mark.parametrize("pattern", FAST)
def test_a_usual_pattern_is_not_refused(pattern: str) -> None:
    """What people write for ids, cards, hosts and addresses."""
    assert slowness(pattern) == ""


@pytest.mark.parametrize("pattern", [r"(x)\1", r"(a)?(?(1)b|c)", "[a-z]x" * 300])
def test_what_cannot_be_judged_is_refused(pattern: str) -> None:
    """With a reason of its own."""
    assert slowness(pattern)
    assert "exponential" not in slowness(pattern)
