"""A long text whose rest is cut off, because it is dense with what the rules look for, stays as it is from then on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.redaction import Redactor, dense, finder, paths
from usagetrace.redaction.invisible import visible
from usagetrace.redaction.keys import UNSEEN

UNITS = (
    "/home/mireille/", "a@b.co ", "mireille ", "/srv/a ", "password=a1 ", "token a1", "1 ", "a=b&", "4111 ", "key: v\n",
    "/home/ada/x ", "10.0.0.1 ", "[redacted:secret]", "\u200ba", "https://a:b@c.io ", "C:\\a\\b ", "Set-Cookie: a=b; ",
    "2026-01-02T03:04:05Z INFO a.b: c=d\n", "curl -u a:b ", "/a", "falcon-ws7/", "%2Fhome%2Fada ",
)  # fmt: skip
# Characters of the bounds that stand for the real ones here, and the cost that goes with them.
BOUND, COST = 600, 400_000


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are cut that are a hundredth as long as those which are cut otherwise."""
    monkeypatch.setattr(finder, "LONG", BOUND)
    monkeypatch.setattr(paths, "_LONG", BOUND)
    monkeypatch.setattr(dense, "COST_LIMIT", COST)
    monkeypatch.setattr(dense, "_CHUNK", 512)


@pytest.mark.usefixtures("lowered")
@pytest.mark.parametrize("unit", UNITS)
def test_a_cut_text_is_redacted_once(unit: str) -> None:
    """Redacting what was cut changes nothing more, whatever the length above the bound."""
    redactor = Redactor("/home/mireille", "mireille", "falcon-ws7")
    for length in (BOUND + 1, 2 * BOUND + 7, 5 * BOUND, 12 * BOUND + 3):
        once = redactor.redact("note", (unit * (length // len(unit) + 1))[:length])
        assert redactor.redact("note", once) == once


@pytest.mark.usefixtures("lowered")
def test_the_lowered_bounds_cut() -> None:
    """The law above is one of texts that are cut, and what is left out is left out."""
    redacted = Redactor("/home/mireille", "mireille", "falcon-ws7").redact("note", "a=b /x/y " * 2000)
    assert isinstance(redacted, str)
    assert redacted.endswith("[redacted:dense]")
    assert len(redacted) < 12 * BOUND


@pytest.mark.parametrize("name", ["status", "T10", "worker.3", "report-token-count"])
def test_what_is_assigned_to_harmless_names_stays(name: str) -> None:
    """Many times and dates, states and counts in a text are no reason to cut it."""
    line = f"2026-11-02T10:20:30Z INFO worker: the user asked, {name}=ok\n"
    text = line * (dense.LONG // len(line))
    assert Redactor("/home/mireille", "mireille", "falcon-ws7").redact("note", text) == text


@given(st.text(st.sampled_from(["a", "b", *map(chr, sorted(UNSEEN)[:3])]), max_size=12))
def test_places_of_visible_characters(text: str) -> None:
    """Each character that is seen is told where it stood."""
    seen, places = visible(text)
    stood = [at for at, letter in enumerate(text) if ord(letter) not in UNSEEN]
    assert seen == "".join(text[at] for at in stood)
    assert [places[at] for at in range(len(seen))] == stood
