"""What to record of one function, worked out once, when it is decorated.

A plan holds a reader for each field: those that can be read before the call (from its parameters), those that need
its result or exception, and those that are read for each artifact of a call that touched several.
"""

from __future__ import annotations

from collections.abc import Mapping

from usagetrace import semconv
from usagetrace.errors import SelectorError
from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.call import (
    EARLY_ROOTS,
    ITEM_ROOTS,
    LATE_ROOTS,
    ROOTS,
    Call,
    Parameters,
    Stage,
    code_of,
    is_cases,
    is_condition,
    is_selector,
    keyword,
    settle,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from usagetrace.track.conditions import Condition
    from usagetrace.track.conventions import Read
    from usagetrace.track.items import Decisions
    from usagetrace.track.selectors import Root, Selector, Term


# Fields of the contract that become one attribute each.
TEXT_FIELDS: Final[Mapping[str, str]] = {
    "artifact_name": semconv.ARTIFACT_NAME,
    "artifact_type": semconv.ARTIFACT_TYPE,
    "collection_name": semconv.COLLECTION_NAME,
    "project_path": semconv.PROJECT_PATH,
    "session_id": semconv.SESSION_ID,
}
# Every field that track takes.
FIELDS: Final = (
    *TEXT_FIELDS, "metadata", "outcome", "skip_if", "skip_within", "nested", "each", "requested", "fill_only"
)  # fmt: skip
# Those that no metadata key of a running operation can be named like.
BLOCK_FIELDS: Final = frozenset(FIELDS) - {"requested", "fill_only"}


class Plan:
    """Everything that is known of a tracked function before it is called.

    What the program wrote into it is redacted when the first call of a runtime comes (see
    :func:`usagetrace.track.reading.settle`): a function is decorated before anybody can say what is to be redacted.
    Nothing else changes it.

    Attributes:
        event_type: What a call is.
        code: Name of the function, with its module; None for a block of code.
        name: What a call is, as it may be recorded.
        base: Attributes that each call has.
        rate: How much of its event type is kept: a :class:`usagetrace.track.rates.Rate`, shared and changed in place.
        lenient: Whether it is recorded although nobody registered its event type, whatever the settings say.
        settled: The mark of the runtime whose redactor saw the names; None before the first.
        given: Early, late and items as they were made.
        own: Attributes among them whose names the program wrote.
        parameters: The function's.
        early, late, items: What is read before the call, after it, and of each artifact.
        pending: Known metadata keys that nothing maps: looked for on the result.
        late_by_convention: Whether all that is read after the call are fields that a result may happen to have.
        each, each_slice: Reads the artifacts of a call that touches several, and says which of them count.
        outcome: Reads how the call ended.
        judges_errors: Whether that says what an exception means.
        skip_early, skip_late: Say before the call, or after it, that it is not to be recorded.
        decisions: What is decided for each artifact; None where nothing is.
        fill_only: Whether it is never recorded by itself.
        gathers: Whether what was asked for is held against its parts.
        keeps_yielded: Whether what a generator yields is kept, because a field reads it.
        may_vanish: Whether only its end can say that it is not to be recorded.
        part_of: Event types whose running operation this one is a part of.
    """

    __slots__ = (
        "base", "code", "decisions", "each", "each_slice", "early", "event_type", "fill_only", "gathers", "given",
        "items", "judges_errors", "keeps_yielded", "late", "late_by_convention", "lenient", "may_vanish", "name",
        "outcome", "own", "parameters", "part_of", "pending", "rate", "settled", "skip_early", "skip_late",
    )  # fmt: skip

    def __init__(
        self,
        event_type: str,
        code: str | None,
        parameters: Parameters,
        early: Stage,
        late: Stage,
        items: Stage,
        *,
        own: tuple[str, ...] = (),
        pending: tuple[str, ...] = (),
        late_by_convention: bool = False,
        each: Read | None = None,
        each_slice: slice | None = None,
        outcome: Read | None = None,
        judges_errors: bool = False,
        skip_early: Read | None = None,
        skip_late: Read | None = None,
        decisions: Decisions | None = None,
        fill_only: bool = False,
        keeps_yielded: bool = False,
        part_of: frozenset[str] = frozenset(),
    ) -> None:
        self.event_type = event_type
        self.code = code
        self.name = ""
        self.base: dict[str, Any] = {}
        self.rate: Any = None
        self.lenient = False
        self.settled: object = None
        self.parameters = parameters
        self.given = (early, late, items)
        self.early, self.late, self.items = self.given
        self.own = own
        self.pending = pending
        self.late_by_convention = late_by_convention
        self.each = each
        self.each_slice = each_slice
        self.outcome = outcome
        self.judges_errors = judges_errors
        self.skip_early = skip_early
        self.skip_late = skip_late
        self.decisions = decisions
        self.fill_only = fill_only
        self.keeps_yielded = keeps_yielded
        self.gathers = each is None and decisions is not None and decisions.requested is not None
        self.may_vanish = skip_late is not None or (decisions is not None and decisions.skip is not None)
        self.part_of = part_of


class Builder:
    """Sorts readers into the moments at which they can be read."""

    def __init__(self, where: str, parameters: Parameters, has_each: bool, literal_texts: bool) -> None:
        self.where = where
        self.parameters = parameters
        self.has_each = has_each
        self.literal_texts = literal_texts
        self.early: list[tuple[str, Read]] = []
        self.late: list[tuple[str, Read]] = []
        self.items: list[tuple[str, Read]] = []
        self.early_maps: list[Read] = []
        self.late_maps: list[Read] = []
        self.item_maps: list[Read] = []
        # Attributes whose names the program wrote.
        self.own: list[str] = []
        # Fields that are read after the call because the code said so.
        self.late_said = 0
        # Whether a selector named what the call raised, and what it yielded.
        self.names_error = False
        self.names_yielded = False

    def reader(self, name: str, value: Any) -> tuple[Read, str]:
        """Return the reader of a field's value, and the moment at which it can be read."""
        # Imported here and below: most functions are tracked by their parameters' names alone.
        if is_selector(value) and not self.literal_texts:
            from usagetrace.track.selectors import evaluator, parse

            selector = parse(str(value), f"{self.where}, field {name}")
            roots, stage = self.roots(name, selector)
            return evaluator(selector, roots), stage
        if is_cases(value) and not self.literal_texts:
            from usagetrace.track import cases

            return cases.reader(self, name, value)
        if callable(value):
            return _guarded(value), "items" if self.has_each else "late"
        return (lambda _call: value), "early"

    def decider(self, name: str, value: object) -> tuple[Read | None, str]:
        """Return the reader of a field that takes a condition as well, and its moment; a callable's is after the call.

        Args:
            name: The field's.
            value: What it was given; None where it was not.
        """
        if value is None:
            return None, ""
        if is_condition(value) and not self.literal_texts:
            from usagetrace.track.conditions import evaluator, parse

            condition = parse(str(value), f"{self.where}, field {name}")
            roots, stage = self.roots(name, condition)
            return evaluator(condition, roots), stage
        read, stage = self.reader(name, value)
        return read, "late" if callable(value) else stage

    def roots(self, name: str, written: Selector | Condition) -> tuple[dict[str, Root], str]:
        """Return how each root of a selector or a condition is found, and the moment at which all of them can be."""
        roots: dict[str, Root] = {}
        stage = "early"
        parameters = self.parameters
        for term in written.terms:
            root = term.root
            if term.is_literal:
                continue
            if root in ITEM_ROOTS and self.has_each:
                roots[root], stage = ROOTS[root], "items"
            elif root in LATE_ROOTS:
                roots[root], stage = ROOTS[root], stage if stage == "items" else "late"
                self.names_error |= root == "error"
            elif root in EARLY_ROOTS:
                roots[root] = ROOTS[root]
            elif root in parameters:
                roots[root] = parameters.reader(root)
            elif (found := parameters.beside(root)) is not None:
                roots[root] = found
            elif root == "yielded" and (found := parameters.yielded()) is not None:
                roots[root], stage = found, stage if stage == "items" else "late"
                self.names_yielded = True
            elif parameters.has_any_keyword and root not in ITEM_ROOTS:
                roots[root] = keyword(root)
            else:
                raise self._unknown_root(name, written.text, term)
        return roots, stage

    def _unknown_root(self, name: str, text: str, term: Term) -> SelectorError:
        root, position = term.root, term.place
        if root in ITEM_ROOTS:
            why = f"${root} is only known where the field each is given"
        elif root == "yielded":
            why = "$yielded is only known of a generator function"
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
        self.late_said += stage == "late"

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
    module: str | None = None,
    origin: Callable[..., Any] | None = None,
) -> Plan:
    """Return the plan of a function.

    Args:
        event_type: What a call of it is.
        given: Fields by name.
        function: The function, or None for a block of code, whose fields are taken as they are.
        where: Name of the function, for the messages of errors.
        bound: True where the function is a bound method.
        module: Name of the module that defines the function.
        origin: The function itself, where ``function`` binds it or stands for it.

    Raises:
        SelectorError: A selector is wrong; the message names the function, the field and the position.
    """
    parameters = Parameters(function, bound=bound, module=module, origin=origin)
    searches = event_type == "search" and function is not None
    finds, asks = searches and "artifact_name" not in given, given.get("requested") is not None
    has_each = given.get("each") is not None or asks or finds
    builder = Builder(where, parameters, has_each, literal_texts=function is None)
    _add_fields(builder, given, function is not None)
    pending = _add_metadata(builder, event_type, given.get("metadata"), function is not None)
    each, each_slice = _each(builder, given.get("each"), finds)
    own: frozenset[str] = frozenset() if given.get("nested") else frozenset({event_type})
    return Plan(
        event_type=event_type,
        code=code_of(function),
        parameters=parameters,
        early=Stage(tuple(builder.early), tuple(builder.early_maps)),
        late=Stage(tuple(builder.late), tuple(builder.late_maps)),
        items=Stage(tuple(builder.items), tuple(builder.item_maps)),
        own=tuple(builder.own),
        pending=pending,
        late_by_convention=each is None and not builder.late_said and not builder.late_maps,
        each=each,
        each_slice=each_slice,
        **_verdicts(builder, given),
        fill_only=bool(given.get("fill_only")),
        keeps_yielded=builder.names_yielded,
        part_of=own | frozenset(given.get("skip_within") or ()),
    )


def _verdicts(builder: Builder, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan knows of how calls end and whether they count, by the plan's names; the fields are placed."""
    builder.names_error = False
    outcome, of_outcome = builder.decider("outcome", given.get("outcome"))
    judges_errors = builder.names_error
    skip, of_skip = builder.decider("skip_if", given.get("skip_if"))
    decisions = None
    if "items" in (of_outcome, of_skip) or given.get("requested") is not None:
        from usagetrace.track.items import decisions_of

        decisions = decisions_of(
            builder,
            outcome if of_outcome == "items" else None,
            skip if of_skip == "items" else None,
            given.get("requested"),
        )
    return {
        "outcome": outcome if of_outcome != "items" else None,
        "judges_errors": judges_errors,
        "skip_early": skip if of_skip == "early" else None,
        "skip_late": skip if of_skip == "late" else None,
        "decisions": decisions,
    }


def _add_fields(builder: Builder, given: Mapping[str, Any], by_convention: bool) -> None:
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


def _add_metadata(builder: Builder, event_type: str, metadata: object, by_convention: bool) -> tuple[str, ...]:
    """Place the readers of the metadata; return the known keys that are left to be found on the result."""
    mapped: Mapping[str, object] = {}
    if isinstance(metadata, Mapping):
        mapped = metadata
    elif metadata is not None:
        builder.add_mapping("metadata", metadata)
    for key, value in mapped.items():
        attribute = semconv.METADATA_PREFIX + str(key)
        builder.add(attribute, f"metadata[{key!r}]", value)
        builder.own.append(attribute)
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


def _each(builder: Builder, given: object, by_convention: bool) -> tuple[Read | None, slice | None]:
    if given is None:
        return (conventions.matches, slice(conventions.SEARCH_LIMIT)) if by_convention else (None, None)
    if not is_selector(given) or builder.literal_texts:
        return builder.reader("each", given)[0], None
    from usagetrace.track.selectors import evaluator, parse

    selector = parse(str(given), f"{builder.where}, field each")
    roots, _stage = builder.roots("each", selector)
    whole, last = selector.without_last_slice()
    return evaluator(whole, roots), last


def _guarded(function: Callable[[Call], Any]) -> Read:
    """Return a user's callable in a form that gives None where it raises."""

    def read(call: Call) -> Any:
        try:
            settle(call)
            return function(call)
        except Exception as error:  # noqa: BLE001 -- the user's code may raise anything; a field never does
            guard.note(error)
            return None

    return read
