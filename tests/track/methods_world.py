"""Classes of every kind, bare or with tracked methods, as a module that pickle and the auto-instrumentation find."""

from __future__ import annotations

import linecache
import sys
from types import ModuleType
from typing import Any

import pytest

from usagetrace import track
from usagetrace.autoinstrument.patches import Ledger
from usagetrace.autoinstrument.target import Target

NAME = "methods_world"
WAYS = ("decorator", "target")

SOURCE = '''
import abc, dataclasses, enum, functools, typing

def other(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

class Shelf:
    artifact_name = "of class"

    @decorate
    def __init__(self, name="shelf"):
        self.name = name

    @decorate
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    @decorate
    def __init_subclass__(cls, **options):
        super().__init_subclass__()
        cls.options = options

    @decorate
    def __class_getitem__(cls, item):
        return cls.__name__, item

    @decorate
    def method(self, first: int, second: str = "two", *rest: int, third: float = 3.0) -> tuple:
        """Tell what came."""
        return type(self).__name__, self.name, first, second, rest, third

    @decorate
    def odd(this, first):
        return this.name, first

    @decorate
    def any(*args, **kwargs):
        return len(args), sorted(kwargs)

    alias = method

    @decorate
    @classmethod
    def of_class(cls, first):
        """Tell the class."""
        return cls.__name__, first

    @classmethod
    @decorate
    def of_class_inside(cls, first):
        return cls.__name__, first

    @decorate
    @staticmethod
    def static(first):
        return first

    @staticmethod
    @decorate
    def static_inside(first):
        return first

    @decorate
    @property
    def getter(self):
        return self.name

    @functools.cached_property
    @decorate
    def once(self):
        return [self.name]

    half = functools.partialmethod(method, 1, third=0.5)

    @decorate
    @functools.lru_cache
    def cached(self, first):
        return [first]

    @decorate
    async def awaited(self, first):
        return self.name, first

    @decorate
    def generated(self, first):
        yield self.name
        yield first

    @decorate
    async def generated_async(self, first):
        yield self.name, first

    @functools.singledispatchmethod
    @decorate
    def dispatched(self, first):
        return "object", self.name, first

    @dispatched.register
    @decorate
    def _(self, first: int):
        return "int", self.name, first

    @decorate
    @other
    def under(self, first):
        return self.name, first

    @other
    @decorate
    def over(self, first):
        return self.name, first

    @decorate
    def __call__(self, first):
        return self.name, first

    @decorate
    def __len__(self):
        return 7

    @decorate
    def __enter__(self):
        return self.name

    @decorate
    def __exit__(self, *error):
        return True

    @decorate
    def __iter__(self):
        yield self.name

    @decorate
    def __eq__(self, others):
        return isinstance(others, Shelf) and self.name == others.name

    @decorate
    def __hash__(self):
        return 11

    class Inner:
        @decorate
        def deep(self, first):
            return first

class Sub(Shelf, colour="red"):
    @decorate
    def method(self, first, *rest, **more):
        return "sub", super().method(first, *rest, **more)

    @decorate
    @classmethod
    def of_class(cls, first):
        return "sub", super().of_class(first)

class Plain(Shelf):
    pass

class Meta(type):
    @decorate
    def __new__(mcs, name, bases, namespace):
        return super().__new__(mcs, name, bases, namespace)

    @decorate
    def of_meta(cls, first):
        return cls.__name__, first

    @decorate
    def __call__(cls, *args):
        return super().__call__(*args)

class Made(metaclass=Meta):
    pass

class Abstract(abc.ABC):
    @decorate
    @abc.abstractmethod
    def method(self, first):
        return "abstract", first

    @decorate
    @classmethod
    @abc.abstractmethod
    def of_class(cls): ...

class Concrete(Abstract):
    def method(self, first):
        return super().method(first)

    def of_class(cls): ...

class Colour(enum.Enum):
    RED = 1

    @decorate
    def shade(self, first):
        return self.name, first

    @decorate
    @classmethod
    def of_class(cls, first):
        return cls.__name__, first

@typing.runtime_checkable
class Protocol(typing.Protocol):
    @decorate
    def deep(self, first): ...

@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    name: str = "slots"

    @decorate
    def method(self, first):
        return self.name, first

@dataclasses.dataclass
class Data:
    name: str = "data"

    @decorate
    def method(self, first):
        return self.name, first

    @decorate
    def __post_init__(self):
        self.after = True

class Text(str):
    @decorate
    def method(self, first):
        return self, first

    upper = decorate(str.upper)

class Base:
    def __init__(self, name="base"):
        self.name = name

    def method(self, first):
        return self.name, first

    def replaced(self, first):
        return "before"

    @classmethod
    def of_class(cls, first):
        return cls.__name__, first

    @staticmethod
    def static(first):
        return first

    @property
    def getter(self):
        return self.name

    @functools.cached_property
    def once(self):
        return [self.name]

    half = functools.partialmethod(method, 1)

class Heir(Base):
    pass

class Mixin(Base):
    def method(self, first):
        return "mixin", super().method(first)

    @classmethod
    def of_class(cls, first):
        return "mixin", super().of_class(first)

    @property
    def getter(self):
        return "mixin"

class Both(Heir, Mixin):
    pass

bound = decorate(Shelf("bound").method)
held = Shelf("held")
held.own = decorate(held.odd)
'''

# What is put in place of each decorator, where targets say what is tracked.
TARGETS = (
    *(f"Shelf.{name}" for name in (
        "__init__", "__new__", "__init_subclass__", "__class_getitem__", "method", "odd", "any", "alias", "of_class",
        "of_class_inside", "static", "static_inside", "getter", "once", "half", "cached", "awaited", "generated",
        "generated_async", "under", "over", "__call__", "__len__", "__enter__", "__exit__", "__iter__", "__eq__",
        "__hash__", "Inner.deep",
    )),
    "Sub.method", "Sub.of_class", "Meta.__new__", "Meta.of_meta", "Meta.__call__", "Abstract.method",
    "Abstract.of_class", "Colour.shade", "Colour.of_class", "Protocol.deep", "Slots.method", "Data.method",
    "Data.__post_init__", "Text.method", "Text.upper", "Heir.method",
    "Heir.replaced", "Heir.of_class", "Heir.static", "Heir.getter", "Heir.once", "Heir.half", "bound", "held.own",
)  # fmt: skip


def build(monkeypatch: pytest.MonkeyPatch, way: str | None) -> tuple[Any, Ledger]:
    """Return the module and what can take the targets out of it again.

    Args:
        monkeypatch: Takes the module out of ``sys.modules`` afterwards.
        way: One of WAYS; None leaves all bare.
    """
    module = ModuleType(NAME)
    module.__file__ = f"<{NAME}>"
    monkeypatch.setitem(sys.modules, NAME, module)
    monkeypatch.setitem(linecache.cache, module.__file__, (len(SOURCE), None, SOURCE.splitlines(True), module.__file__))
    module.__dict__["decorate"] = track("x") if way == "decorator" else lambda function: function
    exec(compile(SOURCE, module.__file__, "exec", dont_inherit=True), module.__dict__)
    return module, replace(module) if way == "target" else Ledger()


def replace(module: ModuleType) -> Ledger:
    """Put tracked functions in place of all that are targets, and return what takes them out again."""
    ledger = Ledger()
    for qualname in TARGETS:
        ledger.apply(Target(f"{NAME}:{qualname}", "x"), module)
    return ledger
