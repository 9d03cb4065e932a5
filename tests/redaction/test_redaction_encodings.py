"""Bytes: text in whichever encoding is searched, and whatever is no text comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.redaction import Redactor

ENGINE = Redactor(home="/home/owner", user_name="", host_name="")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_text_in_any_encoding_is_searched(encoding: str) -> None:
    """A secret in UTF-16, with its mark or without, goes as one in UTF-8 does; the encoding stays."""
    secret = "ghp" + "_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9"
    redacted = ENGINE.redact("note", f"for {secret} and password=hunter2".encode(encoding))
    assert isinstance(redacted, bytes)
    text = redacted.decode(encoding)
    assert secret not in text
    assert "hunter2" not in text
    assert text.startswith("for [redacted:")
    assert ENGINE.redact("note", redacted) == redacted


@given(st.binary(max_size=64))
def test_other_bytes_come_back(value: bytes) -> None:
    """Bytes in which nothing is found are the same object; none of any kind raises."""
    redacted = ENGINE.redact("note", value)
    assert isinstance(redacted, bytes)
    assert redacted is value or b"[redacted:" in redacted.replace(b"\0", b"")
