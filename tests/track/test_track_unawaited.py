"""Coroutines that nobody awaits: a tracked one warns when the bare one would, and only then."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from usagetrace import track


@pytest.fixture(autouse=True)
def _only_what_is_new_is_collected() -> Iterator[None]:
    """Looking through all that a long run of tests has left would take a collection half a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def _work() -> None:
    """Do nothing."""


def _returns_coroutine() -> Any:
    return _work()


def _warnings_of(use: Callable[[Any], None], function: Callable[..., Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # What other tests left to collect is none of this one's.
        gc.collect()
        caught.clear()
        use(function())
        gc.collect()
    return [str(warning.message) for warning in caught]


def _throw(coroutine: Any) -> None:
    with pytest.raises(ValueError, match="planted"):
        coroutine.throw(ValueError("planted"))


UNUSED: dict[str, Callable[[Any], Any]] = {
    "dropped": lambda coroutine: None,
    "closed unstarted": lambda coroutine: coroutine.close(),
    "thrown into unstarted": _throw,
}


@pytest.mark.parametrize("mode", ["on", "off"])
@pytest.mark.parametrize("function", [_work, _returns_coroutine])
@pytest.mark.parametrize("use", UNUSED)
def test_unawaited_coroutines_warn_as_the_bare_ones(
    in_mode: Any, use: str, function: Callable[..., Any], mode: str
) -> None:
    """A coroutine that is dropped warns once; one that is closed, or thrown into, before it ran does not warn."""
    expected = _warnings_of(UNUSED[use], function)
    with in_mode(mode):
        assert _warnings_of(UNUSED[use], track("x")(function)) == expected


async def test_task_cancelled_before_it_starts_warns_nothing(spans: Any) -> None:
    """A task that is cancelled at once leaves no 'never awaited' warning behind, as it would not without us."""
    tracked = track("x")(_work)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
        caught.clear()
        task = asyncio.create_task(tracked())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
