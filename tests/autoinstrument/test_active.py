"""Targets in force: every way in which real code holds a function, and that everything can be taken back."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import wrapt

from usagetrace.autoinstrument.active import ACTIVE, FAILED, WAITING, Instrumentation
from usagetrace.autoinstrument.target import Target

from .conftest import Write


@pytest.fixture
def caught(capture: Callable[..., Any]) -> Any:
    """Catch what is recorded."""
    return capture()


@pytest.fixture
def begin() -> Iterator[Callable[..., Instrumentation]]:
    """Put targets in force: ``begin("module:function", ...)``, each a deploy; taken back after the test."""
    made: list[Instrumentation] = []

    def put(*functions: str | Target, event: str = "deploy", **fields: Any) -> Instrumentation:
        instrumentation = Instrumentation()
        made.append(instrumentation)
        instrumentation.begin(f if isinstance(f, Target) else Target(f, event, fields, where="here") for f in functions)
        return instrumentation

    yield put
    for instrumentation in made:
        instrumentation.end()


def load(name: str) -> ModuleType:
    """Import a module as a program does."""
    return importlib.import_module(name)


KINDS = """
import functools, asyncio

def plain(name): return name

async def coroutine(name): return name

def generator(name): yield name

async def agenerator(name): yield name

def decorate(f):
    @functools.wraps(f)
    def inner(*args, **kwargs): return f(*args, **kwargs)
    return inner

@decorate
def decorated(name): return name

partial = functools.partial(plain, "fixed")

@functools.lru_cache
def cached(name): return name

class Base:
    def method(self, name): return name
    @classmethod
    def of_class(cls, name): return name
    @staticmethod
    def static(name): return name
    @property
    def getter(self): return "value"
    @functools.cached_property
    def once(self): return "once"
    half = functools.partialmethod(method, "half")
    async def amethod(self, name): return name
    class Inner:
        def deep(self, name): return name

class Child(Base):
    __slots__ = ("x",)
    pass

class Command:
    def __init__(self, callback): self.callback = callback

class Slotted:
    __slots__ = ("callback",)

command = Command(plain)
slotted = Slotted()
slotted.callback = plain
"""


def _use(module: ModuleType, qualname: str) -> object:
    """Call what a qualified name means, as a program does."""
    if qualname == "Base.getter":
        return module.Base().getter
    if qualname == "Base.once":
        thing = module.Base()
        return (thing.once, thing.once)[0]
    if qualname == "Base.half":
        return module.Base().half()
    if qualname == "partial":
        return module.partial()
    holder, _, name = qualname.rpartition(".")
    owner: Any = module
    for part in holder.split(".") if holder else ():
        owner = getattr(owner, part)
    function = getattr(owner() if isinstance(owner, type) else owner, name)
    result = function("thing")
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if hasattr(result, "__anext__"):

        async def collect() -> list[object]:
            return [item async for item in result]

        return asyncio.run(collect())
    return list(result) if hasattr(result, "__next__") else result


ALL = (
    "plain", "coroutine", "generator", "agenerator", "decorated", "partial", "cached", "Base.method", "Base.of_class",
    "Base.static", "Base.getter", "Base.once", "Base.half", "Base.amethod", "Base.Inner.deep", "Child.method",
    "Child.of_class", "Child.static", "Child.amethod", "command.callback", "slotted.callback",
)  # fmt: skip


@pytest.mark.parametrize("qualname", ALL)
@pytest.mark.parametrize("early", [True, False], ids=["before the import", "after it"])
def test_every_kind_of_function_is_tracked_and_given_back(
    write: Write, caught: Any, begin: Any, qualname: str, early: bool
) -> None:
    """Each call is one span and gives what it gave; afterwards the module holds the very objects that it held."""
    write(kinds=KINDS)
    instrumentation = begin(f"kinds:{qualname}") if early else None
    module = load("kinds")
    bare = _world(module)
    if instrumentation is None:
        instrumentation = begin(f"kinds:{qualname}")
    tracked = _use(module, qualname)
    assert caught.names == ["deploy"]
    (state,) = instrumentation.states()
    assert (state.state, state.calls) == (ACTIVE, 1)
    instrumentation.end()
    if not early:
        assert _world(module) == bare
    assert _use(module, qualname) == tracked
    assert caught.names == ["deploy"]


def _world(module: ModuleType) -> dict[str, int]:
    """Return the identity of everything that a module and its classes and objects hold."""
    found: dict[str, int] = {}

    def look(prefix: str, namespace: Any) -> None:
        for name, value in dict(namespace).items():
            if name.startswith("__"):
                continue
            found[prefix + name] = id(value)
            if isinstance(value, type) and value.__module__ == module.__name__:
                look(f"{prefix}{name}.", vars(value))

    look("", vars(module))
    look("command.", vars(module.command))
    found["slotted.callback"] = id(module.slotted.callback)
    return found


def test_a_class_that_inherits_is_tracked_by_itself(write: Write, caught: Any, begin: Any) -> None:
    """Neither its base nor its sisters are."""
    write(kinds=KINDS)
    module = load("kinds")
    begin("kinds:Child.method")
    module.Base().method("a")
    assert caught.names == []
    module.Child().method("a")
    assert caught.names == ["deploy"]


def test_what_a_class_inherits_stays_what_it_inherits(write: Write, caught: Any, begin: Any) -> None:
    """Another base may come between in a class below, and the base's own may be replaced: both count as without us."""
    write(
        diamond="""
        class Base:
            def deploy(self): return "base"
            @classmethod
            def made(cls): return "base"
        class Child(Base): pass
        class Mixin(Base):
            def deploy(self): return "mixin"
            @classmethod
            def made(cls): return "mixin"
        class Both(Child, Mixin): pass
        """
    )
    begin("diamond:Child.deploy", "diamond:Child.made")
    module = load("diamond")
    assert (module.Both().deploy(), module.Both.made(), module.Child().deploy()) == ("mixin", "mixin", "base")
    module.Base.deploy = lambda self: "other"
    assert module.Child().deploy() == "other"
    assert caught.names == ["deploy"] * 4


def test_functions_taken_by_name_are_tracked_before_and_after(write: Write, caught: Any, begin: Any) -> None:
    """``from m import f`` before the targets come, after them, and in a circle inside the package."""
    write(
        pk__init="from pk import core, late",
        pk__core="from pk import early\ndef f(name): return name",
        pk__early="import pk",
        pk__late="from pk.core import f",
        other="from pk.core import f as g",
    )
    load("other")
    instrumentation = begin("pk.core:f")
    assert sys.modules["other"].g("a") == "a"
    assert sys.modules["pk.late"].f("a") == "a"
    assert caught.names == ["deploy"] * 2
    instrumentation.end()
    assert sys.modules["other"].g is sys.modules["pk.late"].f is sys.modules["pk.core"].f
    assert not isinstance(sys.modules["pk.core"].f, wrapt.ObjectProxy)


def test_a_circle_of_imports_gets_the_tracked_function(write: Write, caught: Any, begin: Any) -> None:
    """A module of the package that took the function while its module was still being executed has the tracked one."""
    write(
        ring__init="",
        ring__core="def f(name): return name\nfrom ring import user",
        ring__user="from ring.core import f",
    )
    begin("ring.core:f")
    load("ring.core")
    sys.modules["ring.user"].f("a")
    assert caught.names == ["deploy"]


def test_a_reloaded_module_is_tracked_again(write: Write, caught: Any, begin: Any) -> None:
    """The new function is, once, and the old one where somebody still holds it; both are given back."""
    write(plain="def f(name): return name")
    instrumentation = begin("plain:f")
    module = load("plain")
    old = module.f
    importlib.reload(module)
    assert module.f is not old
    module.f("a")
    old("a")
    assert caught.names == ["deploy"] * 2
    assert instrumentation.states()[0].calls == 2
    instrumentation.end()
    module.f("a")
    old("a")
    assert caught.names == ["deploy"] * 2


def test_a_target_module_is_never_imported_by_us(write: Write, begin: Any) -> None:
    """Nor is what it would make when it is asked for a name that it lacks."""
    write(
        asked="def __getattr__(name):\n    import asked_too\n    raise AttributeError(name)",
        asked_too="",
        never="def f(): pass",
    )
    instrumentation = begin("never:f", "asked:made")
    load("asked")
    assert {"never", "asked_too"}.isdisjoint(sys.modules)
    waiting, failed = instrumentation.states()
    assert waiting.state == WAITING
    assert failed.state == FAILED
    assert "name the module that defines the function" in failed.message


FAULTS = [
    ("plain:gone", "plain has no gone"),
    ("plain:plan", "plain has no plan; did you mean plain?"),
    ("plain:Thing.gone", "plain has no Thing.gone: the class Thing has no gone"),
    ("plain:Thing", "Thing is a class; name a method of it, such as Thing.__init__"),
    ("plain:NUMBER", "NUMBER can't be called: it is an object of type int"),
    ("plain:NUMBER.deep.er", "plain has no NUMBER.deep: an object of type int has no deep"),
    ("plain:text.upper", "can't be replaced"),
    ("builtins:str.upper", "can't be replaced"),
    ("usagetrace.api:flush", "what records can't be recorded"),
]


@pytest.mark.parametrize(("function", "message"), FAULTS)
def test_a_target_that_is_not_there_is_one_warning(
    write: Write, caught: Any, begin: Any, caplog: pytest.LogCaptureFixture, function: str, message: str
) -> None:
    """It names the target and its place; the module is whole, and the other targets work."""
    write(plain="NUMBER = 1\ntext = 'x'\nclass Thing: pass\ndef plain(name): return name")
    with caplog.at_level(logging.WARNING, "usagetrace"):
        instrumentation = begin(function, "plain:plain")
        assert load("plain").plain("a") == "a"
    failed = instrumentation.states()[0]
    assert failed.state == FAILED
    assert message in failed.message
    assert [function in record.getMessage() for record in caplog.records] == [True]
    assert caught.names == ["deploy"]


def test_an_optional_target_that_is_not_there_is_no_warning(
    write: Write, begin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version of the program has it."""
    write(plain="")
    begin(Target("plain:gone", "deploy", optional=True))
    load("plain")
    assert caplog.records == []


@pytest.mark.parametrize(
    "fields",
    [{"artifact_name": "$nobody"}, {"artifact_name": "$name."}, {"metadata": 3}, {"skip_within": "add"}],
)
def test_a_field_that_does_not_fit_is_one_warning(
    write: Write, caught: Any, begin: Any, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    """The function runs untracked."""
    write(plain="def f(name): return name")
    instrumentation = begin("plain:f", **fields)
    assert load("plain").f("a") == "a"
    assert instrumentation.states()[0].state == FAILED
    assert len(caplog.records) == 1
    assert caught.names == []


def test_the_module_that_raises_on_import_raises(write: Write, begin: Any) -> None:
    """As it does without us."""
    write(broken="def f(): pass\nraise LookupError('of the program')")
    begin("broken:f")
    with pytest.raises(LookupError, match="of the program"):
        load("broken")


def test_targets_given_twice_count_once(write: Write, caught: Any) -> None:
    """In one set of targets and in a second one."""
    write(plain="def f(name): return name")
    first, second = Instrumentation(), Instrumentation()
    target = Target("plain:f", "deploy")
    try:
        first.begin([target])
        first.begin([target])
        second.begin([target])
        load("plain").f("a")
        assert caught.names == ["deploy"]
        second.end()
        load("plain").f("a")
        assert caught.names == ["deploy"] * 2
    finally:
        first.end()
        second.end()
    load("plain").f("a")
    assert caught.names == ["deploy"] * 2


def test_somebody_elses_wrapper_stays_and_ours_goes(write: Write, caught: Any, begin: Any) -> None:
    """Whether theirs is one of wrapt's or a plain closure, and whichever is taken off first."""
    write(plain="def f(name): return name\ndef g(name): return name\ndef h(name): return name")
    instrumentation = begin("plain:f", "plain:g", "plain:h")
    module = load("plain")
    calls: list[str] = []

    @wrapt.decorator
    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        calls.append(wrapped.__name__)
        return wrapped(*args, **kwargs)

    def closure(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any) -> Any:
            calls.append(function.__name__)
            return function(*args)

        return inner

    module.f, module.g = theirs(module.f), closure(module.g)
    module.h = theirs(module.h).__wrapped__.__wrapped__
    assert [module.f("a"), module.g("a"), module.h("a")] == ["a", "a", "a"]
    assert caught.names == ["deploy"] * 2
    instrumentation.end()
    assert [module.f("a"), module.g("a"), module.h("a")] == ["a", "a", "a"]
    assert caught.names == ["deploy"] * 2
    assert calls == ["f", "g", "f", "g"]
    assert not isinstance(module.f.__wrapped__, wrapt.ObjectProxy)


def test_dataclasses_and_frozen_ones_are_tracked(write: Write, caught: Any, begin: Any) -> None:
    """Their methods are functions of the class."""
    write(
        data="""
        import dataclasses
        @dataclasses.dataclass(frozen=True, slots=True)
        class Item:
            name: str
            def deploy(self, target): return (self.name, target)
        """
    )
    begin("data:Item.deploy", artifact_name="$self.name")
    module = load("data")
    assert module.Item("a").deploy("b") == ("a", "b")
    assert caught.attributes()["usage.artifact.name"] == "a"
    assert [field.name for field in dataclasses.fields(module.Item)] == ["name"]


def test_a_function_that_its_author_tracks_too_counts_once(write: Write, caught: Any, begin: Any) -> None:
    """The decorator in the code and the target are one operation."""
    write(
        plain="""
        from usagetrace import track
        @track.deploy(artifact_type="skill")
        def f(name): return name
        """
    )
    begin("plain:f", artifact_name="$name")
    load("plain").f("a")
    assert caught.names == ["deploy"]
    assert caught.attributes()["usage.artifact.type"] == "skill"
    assert caught.attributes()["usage.artifact.name"] == "a"
