"""One call of a tracked function, and how its parameters and other roots are read from it.

``inspect.Signature.bind`` takes tens of microseconds; the readers here are made once for each parameter, when the
function is decorated, and take a fraction of one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from usagetrace.track.conventions import Read

    Readers = tuple[tuple[str, Read], ...]

_EMPTY: Final = inspect.Parameter.empty
# Roots that are known before the function runs, and those that are known only afterwards.
EARLY_ROOTS: Final = frozenset({"self", "cls"})
LATE_ROOTS: Final = frozenset({"result", "error"})
ITEM_ROOTS: Final = frozenset({"item", "index", "rank"})


def is_selector(value: object) -> bool:
    """Return whether a field's value is written in the language of :mod:`usagetrace.track.selectors`."""
    return isinstance(value, str) and value.startswith("$")


def is_condition(value: object) -> bool:
    """Return whether a text, where one may stand, is a condition of :mod:`usagetrace.track.conditions`."""
    return isinstance(value, str) and value.startswith(("$", "not ", "("))


def is_cases(value: object) -> bool:
    """Return whether a field's value is a mapping of conditions to values (see :mod:`usagetrace.track.cases`)."""
    return isinstance(value, Mapping) and any(map(is_condition, value))


class Call:
    """What a selector, or a callable given as a field's value, can look at.

    Attributes:
        instance: The object (or class) whose method was called, or None.
        args: Positional arguments, without the instance.
        kwargs: Keyword arguments.
        result: What the function returned; None before it has, and when it raised.
        error: What the function raised, or None.
        item: The artifact in hand, where ``each`` is used.
        index: Its position among those of the call, from 0; None where there is none in hand.
        yielded: What a generator has yielded, a thousand at most; None unless a field of it names ``$yielded``.
    """

    # Class attributes cost a call nothing.
    result: Any = None
    error: BaseException | None = None
    item: Any = None
    index: int | None = None
    yielded: list[Any] | None = None
    # Whether the instance is told apart from the arguments, where there is one.
    is_settled = False

    def __init__(self, parameters: Parameters, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.parameters = parameters
        self.instance = instance
        self.args = args
        self.kwargs = kwargs

    @property
    def rank(self) -> int | None:
        """Position of the artifact in hand, from 1; None where there is none in hand."""
        return None if self.index is None else self.index + 1

    @property
    def arguments(self) -> dict[str, Any]:
        """Every parameter by name, with defaults, however it was passed."""
        return {name: read(self) for name, read in self.parameters.readers()}


def settle(call: Call) -> Any:
    """Tell the object or class that a method was called on apart from the arguments; return it, or None.

    It comes as the first of them, and stays so until something asks: what is read by a parameter's name need not.
    """
    if not call.is_settled:
        call.is_settled = True
        if call.instance is None and call.args and call.parameters.is_method_of(call.args[0]):
            call.instance, call.args = call.args[0], call.args[1:]
    return call.instance


class Stage:
    """What is read at one moment of a call.

    Attributes:
        attributes: Attribute name and reader.
        mappings: Readers of whole metadata tables.
    """

    __slots__ = ("attributes", "mappings")

    def __init__(self, attributes: Readers = (), mappings: tuple[Read, ...] = ()) -> None:
        self.attributes = attributes
        self.mappings = mappings

    def renamed(self, names: Mapping[str, str]) -> Stage:
        """Return a stage in which attributes have other names; one whose new name is empty is not read."""
        attributes = [(names.get(attribute, attribute), read) for attribute, read in self.attributes]
        return Stage(tuple(pair for pair in attributes if pair[0]), self.mappings)


class Parameters:
    """The parameters of one function.

    Args:
        function: The function as it stands in its module or class, or None for a block of code.
        bound: True where the signature already lacks the instance (a bound method was decorated).
        module: Name of the module that the function is defined in; None for a block of code.
        origin: The function itself, without what binds it, for ``$function``; the same as ``function`` unless given.
    """

    def __init__(
        self,
        function: Callable[..., Any] | None,
        *,
        bound: bool = False,
        module: str | None = None,
        origin: Callable[..., Any] | None = None,
    ) -> None:
        self._readers: dict[str, Callable[[Call], Any]] = {}
        self.has_any_keyword = False
        # Names that an argument can be passed by; any other goes to **.
        self.by_keyword: set[str] = set()
        self.first: str | None = None
        self.module: str | None = module
        self.origin = function if origin is None else origin
        self.bound = bound
        # Whether the function was written in a class.
        self.in_class = _is_in_class(self.origin)
        parameters = _signature(function)
        for position, parameter in enumerate(parameters):
            if position == 0 and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self.first = None if bound else parameter.name
            self._readers[parameter.name] = _reader(parameter, position, bound)
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                self.by_keyword.add(parameter.name)
            self.has_any_keyword = self.has_any_keyword or parameter.kind is parameter.VAR_KEYWORD

    def __contains__(self, name: str) -> bool:
        return name in self._readers

    def is_method_of(self, holder: object) -> bool:
        """Return whether the function is a method of an object, or of a class: whether it stands in that."""
        if self.bound or self.origin is None:
            return False
        # Imported here: it is asked by what has no parameter called self.
        from usagetrace.track.methods import is_method_of

        return is_method_of(self.origin, holder)

    def names(self) -> tuple[str, ...]:
        """Return the parameters' names in order."""
        return tuple(self._readers)

    def reader(self, name: str) -> Callable[[Call], Any]:
        """Return the function that reads a parameter from a call."""
        return self._readers[name]

    def beside(self, root: str) -> Callable[[Call], Any] | None:
        """Return the reader of a root that says what the function is; None for any other. A parameter wins over it."""
        if root == "module" and self.module is not None:
            # Looked up at each call: a reload may have put another one there.
            module = self.module
            return self._unless_given(root, lambda _call: sys.modules.get(module))
        if root == "function" and self.origin is not None:
            origin = self.origin
            return self._unless_given(root, lambda _call: origin)
        return None

    def yielded(self) -> Callable[[Call], Any] | None:
        """Return the reader of what the function has yielded; None where it is no generator function."""
        # Imported here: few selectors ask.
        from usagetrace.track.wrappers import is_generator

        if self.origin is None or not is_generator(self.origin):
            return None
        return self._unless_given("yielded", lambda call: call.yielded or [])

    def _unless_given(self, root: str, read: Callable[[Call], Any]) -> Callable[[Call], Any]:
        """Return a reader that takes an argument of that name, where one came by ``**``."""
        if not self.has_any_keyword:
            return read
        return lambda call: call.kwargs[root] if root in call.kwargs else read(call)

    def readers(self) -> Iterator[tuple[str, Callable[[Call], Any]]]:
        """Yield each parameter's name and reader."""
        yield from self._readers.items()


def _is_in_class(function: object) -> bool:
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        return False
    around = name.rpartition(".")[0]
    return bool(around) and not around.endswith("<locals>")


def _signature(function: Callable[..., Any] | None) -> list[inspect.Parameter]:
    if function is None:
        return []
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Some callables of C extensions have no signature: only $result, $error and $self can be told of them.
        return []


def _reader(parameter: inspect.Parameter, position: int, bound: bool) -> Callable[[Call], Any]:
    name = parameter.name
    default = None if parameter.default is _EMPTY else parameter.default
    if parameter.kind is parameter.VAR_POSITIONAL:
        return _rest_reader(position, bound)
    if parameter.kind is parameter.VAR_KEYWORD:
        return lambda call: {k: v for k, v in call.kwargs.items() if k not in call.parameters.by_keyword}
    if parameter.kind is parameter.KEYWORD_ONLY:
        return lambda call: call.kwargs.get(name, default)
    positional_only = parameter.kind is parameter.POSITIONAL_ONLY

    def read(call: Call) -> Any:
        if not positional_only and name in call.kwargs:
            return call.kwargs[name]
        # Written out, not called: this is read for each field of each call.
        index = position if bound or call.instance is None else position - 1
        if index < 0:
            return call.instance
        args = call.args
        return args[index] if index < len(args) else default

    return read


def _rest_reader(position: int, bound: bool) -> Callable[[Call], Any]:
    def read_rest(call: Call) -> Any:
        if position == 0:
            # No parameter of its own takes a method's object: it is none of the values that are meant.
            settle(call)
        # Told apart, it is in the signature, and the arguments lack it.
        skipped = 1 if call.instance is not None and not bound else 0
        return call.args[max(position - skipped, 0) :]

    return read_rest


def read_self(call: Call) -> Any:
    """Return the instance that a method was called on, also where it came as the first argument."""
    if call.instance is not None:
        return call.instance
    if call.parameters.first in ("self", "cls"):
        return call.args[0] if call.args else None
    return settle(call)


def read_cls(call: Call) -> Any:
    """Return the class that a method was called on."""
    instance = read_self(call)
    return instance if instance is None or isinstance(instance, type) else type(instance)


def code_of(function: Callable[..., Any] | None) -> str | None:
    """Return the name of a function, with its module; None where it has none."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else None


def keyword(name: str) -> Callable[[Call], Any]:
    """Return the reader of an argument that no parameter takes, in a function with ``**``."""
    return lambda call: call.kwargs.get(name)


# How each root is found that is no parameter.
ROOTS: Final[Mapping[str, Callable[[Call], Any]]] = {
    "self": read_self,
    "cls": read_cls,
    "result": lambda call: call.result,
    "error": lambda call: call.error,
    "item": lambda call: call.item,
    "index": lambda call: call.index,
    "rank": lambda call: call.rank,
}
