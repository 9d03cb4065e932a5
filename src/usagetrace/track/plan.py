"""What to record of one function, worked out once, when it is decorated.

A plan holds a reader for each field: those that can be read before the call (from its parameters), those that need
its result or exception, and those that are read for each artifact of a call that touched several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from usagetrace import semconv
from usagetrace.errors import SelectorError
from usagetrace.events import category_of, priority_of
from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.call import Call, Parameters, read_cls, read_self
from usagetrace.track.selectors import (
    EARLY_ROOTS,
    ITEM_ROOTS,
    LATE_ROOTS,
    Root,
    Selector,
    Term,
    evaluator,
    is_selector,
    parse,
)

if TYPE_CHECKING:
    from usagetrace.track.conventions import Read

# Fields of the contract that become one attribute each.
TEXT_FIELDS: Final[Mapping[str, str]] = {
    "artifact_name": semconv.ARTIFACT_NAME,
    "artifact_type": semconv.ARTIFACT_TYPE,
    "collection_name": semconv.COLLECTION_NAME,
    "project_path": semconv.PROJECT_PATH,
    "session_id": semconv.SESSION_ID,
}
# Every field that track takes.
FIELDS: Final = (*TEXT_FIELDS, "metadata", "outcome", "skip_if", "skip_within", "nested", "each")

_ROOTS: Final[Mapping[str, Root]] = {
    "self": read_self,
    "cls": read_cls,
    "result": lambda call: call.result,
    "error": lambda call: call.error,
    "item": lambda call: call.item,
    "index": lambda call: call.index,
    "rank": lambda call: call.rank,
}

Readers = tuple[tuple[str, "Read"], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What is read at one moment of a call.

    Attributes:
        attributes: Attribute name and reader.
        mappings: Readers of whole metadata tables.
    """

    attributes: Readers = ()
    mappings: tuple[Read, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is known of a tracked function before it is called."""

    event_type: str
    base: Mapping[str, Any]
    parameters: Parameters
    early: Stage
    late: Stage
    items: Stage
    # Known metadata keys that nothing maps: looked for on the result.
    pending: tuple[str, ...] = ()
    each: Read | None = None
    each_slice: slice | None = None
    outcome: Read | None = None
    skip_early: Read | None = None
    skip_late: Read | None = None
    # Event types whose running operation this one is a part of.
    part_of: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Builder:
    """Sorts readers into the moments at which they can be read."""

    where: str
    parameters: Parameters
    has_each: bool
    literal_texts: bool
    early: list[tuple[str, Read]] = field(default_factory=list)
    late: list[tuple[str, Read]] = field(default_factory=list)
    items: list[tuple[str, Read]] = field(default_factory=list)
    early_maps: list[Read] = field(default_factory=list)
    late_maps: list[Read] = field(default_factory=list)
    item_maps: list[Read] = field(default_factory=list)

    def reader(self, name: str, value: object) -> tuple[Read, str]:
        """Return the reader of a field's value, and the moment at which it can be read."""
        if is_selector(value) and not self.literal_texts:
            text = cast(str, value)
            selector = parse(text, f"{self.where}, field {name}")
            roots, stage = self.roots(name, selector)
            return evaluator(selector, roots), stage
        if callable(value):
            return _guarded(value), "items" if self.has_each else "late"
        return (lambda _call: value), "early"

    def roots(self, name: str, selector: Selector) -> tuple[dict[str, Root], str]:
        """Return how each root of a selector is found, and the moment at which all of them can be."""
        roots: dict[str, Root] = {}
        stage = "early"
        for term in selector.terms:
            root = term.root
            if term.is_literal:
                continue
            if root in ITEM_ROOTS and self.has_each:
                roots[root], stage = _ROOTS[root], "items"
            elif root in LATE_ROOTS:
                roots[root], stage = _ROOTS[root], stage if stage == "items" else "late"
            elif root in EARLY_ROOTS:
                roots[root] = _ROOTS[root]
            elif root in self.parameters:
                roots[root] = self.parameters.reader(root)
            elif self.parameters.has_any_keyword and root not in ITEM_ROOTS:
                roots[root] = _keyword(root)
            else:
                raise self._unknown_root(name, selector.text, term)
        return roots, stage

    def _unknown_root(self, name: str, text: str, term: Term) -> SelectorError:
        root, position = term.root, term.place
        if root in ITEM_ROOTS:
            why = f"${root} is only known where the field each is given"
        else:
            names = ", ".join(f"${parameter}" for parameter in self.parameters.names())
            why = f"no parameter {root!r}; there are {names or 'no parameters'}, $self, $cls, $result and $error"
        return SelectorError(
            f"{self.where}, field {name}: {why}, at position {position}\n    {text}\n    {' ' * position}^"
        )

    def add(self, attribute: str, name: str, value: object) -> None:
        """Place the reader of one attribute."""
        read, stage = self.reader(name, value)
        getattr(self, stage).append((attribute, read))

    def add_mapping(self, name: str, value: object) -> None:
        """Place the reader of a whole metadata table."""
        read, stage = self.reader(name, value)
        {"early": self.early_maps, "late": self.late_maps, "items": self.item_maps}[stage].append(read)


def build(
    event_type: str,
    given: Mapping[str, Any],
    function: Callable[..., Any] | None,
    where: str,
    *,
    bound: bool = False,
) -> Plan:
    """Return the plan of a function.

    Args:
        event_type: What a call of it is.
        given: Fields by name.
        function: The function, or None for a block of code, whose fields are taken as they are.
        where: Name of the function, for the messages of errors.
        bound: True where the function is a bound method.

    Raises:
        SelectorError: A selector is wrong; the message names the function, the field and the position.
    """
    parameters = Parameters(function, bound=bound)
    searches = event_type == "search" and function is not None
    has_each = given.get("each") is not None or (searches and "artifact_name" not in given)
    builder = _Builder(where, parameters, has_each, literal_texts=function is None)
    _add_fields(builder, given, function is not None)
    pending = _add_metadata(builder, event_type, given.get("metadata"), function is not None)
    each, each_slice = _each(builder, given.get("each"), has_each)
    outcome = None if given.get("outcome") is None else builder.reader("outcome", given["outcome"])[0]
    skip, moment = builder.reader("skip_if", given["skip_if"]) if given.get("skip_if") is not None else (None, "")
    own = frozenset() if given.get("nested") else frozenset({event_type})
    return Plan(
        event_type=event_type,
        base=_base(event_type, function),
        parameters=parameters,
        early=Stage(tuple(builder.early), tuple(builder.early_maps)),
        late=Stage(tuple(builder.late), tuple(builder.late_maps)),
        items=Stage(tuple(builder.items), tuple(builder.item_maps)),
        pending=pending,
        each=each,
        each_slice=each_slice,
        outcome=outcome,
        skip_early=skip if moment == "early" else None,
        skip_late=skip if moment != "early" else None,
        part_of=own | frozenset(given.get("skip_within") or ()),
    )


def _base(event_type: str, function: Callable[..., Any] | None) -> dict[str, Any]:
    base: dict[str, Any] = {
        semconv.EVENT_TYPE: event_type,
        semconv.EVENT_CATEGORY: category_of(event_type).value,
        semconv.EVENT_PRIORITY: priority_of(event_type).value,
    }
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if isinstance(module, str) and isinstance(name, str):
        base[semconv.CODE_FUNCTION_NAME] = f"{module}.{name}"
    return base


def _add_fields(builder: _Builder, given: Mapping[str, Any], by_convention: bool) -> None:
    for name, attribute in TEXT_FIELDS.items():
        if given.get(name) is not None:
            builder.add(attribute, name, given[name])
            continue
        if not by_convention:
            continue
        read = conventions.field_reader(name, builder.parameters)
        if read is not None:
            builder.early.append((attribute, read))
        builder.late.append((attribute, conventions.result_reader(name)))
        if builder.has_each and name == "artifact_name":
            builder.items.append((attribute, conventions.item_name))
        elif builder.has_each and name == "artifact_type":
            builder.items.append((attribute, conventions.item_type))


def _add_metadata(builder: _Builder, event_type: str, metadata: object, by_convention: bool) -> tuple[str, ...]:
    """Place the readers of the metadata; return the known keys that are left to be found on the result."""
    mapped: Mapping[str, object] = {}
    if isinstance(metadata, Mapping):
        mapped = metadata
    elif metadata is not None:
        builder.add_mapping("metadata", metadata)
    for key, value in mapped.items():
        builder.add(semconv.METADATA_PREFIX + str(key), f"metadata[{key!r}]", value)
    if not by_convention:
        return ()
    known = [key for key in conventions.METADATA.get(event_type, ()) if key not in mapped]
    for key in known:
        if key in builder.parameters:
            builder.early.append((semconv.METADATA_PREFIX + key, builder.parameters.reader(key)))
    if builder.has_each:
        for key in conventions.ITEM_METADATA.get(event_type, ()):
            if key not in mapped:
                builder.items.append((semconv.METADATA_PREFIX + key, conventions.item_value(key)))
    return tuple(known)


def _each(builder: _Builder, given: object, has_each: bool) -> tuple[Read | None, slice | None]:
    if not has_each:
        return None, None
    if given is None:
        return conventions.matches, slice(conventions.SEARCH_LIMIT)
    if not is_selector(given) or builder.literal_texts:
        return builder.reader("each", given)[0], None
    selector = parse(cast(str, given), f"{builder.where}, field each")
    roots, _stage = builder.roots("each", selector)
    whole, last = selector.without_last_slice()
    return evaluator(whole, roots), last


def _guarded(function: Callable[[Call], Any]) -> Read:
    """Return a user's callable in a form that gives None where it raises."""

    def read(call: Call) -> Any:
        try:
            return function(call)
        except Exception as error:  # noqa: BLE001 -- the user's code may raise anything; a field never does
            guard.note(error)
            return None

    return read


def _keyword(name: str) -> Root:
    return lambda call: call.kwargs.get(name)
