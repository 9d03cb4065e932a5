"""The artifacts of one call: read, judged one by one, and held against what was asked for.

Loaded by the first call that has artifacts. Each artifact is a table of attributes; one that did not end like the call
holds its own ``usage.outcome``, and where that is an error, ``error.type``. In such a table None says that there is
nothing, where without the key the call's own value holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from usagetrace.errors import SelectorError
from usagetrace.guard import guard
from usagetrace.semconv import ARTIFACT_NAME, ARTIFACT_TYPE, ERROR_TYPE, METADATA_PREFIX, OUTCOME
from usagetrace.track import conventions
from usagetrace.track.reading import ITEM_LIMIT, error_type_of, holds, read
from usagetrace.track.values import to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.track.call import Call, Stage
    from usagetrace.track.conventions import Read
    from usagetrace.track.operation import Operation
    from usagetrace.track.plan import Builder, Plan
    from usagetrace.track.reading import Items

# Metadata keys that say how an operation of a type ended, and what they say.
_SAID_BY: Final = {"deploy": METADATA_PREFIX + "success", "sync": METADATA_PREFIX + "result"}


class Decisions:
    """What is decided for each artifact of a call.

    Attributes:
        outcome: Reads how the one in hand ended.
        skip: Says that the one in hand is left out.
        requested: Reads what was asked for.
        requested_early: Whether that is known before the call, which may change it.
    """

    __slots__ = ("outcome", "requested", "requested_early", "skip")

    def __init__(self, outcome: Read | None, skip: Read | None, requested: Read | None, requested_early: bool) -> None:
        self.outcome = outcome
        self.skip = skip
        self.requested = requested
        self.requested_early = requested_early


def decisions_of(builder: Builder, outcome: Read | None, skip: Read | None, requested: object) -> Decisions:
    """Return what is decided for each artifact of a function's calls.

    Args:
        builder: Of the function, its fields placed.
        outcome: Where it looks at the artifact in hand.
        skip: As the outcome.
        requested: The field as it was given; None where it was not.

    Raises:
        SelectorError: The field ``requested`` has nothing to be held against.
    """
    if requested is None:
        return Decisions(outcome, skip, None, False)
    where = f"{builder.where}, field requested"
    if all(attribute != ARTIFACT_NAME for attribute, _read in builder.items):
        raise SelectorError(
            f"{where}: artifacts are compared by name, which the field artifact_name has to read of $item"
        )
    reader, moment = builder.reader("requested", requested)
    if moment == "items" and not callable(requested):
        raise SelectorError(f"{where}: it names the artifacts, so none of them is in hand as $item yet")
    return Decisions(outcome, skip, reader, moment == "early")


def asked_for(call: Call, plan: Plan) -> list[Any]:
    """Return the artifacts that a call was asked for, in order, as a list that nobody else changes."""
    decisions = plan.decisions
    try:
        asked = None if decisions is None or decisions.requested is None else decisions.requested(call)
        if asked is not None and conventions.is_plain(asked):
            return [asked]
        return list(islice(_collection(asked) or (), ITEM_LIMIT))
    except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
        guard.note(error)
        return []


def prepare(operation: Operation) -> None:
    """Take down what a call is asked for that has begun, where something is held against it.

    Args:
        operation: A call whose plan holds decisions.
    """
    plan = operation.plan
    if plan.decisions is not None and plan.decisions.requested_early:
        operation.asked = asked_for(operation.call, plan)
    if plan.gathers:
        from usagetrace.track.parts import Parts

        operation.parts = Parts()


def missing(operation: Operation, merged: Mapping[str, Any], names: set[str], index: int) -> Items:
    """Return the artifacts that a call was asked for and that are not among some names.

    Args:
        operation: The call, which has ended.
        merged: Its attributes.
        names: Of the artifacts that it was about.
        index: How many those are.
    """
    reader = _Reader(operation, merged, compares=True)
    reader.names = names
    asked = operation.asked
    rows = reader.missing(asked_for(operation.call, operation.plan) if asked is None else asked, index)
    operation.call.item = operation.call.index = None
    return rows


def read_items(operation: Operation, merged: Mapping[str, Any]) -> Items | None:
    """Return the artifacts that a call touched, then those that it was asked for and did not; None if nothing says.

    Where all of them are left out, the operation is told that it is none.

    Args:
        operation: The call, which has ended.
        merged: Its attributes.
    """
    call, plan = operation.call, operation.plan
    decisions = plan.decisions
    compares = decisions is not None and decisions.requested is not None
    found = _found(call, plan)
    if found is None:
        if call.error is None or not compares:
            return None
        found = ()
    reader = _Reader(operation, merged, compares)
    rows = reader.touched(found)
    if plan.each_slice is not None:
        rows = rows[plan.each_slice]
    if compares:
        asked = operation.asked
        absent = reader.missing(asked_for(call, plan) if asked is None else asked, len(rows))
        operation.absent = len(absent)
        rows += absent
    call.item = call.index = None
    operation.vanished = reader.left_out and not rows
    return rows


class _Reader:
    """Goes through the artifacts of one call.

    Args:
        operation: The call.
        merged: Its attributes.
        compares: Whether the artifacts are held against what was asked for.
    """

    def __init__(self, operation: Operation, merged: Mapping[str, Any], compares: bool) -> None:
        self.operation = operation
        self.name = merged.get(ARTIFACT_NAME, "")
        self.kind = merged.get(ARTIFACT_TYPE, "")
        self.names: set[str] | None = set() if compares else None
        # Whether one was left out.
        self.left_out = False

    def touched(self, found: Iterable[Any]) -> Items:
        """Return the artifacts that the call touched."""
        operation = self.operation
        call, plan = operation.call, operation.plan
        rows: Items = []
        seen: set[tuple[object, str]] = set()
        stop = plan.each_slice.stop if plan.each_slice is not None and self.names is None else None
        once, decisions = plan.event_type == "search", plan.decisions
        runtime, stage = operation.runtime, plan.items
        for candidate in islice(found, ITEM_LIMIT):
            call.item, call.index = candidate, len(rows)
            if decisions is not None and self.is_left_out(decisions):
                continue
            row: dict[str, Any] = {}
            read(runtime, call, stage, row, row)
            if ARTIFACT_NAME not in row or ARTIFACT_TYPE not in row:
                self.complete(row)
            if once:
                # Several matches of one artifact are one artifact found.
                name = row[ARTIFACT_NAME]
                if "[redacted:" in name:
                    # Several names may have become one marker: the artifacts are counted all the same.
                    name = (told(call, plan.items, ARTIFACT_NAME) or name, "")
                identity = (name, row[ARTIFACT_TYPE])
                if identity in seen:
                    continue
                seen.add(identity)
            if decisions is not None:
                self.judge(row, decisions)
            rows.append(row)
            if stop is not None and stop >= 0 and len(rows) >= stop:
                break
        return rows

    def missing(self, asked: list[Any], index: int) -> Items:
        """Return the artifacts that were asked for and not touched: they failed, as the call did where it raised."""
        operation, names = self.operation, self.names or set()
        call, plan = operation.call, operation.plan
        rows: Items = []
        for candidate in asked[: max(ITEM_LIMIT - index, 0)]:
            # It has no place among those that were touched, and so no rank.
            call.item, call.index = candidate, None
            name = told(call, plan.items, ARTIFACT_NAME)
            if name is None or name in names:
                continue
            names.add(name)
            if plan.decisions is not None and self.is_left_out(plan.decisions):
                continue
            row: dict[str, Any] = {}
            read(operation.runtime, call, plan.items, row, row)
            self.complete(row)
            row[OUTCOME] = operation.raised_outcome()
            if row[OUTCOME] == conventions.ERROR:
                row[ERROR_TYPE] = error_type_of(operation.runtime, call.error)
            rows.append(row)
        return rows

    def complete(self, row: dict[str, Any]) -> None:
        """Give an artifact the call's name and kind where it has none of its own."""
        row.setdefault(ARTIFACT_NAME, self.name)
        row.setdefault(ARTIFACT_TYPE, self.kind)

    def is_left_out(self, decisions: Decisions) -> bool:
        """Return whether the artifact in hand is left out; its name is known from here on."""
        call = self.operation.call
        if self.names is not None:
            name = told(call, self.operation.plan.items, ARTIFACT_NAME)
            if name is not None:
                self.names.add(name)
        if decisions.skip is None or not holds(decisions.skip, call):
            return False
        self.left_out = True
        return True

    def judge(self, row: dict[str, Any], decisions: Decisions) -> None:
        """Say how the artifact in hand ended; None where it is as the call."""
        call = self.operation.call
        said = None
        if decisions.outcome is not None:
            try:
                said = decisions.outcome(call)
            except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
                guard.note(error)
        outcome = None if said is None else conventions.outcome_told(said)
        if outcome is None and call.error is not None and self.names is not None:
            # What is known to be done was done, although the call raised afterwards.
            outcome = conventions.SUCCESS
        row[OUTCOME] = outcome
        if outcome == conventions.ERROR:
            cause = said if isinstance(said, BaseException) else call.error
            row[ERROR_TYPE] = error_type_of(self.operation.runtime, cause)


def told(call: Call, stage: Stage, attribute: str) -> str | None:
    """Return what a stage reads for an attribute, as it is before redaction; never recorded."""
    for name, reader in stage.attributes:
        if name == attribute:
            try:
                text = to_text(reader(call))
            except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
                guard.note(error)
                continue
            if text is not None:
                return text
    return None


def outcome_of(items: Items) -> tuple[str | None, str | None]:
    """Return how a call ended whose artifacts say so, and its error type; None where they end differently.

    Args:
        items: Artifacts that hold an outcome each.
    """
    said = {item.get(OUTCOME) for item in items}
    if len(said) != 1:
        return None, None
    outcome = said.pop()
    errors = {item.get(ERROR_TYPE) for item in items}
    return outcome, errors.pop() if len(errors) == 1 else None


def settle_items(
    operation: Operation, merged: dict[str, Any], items: Items, outcome: str, error_type: str | None
) -> None:
    """Say of each artifact how it ended, where one of them did not end like the call, and record the metrics.

    Args:
        operation: The call.
        merged: Its attributes, complete.
        items: Its artifacts, which hold an outcome each.
        outcome: How the call ended.
        error_type: What it ended with, where that is an error.
    """
    for item in items:
        if item.get(OUTCOME) is None:
            item[OUTCOME] = outcome
            if error_type is not None:
                item[ERROR_TYPE] = error_type
    if operation.call.error is not None and outcome == conventions.ERROR:
        _attribute_failure(items, merged, error_type)
    if operation.runtime.measures:
        with guard:
            _observe(operation, items, outcome, error_type)
    if all(item[OUTCOME] == outcome and item.get(ERROR_TYPE) == error_type for item in items):
        for item in items:
            item.pop(OUTCOME, None)
            item.pop(ERROR_TYPE, None)
        return
    deploys = operation.plan.event_type == "deploy"
    key = _SAID_BY.get(operation.plan.event_type)
    for item in items:
        own = item[OUTCOME]
        if key is not None and own != outcome and item.get(key) is None:
            item[key] = own == conventions.SUCCESS if deploys else own
        if own != conventions.ERROR and conventions.ERROR_MESSAGE in merged:
            item.setdefault(conventions.ERROR_MESSAGE, None)


def _attribute_failure(items: Items, merged: Mapping[str, Any], error_type: str | None) -> None:
    """Add an artifact without a name, where the call failed and none of its artifacts did: the failure counts."""
    if any(item[OUTCOME] == conventions.ERROR for item in items):
        return
    row: dict[str, Any] = dict.fromkeys(key for item in items for key in item)
    row.update({ARTIFACT_NAME: "", ARTIFACT_TYPE: merged.get(ARTIFACT_TYPE, ""), OUTCOME: conventions.ERROR})
    row[ERROR_TYPE] = error_type
    items.append(row)


def _observe(operation: Operation, items: Items, outcome: str, error_type: str | None) -> None:
    """Record the metrics of a call whose artifacts hold an outcome each."""
    runtime, name = operation.runtime, operation.plan.name
    kinds: dict[tuple[str, str | None], list[str]] = {}
    for item in items:
        kinds.setdefault((item[OUTCOME], item.get(ERROR_TYPE)), []).append(item[ARTIFACT_TYPE])
    for (own, error), alike in kinds.items():
        runtime.count(name, alike, own, error)
    if not operation.instant:
        seconds = operation.elapsed_ns / 1e9
        runtime.time(name, [item[ARTIFACT_TYPE] for item in items], outcome, error_type, seconds)


def _found(call: Call, plan: Plan) -> Iterable[Any] | None:
    try:
        found = None if plan.each is None else _collection(plan.each(call))
    except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
        guard.note(error)
        return None
    # Going through a plain list can't fail.
    return found if found is None or type(found) is list else _unfailing(found)


def _unfailing(found: Iterable[Any]) -> Iterator[Any]:
    """Yield what there is, up to where going through it fails."""
    try:
        yield from found
    except Exception as error:  # noqa: BLE001 -- the user's collections may raise anything
        guard.note(error)


def _collection(found: object) -> Iterable[Any] | None:
    """Return what can be gone through without using it up; an iterator would be lost to the caller."""
    if isinstance(found, Mapping):
        return found.values()
    return found if isinstance(found, list | tuple | set | frozenset) else None
