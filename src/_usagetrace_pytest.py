"""The pytest plugin: the fixture ``usage_events``, found by its entry point.

It stands beside the package, not in it, because pytest loads it in every run of everybody who has the package
installed: a module in the package would import the package first, which took 27 ms beyond what pytest loads anyway.
It knows nothing of the package until the fixture is used.

PYTEST_DONT_REWRITE: it asserts nothing, and pytest would warn where it is imported before all plugins are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usagetrace.events import Event


@pytest.fixture
def usage_events() -> Iterator[list[Event]]:
    """Catch the events of tracked calls in memory while the test runs; a list that fills up as operations end."""
    from usagetrace.testing import capture_events

    with capture_events() as events:
        yield events
