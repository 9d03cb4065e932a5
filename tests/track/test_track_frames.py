"""What tracks a function does not count as its caller."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from usagetrace import track

pytestmark = pytest.mark.filterwarnings("always")


@track.deploy
def warn(name: str) -> None:
    """Warn whoever called."""
    warnings.warn("old", DeprecationWarning, stacklevel=2)


class Shelf:
    """Has a method that does so."""

    @track.deploy
    def warn(self, name: str) -> None:
        """Warn whoever called."""
        warnings.warn("old", DeprecationWarning, stacklevel=2)


@track.deploy
async def warn_later(name: str) -> None:
    """Warn whoever awaits."""
    warnings.warn("old", DeprecationWarning, stacklevel=2)


@track.deploy
def warn_each(name: str) -> Iterator[str]:
    """Warn whoever goes through it."""
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    yield name


@track.deploy
async def warn_each_later(name: str) -> AsyncIterator[str]:
    """Warn whoever goes through it."""
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    yield name


async def _await() -> None:
    await warn_later("a")


async def _through() -> None:
    async for _ in warn_each_later("a"):
        pass


CALLS: dict[str, Callable[[], Any]] = {
    "function": lambda: warn("a"),
    "method": lambda: Shelf().warn("a"),
    "coroutine": lambda: asyncio.run(_await()),
    "generator": lambda: list(warn_each("a")),
    "asynchronous generator": lambda: asyncio.run(_through()),
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_warning_names_who_called_the_tracked_function(capture: Callable[..., Any], kind: str) -> None:
    """As it does where nothing is tracked."""
    caught = capture()
    with pytest.warns(DeprecationWarning, match="old") as warned:
        CALLS[kind]()
    assert [record.filename for record in warned] == [__file__]
    assert caught.names == ["deploy"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="logging counts the import system's frames there")
def test_a_log_record_names_who_called_the_tracked_function(
    capture: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """As it does where nothing is tracked."""
    capture()

    @track.deploy
    def deploy(name: str) -> None:
        logging.getLogger("tool").warning("deployed", stacklevel=2)

    deploy("a")
    assert [record.pathname for record in caplog.records] == [__file__]


def test_a_function_that_another_module_hands_on_is_pickled_as_its_own(capture: Callable[..., Any]) -> None:
    """A built-in that is tracked under another module's name travels as what its own module holds."""
    capture()
    root = track.deploy(math.sqrt)
    assert pickle.loads(pickle.dumps(root)) is math.sqrt
    assert pickle.loads(pickle.dumps(warn)) is warn
