"""One machine for all tests of this folder: a home, a user and a host that are not the real ones."""

from __future__ import annotations

import pytest

from usagetrace.redaction import Redactor


@pytest.fixture
def redactor() -> Redactor:
    """Return an engine for the machine of Ada."""
    return Redactor(home="/home/ada", user_name="ada", host_name="ada-thinkpad.corp.example")
