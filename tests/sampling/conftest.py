"""What the tests of sampling share: rates of one test are not those of the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from usagetrace.track import changes, rates, windows


@pytest.fixture(autouse=True)
def rates_of_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget before and after each test what code and settings said of rates, and what was sent of which window."""
    monkeypatch.setattr(windows, "_sent", windows.Windows())
    rates.forget()
    changes.begin(None)
    yield
    rates.forget()
    changes.begin(None)
