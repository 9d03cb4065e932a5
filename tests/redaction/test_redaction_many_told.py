"""A text that tells of more secrets than are looked at: what nobody looked at does not leave."""

from __future__ import annotations

import pytest

from usagetrace.redaction import Redactor, told

TEXTS = {
    "sentences": "the password is Hunter2xq9, ok. ",
    "assignments": "password: Hunter2xq9 and secret: Kw82mQ0zLw\n",
    "harmless": "token count is fine, the tokens too. ",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_the_rest_of_a_text_with_too_many_names_is_masked(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Nothing that was told behind the last name that is looked at stays, and a second pass changes nothing."""
    monkeypatch.setattr(told, "TOLD_LIMIT", 20)
    redactor = Redactor("/home/mireille", "mireille", "falcon-ws7")
    once = redactor.redact("usage.metadata.note", TEXTS[kind] * 60)
    assert isinstance(once, str)
    assert once.endswith("[redacted:dense]")
    assert "Hunter2" not in once
    assert redactor.redact("usage.metadata.note", once) == once


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_with_few_names_is_looked_at_whole(kind: str) -> None:
    """Ten are no reason to mask what is behind them."""
    text = TEXTS[kind] * 10 + "and the last words stay"
    redacted = Redactor("/home/mireille", "mireille", "falcon-ws7").redact("usage.metadata.note", text)
    assert str(redacted).endswith("and the last words stay")
