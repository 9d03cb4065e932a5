"""Whether metadata fits a dataclass: from keys and values to its fields, and back.

This module owns the checks of field types, for the payloads of this package and for those of anybody's own. Its
messages name fields and types, never a value, and no key that a dataclass doesn't declare: either may be private.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
import weakref
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final, NamedTuple

from usagetrace.payload_words import LISTS, TABLES, UNIONS, expected

# In a field's metadata: its keys stand beside those of the other fields, not below a key of its own.
FLATTENED: Final = "flattened"
# In a field's metadata: the least number that it takes.
LEAST: Final = "least"

# Deepest nesting of payload classes that is looked into: one may have itself as a field.
_DEPTH: Final = 10
# Deepest nesting of what is written: far more than is recorded, and far less than Python's own limit.
_DEEPEST: Final = 50
# Types whose values are metadata as they are.
_AS_IT_IS: Final = frozenset((str, int, float, bool, type(None)))
# Of a declared type, the types whose values fit it as they are.
_SIMPLE: Final[Mapping[type, frozenset[type]]] = {
    str: frozenset((str,)),
    int: frozenset((int,)),
    float: frozenset((int, float)),
    bool: frozenset((bool,)),
    type(None): frozenset((type(None),)),
}
_NUMBERS: Final = frozenset((int, float))


class _MisfitError(Exception):
    """A value that does not fit; its text says what was expected."""


# --- fields ------------------------------------------------------------------------------------------------

_known: weakref.WeakKeyDictionary[type, tuple[tuple[dataclasses.Field[Any], Any], ...]] = weakref.WeakKeyDictionary()


def fields_of(kind: type[Any]) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """Return the fields of a dataclass that its constructor takes, each with the type that it was declared with.

    A type that can't be told, because its name is not there at run time, is ``Any``.
    """
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = tuple(
            (field, _resolved(kind, field)) for field in dataclasses.fields(kind) if field.init
        )
    return found


def _resolved(kind: type[Any], field: dataclasses.Field[Any]) -> Any:
    if not isinstance(field.type, str):
        return field.type
    for owner in kind.__mro__:
        if field.name in inspect.get_annotations(owner):
            # One field at a time: a name that is imported for type checkers alone costs only its own check.
            alone = type("_Alone", (), {"__annotations__": {field.name: field.type}, "__module__": owner.__module__})
            try:
                return typing.get_type_hints(alone, localns=dict(vars(owner)))[field.name]
            except Exception:  # noqa: BLE001 -- an annotation is foreign code, and may raise anything
                return Any
    return Any


class _Check(NamedTuple):
    """What is asked of a field at each event: worked out once, for it takes longer than to answer."""

    name: str
    hint: Any
    # A value of exactly one of these types fits as it is; a number has to be finite, and no less than the least.
    plain: frozenset[type]
    least: float | None
    flattened: bool
    required: bool
    # Whether a None is one that somebody gave: nobody would find it there otherwise.
    tells_none: bool

    def takes(self, value: Any) -> bool:
        """Return whether a value fits, where that is quickly said; one that does not may fit all the same."""
        kind = type(value)
        if kind not in self.plain:
            return False
        if kind is float and value - value != 0:
            return False
        return self.least is None or kind not in _NUMBERS or bool(value >= self.least)


_checks: weakref.WeakKeyDictionary[type, tuple[_Check, ...]] = weakref.WeakKeyDictionary()


def _checks_of(kind: type[Any]) -> tuple[_Check, ...]:
    found = _checks.get(kind)
    if found is None:
        found = _checks[kind] = tuple(
            _Check(
                field.name,
                hint,
                _plain(hint),
                field.metadata.get(LEAST),
                is_flattened(field),
                is_required(field),
                field.default is not None,
            )
            for field, hint in fields_of(kind)
        )
    return found


def _plain(hint: Any) -> frozenset[type]:
    """Return the types that a declared type takes as they are; none where there may be more to it."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in UNIONS else (hint,)
    words = [part for part in parts if part is not type(None)]
    if len(words) == 1 and isinstance(words[0], type) and issubclass(words[0], Enum):
        # A member of it; a text that names one is made one.
        return frozenset(parts)
    if all(isinstance(part, type) and part in _SIMPLE for part in parts):
        return frozenset().union(*(_SIMPLE[part] for part in parts))
    return frozenset()


def required_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass that have no default."""
    return tuple(check.name for check in _checks_of(kind) if check.required)


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Return whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def is_flattened(field: dataclasses.Field[Any]) -> bool:
    """Return whether a field's keys stand beside those of the other fields."""
    return bool(field.metadata.get(FLATTENED))


# --- to metadata and back ----------------------------------------------------------------------------------


def write(payload: Any, depth: int = _DEEPEST) -> dict[str, Any]:
    """Return a dataclass instance as metadata: enums as their values, nested ones as tables.

    What is None, and would be None where nobody gave it, is left out.

    Args:
        payload: The instance.
        depth: Levels that are gone through; what lies deeper is given as it is.
    """
    beside: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for check in _checks_of(type(payload)):
        value = getattr(payload, check.name)
        if check.flattened:
            beside.update(_written(value, depth) if isinstance(value, Mapping) else {})
        elif value is not None or check.tells_none:
            own[check.name] = _written(value, depth)
    return {**beside, **own}


def _written(value: Any, depth: int) -> Any:
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, Enum):
        return _written(value.value, depth)
    if depth <= 0:
        # A payload may hold itself; what is deeper than anybody looks is left to whoever records it.
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return write(value, depth - 1)
    if isinstance(value, Mapping):
        return {str(key): _written(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item, depth - 1) for item in value]
    if isinstance(value, set | frozenset):
        # A set has no order; what is recorded must not differ from run to run.
        return sorted((_written(item, depth - 1) for item in value), key=str)
    return value


def read(kind: type[Any], metadata: Mapping[str, Any], depth: int = _DEPTH) -> tuple[Any, list[str]]:
    """Return the instance of a dataclass that metadata describes, and what is wrong with it.

    Args:
        kind: The dataclass.
        metadata: Keys and values; keys that the dataclass has no field for are left aside.
        depth: Levels of nested dataclasses that may still follow.

    Returns:
        The instance, None where anything is wrong; and one sentence for each field that does not fit.
    """
    given: dict[str, Any] = {}
    faults: list[str] = []
    checks = _checks_of(kind)
    for check in checks:
        name = check.name
        if check.flattened:
            names = {other.name for other in checks if not other.flattened}
            given[name] = {key: value for key, value in metadata.items() if key not in names}
        elif name not in metadata:
            if check.required:
                faults.append(f"{name}: missing; expected {expected(check.hint)}")
        else:
            try:
                value = metadata[name]
                given[name] = value if check.takes(value) else fitted(value, check.hint, check.least, depth)
            except _MisfitError as fault:
                faults.append(f"{name}: {fault}")
    if faults:
        return None, faults
    try:
        return kind(**given), []
    except Exception as error:  # noqa: BLE001 -- the author's own class may refuse what it is given, in any way
        return None, [f"payload: {kind.__name__} refuses it: {type(error).__name__}"]


def faults_of(payload: Any) -> list[str]:
    """Return one sentence for each field of a dataclass instance that holds what it should not."""
    faults = []
    for check in _checks_of(type(payload)):
        value = getattr(payload, check.name, None)
        if check.takes(value):
            continue
        try:
            fitted(value, check.hint, check.least, _DEPTH)
        except _MisfitError as fault:
            faults.append(f"{check.name}: {fault}")
    return faults


def settle(payload: Any) -> None:
    """Bring the fields of a frozen instance into their declared form where they fit; leave the others.

    Texts become members of enums, lists become tuples; tables are copied.
    """
    checks = _checks_of(type(payload))
    for check in checks:
        given = getattr(payload, check.name)
        if check.takes(given):
            continue
        try:
            value = fitted(given, check.hint, None, _DEPTH)
            if check.flattened:
                # A key that a field has is the field's.
                names = {other.name for other in checks}
                value = {str(key): item for key, item in value.items() if key not in names}
        except Exception:  # noqa: BLE001, S112 -- the host's objects may raise anything; who checks the payload tells of it
            continue
        object.__setattr__(payload, check.name, value)


# --- one value ---------------------------------------------------------------------------------------------


def fitted(value: Any, hint: Any, least: float | None = None, depth: int = _DEPTH) -> Any:
    """Return a value in the form of a declared type.

    Raises:
        _MisfitError: It does not fit; the text says what was expected, and of which type it is.
    """
    found = _fit(value, hint, depth)
    if least is not None and isinstance(found, int | float) and found < least:
        raise _MisfitError(f"expected {least:g} or more")
    return found


def _fit(value: Any, hint: Any, depth: int) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in UNIONS:
        return _fit_one_of(value, hint, arguments, depth)
    if origin is typing.Annotated:
        return _fit(value, arguments[0], depth)
    if origin is typing.Literal:
        if not any(type(value) is type(one) and value == one for one in arguments):
            raise _misfit(value, hint)
        return value
    if origin in TABLES or hint in TABLES:
        return _fit_table(value, hint, arguments, depth)
    if origin in LISTS or hint in LISTS:
        return _fit_list(value, hint, origin or hint, arguments, depth)
    return _fit_class(value, hint, depth) if isinstance(hint, type) else value


def _fit_class(value: Any, hint: type[Any], depth: int) -> Any:
    if hint is object or hint is Any:
        return value
    if issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise _misfit(value, hint) from None
    if hint is int or hint is float:
        # True is a number to Python; to a person it is not.
        if isinstance(value, bool) or not isinstance(value, int | hint) or value - value != 0:
            raise _misfit(value, hint)
        return value
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        if depth <= 0:
            raise _MisfitError("nested too deeply")
        inner, faults = read(hint, value, depth - 1)
        if faults:
            raise _MisfitError("; ".join(faults))
        return inner
    if not isinstance(value, hint):
        raise _misfit(value, hint)
    return value


def _fit_one_of(value: Any, hint: Any, kinds: tuple[Any, ...], depth: int) -> Any:
    for kind in kinds:
        try:
            return _fit(value, kind, depth)
        except _MisfitError:
            continue
    raise _misfit(value, hint)


def _fit_table(value: Any, hint: Any, arguments: tuple[Any, ...], depth: int) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _misfit(value, hint)
    keys, values = arguments or (Any, Any)
    try:
        return {_fit(key, keys, depth): _fit(item, values, depth) for key, item in value.items()}
    except _MisfitError:
        # Which key it was is not said: it is not the payload's own word.
        raise _MisfitError(f"expected {expected(hint)}") from None


def _fit_list(value: Any, hint: Any, kind: Any, arguments: tuple[Any, ...], depth: int) -> Any:
    if not isinstance(value, list | tuple | set | frozenset):
        raise _misfit(value, hint)
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            raise _MisfitError(f"expected {expected(hint)}")
        each: Sequence[Any] = arguments
    else:
        each = (arguments[0] if arguments else Any,) * len(value)
    try:
        items = [_fit(item, one, depth) for item, one in zip(value, each, strict=True)]
    except _MisfitError:
        raise _MisfitError(f"expected {expected(hint)}") from None
    if kind in (tuple, set, frozenset):
        try:
            return kind(items)
        except TypeError:
            raise _MisfitError(f"expected {expected(hint)}") from None
    return frozenset(items) if kind is AbstractSet else items


def _misfit(value: Any, hint: Any) -> _MisfitError:
    got = "a number that is not finite" if isinstance(value, float) and value - value != 0 else type(value).__name__
    return _MisfitError(f"expected {expected(hint)}, got {got}")
