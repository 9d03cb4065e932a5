"""What a selector finds beside the parameters: the function itself, and what a generator has yielded."""

from __future__ import annotations

import functools
import gc
import types
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from tests.track.test_track_items import brief
from usagetrace import track
from usagetrace.errors import SelectorError
from usagetrace.track.reading import ITEM_LIMIT

# --- $function -----------------------------------------------------------------------------------------------


class Cache:
    """A class with each kind of method."""

    def clear(self) -> str:
        """Return the name."""
        return "clear"

    @classmethod
    def reset(cls) -> str:
        """Return the name."""
        return "reset"

    @staticmethod
    def delete() -> str:
        """Return the name."""
        return "delete"

    @property
    def size(self) -> str:
        """Return the name."""
        return "size"


async def fetch() -> str:
    """Return the name."""
    return "fetch"


FUNCTIONS: dict[str, Any] = {
    "clear": lambda tracked: type("Mine", (Cache,), {"clear": tracked(Cache.clear)})().clear(),
    "reset": lambda tracked: type("Mine", (Cache,), {"reset": tracked(vars(Cache)["reset"])}).reset(),
    "delete": lambda tracked: type("Mine", (Cache,), {"delete": tracked(vars(Cache)["delete"])}).delete(),
    "size": lambda tracked: type("Mine", (Cache,), {"size": tracked(vars(Cache)["size"])})().size,
    "bound": lambda tracked: tracked(Cache().clear)(),
    "partial": lambda tracked: tracked(functools.partial(Cache.clear, Cache()))(),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_function_is_the_one_that_was_decorated(spans: Any, kind: str) -> None:
    """$function is the function itself, whatever binds it; one set of fields serves several functions."""
    name = FUNCTIONS[kind](track.sync(artifact_name="$function.__name__", artifact_type="cache"))
    assert spans.attributes()["usage.artifact.name"] == name


async def test_function_of_a_coroutine_function(spans: Any) -> None:
    """A coroutine function is itself too."""
    assert await track.sync(artifact_name="$function.__name__", artifact_type="cache")(fetch)() == "fetch"
    assert spans.attributes()["usage.artifact.name"] == "fetch"


def test_a_parameter_named_function_wins(spans: Any) -> None:
    """A parameter of that name is meant, and an argument that comes by ** too."""
    fields = track.sync(artifact_name="$function.__name__", artifact_type="cache")

    def takes(function: Any) -> None: ...
    def keywords(**more: Any) -> None: ...

    fields(takes)(fetch)
    fields(keywords)(function=fetch)
    fields(keywords)()
    assert [span.attributes["usage.artifact.name"] for span in spans.finished] == ["fetch", "fetch", "keywords"]


def test_function_chooses_an_event_type(spans: Any) -> None:
    """It is known before the call, so that an event type may be chosen by it."""
    chosen = track({"$function.__name__ == 'clear'": "remove", "else": "sync"}, artifact_type="cache")
    chosen(Cache().clear)()
    chosen(Cache.delete)()
    assert spans.names == ["remove", "sync"]


# --- $yielded ------------------------------------------------------------------------------------------------

EACH: dict[str, Any] = {"each": "$yielded", "artifact_name": "$item", "artifact_type": "package"}


def names(count: int, fails: bool = False) -> Iterator[str]:
    """Yield so many names."""
    for number in range(count):
        yield f"p{number}"
    if fails:
        raise OSError("planted")


async def names_async(count: int, fails: bool = False) -> AsyncIterator[str]:
    """Yield so many names."""
    for name in names(count, fails):
        yield name


async def consume(made: Any, most: int) -> list[str]:
    """Take so many of what either kind of generator yields, then close it."""
    taken: list[str] = []
    try:
        if isinstance(made, types.AsyncGeneratorType):
            async for name in made:
                taken.append(name)
                if len(taken) == most:
                    break
        else:
            for name in made:
                taken.append(name)
                if len(taken) == most:
                    break
    except OSError:
        taken.append("failed")
    await made.aclose() if isinstance(made, types.AsyncGeneratorType) else made.close()
    return taken


@pytest.mark.parametrize("function", [names, names_async])
@pytest.mark.parametrize(
    ("count", "fails", "most", "expected"),
    [
        (3, False, 9, [("p0", "ok", None), ("p1", "ok", None), ("p2", "ok", None)]),
        (3, False, 2, [("p0", "ok", None), ("p1", "ok", None)]),
        (2, True, 9, [("p0", "error", "OSError"), ("p1", "error", "OSError")]),
        (0, False, 9, [("", "ok", None)]),
    ],
)
async def test_each_of_what_is_yielded(
    spans: Any, function: Any, count: int, fails: bool, most: int, expected: list[Any]
) -> None:
    """Each thing that a generator yielded is an artifact: all of them, those up to where its consumer had enough or
    it raised, or none; the consumer gets the same as without us."""
    bare = await consume(function(count, fails), most)
    assert await consume(track.search(**EACH)(function)(count, fails), most) == bare
    assert brief(spans) == expected


@pytest.mark.parametrize("function", [names, names_async])
async def test_what_was_asked_for_and_not_yielded(spans: Any, function: Any) -> None:
    """What was asked for is held against what was yielded, also where nothing was."""
    for count in (1, 0):
        tracked = track.deploy(requested=lambda call: ["p0", "p1"], **EACH)(function)
        await consume(tracked(count), 9)
    assert brief(spans) == [
        ("p0", "ok", None), ("p1", "error", "_OTHER"), ("p0", "error", "_OTHER"), ("p1", "error", "_OTHER")
    ]  # fmt: skip


def test_what_is_yielded_in_other_fields(spans: Any) -> None:
    """Metadata, conditions and callables read it as well."""
    fields: dict[str, Any] = {
        "artifact_type": "package",
        "metadata": {"first": "$yielded[0]", "all": lambda call: len(call.yielded)},
        "outcome": {"not $yielded": "error", "else": "success"},
    }
    list(track.search(artifact_name="$yielded[-1]", **fields)(names)(2))
    assert brief(spans) == [("p1", "ok", None)]
    assert (spans.metadata()["first"], spans.metadata()["all"]) == ("p0", 2)


def test_no_more_than_a_limit_is_kept(spans: Any) -> None:
    """Of an endless generator no more is kept than becomes events."""
    lengths: list[int] = []
    tracked = track.search(metadata=lambda call: lengths.append(len(call.yielded)), skip_if="not $yielded")(names)
    assert len(list(tracked(ITEM_LIMIT + 5))) == ITEM_LIMIT + 5
    assert lengths == [ITEM_LIMIT]


class Thing:
    """Something that can be watched."""


@pytest.mark.parametrize("ends", ["runs out", "closed", "raises"])
@pytest.mark.parametrize("read", [True, False])
def test_what_was_yielded_is_let_go(spans: Any, ends: str, read: bool) -> None:
    """It lives no longer than the generator, and without a field that reads it no longer than its consumer wants."""
    watched: list[weakref.ref[Thing]] = []

    def things() -> Generator[Thing, None, None]:
        for _number in range(2):
            made = Thing()
            watched.append(weakref.ref(made))
            yield made
            del made
        if ends == "raises":
            raise OSError("planted")

    field = "$yielded[0].__class__.__name__" if read else "things"
    generator = track("list", artifact_name=field)(things)()
    next(generator)
    next(generator)
    gc.collect()
    assert (watched[0]() is not None) is read
    if ends == "closed":
        generator.close()
    else:
        with pytest.raises(StopIteration if ends == "runs out" else OSError):
            next(generator)
    gc.collect()
    assert [reference() for reference in watched] == [None, None]
    assert spans.attributes()["usage.artifact.name"] == ("Thing" if read else "things")


def test_names_that_win_over_what_is_yielded(spans: Any) -> None:
    """A parameter of that name is meant, and an argument that comes by ** too, also of a plain function."""

    def takes(yielded: str) -> Iterator[str]:
        yield "p"

    def keywords(**more: Any) -> Iterator[str]:
        yield "p"

    def plain(**more: Any) -> None: ...

    fields = track("list", artifact_name="$yielded | none", metadata={"all": "$yielded"})
    list(fields(takes)("given"))
    list(fields(keywords)(yielded="given"))
    list(fields(keywords)())
    fields(plain)(yielded="given")
    found = [span.attributes["usage.metadata.all"] for span in spans.finished]
    assert found == ["given", "given", ("p",), "given"]


NO_GENERATORS: dict[str, tuple[Callable[..., Any], Any]] = {
    "a function": (lambda name: name, {"artifact_name": "$yielded[0]"}),
    "a coroutine function": (fetch, {"each": "$yielded", "artifact_name": "$item"}),
    "in a condition": (lambda name: name, {"skip_if": "not $yielded"}),
}


@pytest.mark.parametrize("case", NO_GENERATORS)
def test_only_generators_yield(case: str) -> None:
    """Elsewhere the name is refused when the function is decorated."""
    function, fields = NO_GENERATORS[case]
    with pytest.raises(SelectorError, match=r"\$yielded is only known of a generator function"):
        track.deploy(**fields)(function)


def test_an_event_type_can_not_be_chosen_by_what_is_yielded() -> None:
    """It is known after the call."""
    with pytest.raises(SelectorError, match="names what is known after the call"):
        track({"$yielded": "deploy", "else": "search"})(names)
