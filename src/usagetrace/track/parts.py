"""Operations that are a part of another one: what they fill in, and the artifacts that they were about.

Loaded by the first operation inside another. An operation that names no artifact, and whose parts name two or more,
touched theirs: each is an artifact of it, with its own outcome. Parts may end in any thread, also after the operation
that they began in: each is claimed once, by that operation or by itself.
"""

from __future__ import annotations

from usagetrace.semconv import (
    ARTIFACT_NAME,
    ARTIFACT_TYPE,
    COLLECTION_NAME,
    ERROR_TYPE,
    METADATA_PREFIX,
    OUTCOME,
    PROJECT_PATH,
)
from usagetrace.track import conventions
from usagetrace.track.reading import ITEM_LIMIT, TEXT_ATTRIBUTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.track.operation import Operation
    from usagetrace.track.plan import Plan
    from usagetrace.track.reading import Items

    # Name, type, and which of several alike in one part: what makes two artifacts the same one.
    Identity = tuple[object, str, int]

# Attributes of a part that hold for its artifact, beside metadata.
_OF_ARTIFACT: Final = (ARTIFACT_NAME, ARTIFACT_TYPE, COLLECTION_NAME, PROJECT_PATH)


def host_of(plan: Plan, parent: Operation | None) -> Operation | None:
    """Return the running operation that a call of a plan is a part of, in this process; None where there is none.

    Args:
        plan: Of the call.
        parent: What runs around it.
    """
    while parent is not None:
        if not parent.ended and not parent.copied and parent.plan.event_type in plan.part_of:
            return parent
        parent = parent.parent
    return None


def place(operation: Operation, parent: Operation | None) -> None:
    """Find what an operation is a part of, and whether it may yet be recorded: by itself, or as an artifact of that.

    Args:
        operation: It begins, or is given another parent.
        parent: What runs around it.
    """
    plan = operation.plan
    host = operation.host = host_of(plan, parent)
    if host is None:
        operation.apart = False
        return
    names = not plan.fill_only and plan.event_type == host.plan.event_type
    operation.apart = host.plan.may_vanish or (names and ARTIFACT_NAME not in host.attributes)


def living(ended: Operation) -> Operation:
    """Return the operation around one that has ended; of those that have all ended, the outermost."""
    # A context outlives the operation that it was copied in: a timer that sets itself anew would make an endless chain.
    while ended.ended and ended.parent is not None:
        ended = ended.parent
    return ended


class Part:
    """One part that ended.

    Attributes:
        operation: The part.
        merged: Its attributes.
        items: Its artifacts, where it touched several.
        error: What it raised.
        said: The outcome that it told.
        artifacts: What it was about, each with its outcome; empty where it names none.
    """

    __slots__ = ("_unclaimed", "artifacts", "error", "items", "merged", "operation", "said")

    def __init__(
        self, operation: Operation, merged: dict[str, Any], items: Items | None, error: object, said: object
    ) -> None:
        self.operation = operation
        self.merged = merged
        self.items = items
        self.error: Any = error
        self.said = said
        self.artifacts: list[tuple[Identity, dict[str, Any]]] = []
        self._unclaimed = [True]

    def claim(self) -> bool:
        """Return whether the caller is the first to ask: whoever is records the part."""
        try:
            return self._unclaimed.pop()
        except IndexError:
            return False


class Parts:
    """What the parts of one operation know.

    Attributes:
        fills: Attributes that the operation may lack, from the first part that had each.
        items: The artifacts of the first part that touched several.
        ended: The parts, where the operation may take their artifacts, or may turn out to be none.
    """

    __slots__ = ("ended", "fills", "items")

    def __init__(self) -> None:
        self.fills: dict[str, Any] = {}
        self.items: Items | None = None
        self.ended: list[Part] = []


def fill(operation: Operation, host: Operation, merged: dict[str, Any], items: Items | None) -> None:
    """Give what an operation knows to the one that it is a part of.

    Args:
        operation: The part, which has ended.
        host: What it is a part of.
        merged: Its attributes.
        items: Its artifacts, where it touched several.
    """
    parts = host.parts
    if parts is None:
        # In one step: two parts may end at once.
        parts = host.__dict__.setdefault("parts", Parts())
    for key, value in merged.items():
        if key in TEXT_ATTRIBUTES or key.startswith(METADATA_PREFIX):
            parts.fills.setdefault(key, value)
    if items and parts.items is None:
        parts.items = items
    error = operation.call.error
    said = operation.said_outcome()
    if said is not None and error is None:
        parts.fills.setdefault(OUTCOME, said)
    if not operation.apart:
        return
    part = Part(operation, merged, items, error, said)
    if not operation.plan.fill_only and operation.plan.event_type == host.plan.event_type:
        part.artifacts = _artifacts(operation, merged, items)
    if host.plan.may_vanish or (part.artifacts and len(parts.ended) < ITEM_LIMIT):
        parts.ended.append(part)
        # In this order: one of the two sees the other.
        if host.ended and part.artifacts and part.claim():
            operation.host = None
            operation.start()
            operation.close(merged, items)


def _artifacts(
    operation: Operation, merged: dict[str, Any], items: Items | None
) -> list[tuple[Identity, dict[str, Any]]]:
    """Return what a part was about, each artifact with what tells it from others."""
    if not items and not merged.get(ARTIFACT_NAME):
        return []
    outcome, error_type = operation.ending(merged, items)
    base = {key: value for key, value in merged.items() if key in _OF_ARTIFACT or key.startswith(METADATA_PREFIX)}
    ended = {OUTCOME: outcome} if error_type is None else {OUTCOME: outcome, ERROR_TYPE: error_type}
    if outcome == conventions.ERROR and operation.plan.event_type == "sync" and operation.call.error is not None:
        operation.put_message(base)
    if not items:
        kind = base.get(ARTIFACT_TYPE, "")
        return [((_raw_name(operation, base[ARTIFACT_NAME]), kind, 0), {**base, **ended})]
    found: list[tuple[Identity, dict[str, Any]]] = []
    alike: dict[tuple[str, str], int] = {}
    for item in items:
        row = {**base, **item}
        if row.get(OUTCOME) is None:
            row.update(ended)
        name = (row.get(ARTIFACT_NAME) or "", row.get(ARTIFACT_TYPE) or "")
        number = alike[name] = alike.get(name, -1) + 1
        found.append(((*name, number), row))
    return found


def _raw_name(operation: Operation, name: str) -> object:
    """Return what tells a name from others: several may have become one marker."""
    if "[redacted:" not in name:
        return name
    from usagetrace.track.items import told

    plan, call = operation.plan, operation.call
    return told(call, plan.early, ARTIFACT_NAME) or told(call, plan.late, ARTIFACT_NAME) or name, ""


def taken(merged: dict[str, Any], items: Items | None, parts: Parts) -> tuple[dict[str, Any], Items | None]:
    """Return an operation's attributes with what it lacked, and its artifacts, which may be those of its parts.

    Args:
        merged: Its own attributes.
        items: Its own artifacts.
        parts: What its parts know.
    """
    own = merged.copy()
    # A copy: a part of this operation may be ending in another thread.
    for key, value in parts.fills.copy().items():
        merged.setdefault(key, value)
    claimed = [part for part in parts.ended.copy() if part.claim()]
    if items:
        return merged, items
    found = None if ARTIFACT_NAME in own else _merged(claimed)
    if found is None:
        return merged, parts.items
    keys = dict.fromkeys(key for row in found for key in row)
    for row in found:
        row.setdefault(ARTIFACT_TYPE, merged.get(ARTIFACT_TYPE, ""))
        for key in keys:
            if key not in own and key != ERROR_TYPE:
                # What another part filled in does not hold for this one.
                row.setdefault(key, None)
    for key in keys:
        if key not in (ARTIFACT_NAME, ARTIFACT_TYPE) and all(
            key in row and row[key] is not None and row[key] == merged.get(key) for row in found
        ):
            for row in found:
                del row[key]
    return merged, found


def _merged(parts: list[Part]) -> Items | None:
    """Return the artifacts of parts, each once; None where they name fewer than two.

    Of one that several parts were about, one after the other, the first value counts, and how it ended last.
    """
    found: dict[Identity, dict[str, Any]] = {}
    for part in parts:
        for identity, row in part.artifacts:
            known = found.get(identity)
            if known is None:
                found[identity] = row
                continue
            known.pop(ERROR_TYPE, None)
            known.update({key: row[key] for key in (OUTCOME, ERROR_TYPE) if key in row})
            found[identity] = {**row, **known}
    if sum(1 for name, _kind, number in found if name and not number) < 2:
        return None
    return list(found.values())[:ITEM_LIMIT]


def unfold(operation: Operation) -> None:
    """Record the parts of an operation that turned out to be none."""
    parts = operation.parts
    if parts is None:
        return
    for part in parts.ended.copy():
        if not part.claim():
            continue
        inner = part.operation
        inner.parent = operation.parent
        inner.call.error, inner.outcome = part.error, part.said
        place(inner, operation.parent)
        if inner.host is not None:
            fill(inner, inner.host, part.merged, part.items)
        elif not inner.plan.fill_only:
            inner.start()
            inner.close(part.merged, part.items)
        inner.release()
