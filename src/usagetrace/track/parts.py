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
    from collections.abc import Mapping
    from typing import Any, Final

    from usagetrace.track.operation import Operation
    from usagetrace.track.plan import Plan
    from usagetrace.track.reading import Items

    # Name, type, and which of several alike in one part: what makes two artifacts the same one.
    Identity = tuple[str | tuple[str, str], str, int]

# What says which artifact it is, and the other attributes that an artifact may have, beside metadata.
_IDENTITY: Final = frozenset((ARTIFACT_NAME, ARTIFACT_TYPE))
_OF_ARTIFACT: Final = _IDENTITY | {COLLECTION_NAME, PROJECT_PATH}


def _is_of_artifact(key: str) -> bool:
    return key in _OF_ARTIFACT or key.startswith(METADATA_PREFIX)


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
        shared: Those of them that a part knew which names no artifact: they hold for all.
        named: Artifact and attributes of each part that names one, where the operation does not.
        items: The artifacts of the first part that touched several.
        ended: The parts, where the operation may take their artifacts, or may turn out to be none.
    """

    __slots__ = ("ended", "fills", "items", "named", "shared")

    def __init__(self) -> None:
        self.fills: dict[str, Any] = {}
        self.shared: dict[str, Any] = {}
        self.named: list[tuple[str, dict[str, Any]]] = []
        self.items: Items | None = None
        self.ended: list[Part] = []


# The first parts of operations, for the moment in which they are made.
_being_made: dict[Operation, Parts] = {}


def _parts_of(host: Operation) -> Parts:
    """Return what the parts of an operation know, made by the first of them; two may end at once."""
    # Not `host.__dict__.setdefault`: an object whose __dict__ was asked for is slower from then on, 2 us a call.
    made = _being_made.setdefault(host, Parts())
    try:
        # Whoever made another one, because the first had left the table by then, finds that first here.
        known = host.parts
        if known is None:
            host.parts = known = made
        return known
    finally:
        _being_made.pop(host, None)


def finish(operation: Operation, merged: dict[str, Any], items: Items | None) -> None:
    """Bring an operation to its end that has parts, is a part, or turned out to be none.

    Args:
        operation: It has ended.
        merged: Its attributes.
        items: Its artifacts, where it touched several.
    """
    if operation.vanished:
        # What never ends is never recorded.
        unfold(operation)
        return
    if operation.parts is not None:
        merged, items = taken(operation, merged, items, operation.parts)
    if operation.host is not None:
        fill(operation, operation.host, merged, items)
    else:
        operation.close(merged, items)


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
        parts = _parts_of(host)
    if ARTIFACT_NAME in host.attributes and not parts.named:
        # The most frequent case: it is about one artifact, which is known, so all that its parts know is of that one.
        fills = parts.fills
        for key, value in merged.items():
            if key not in fills and (key in TEXT_ATTRIBUTES or key.startswith(METADATA_PREFIX)):
                fills.setdefault(key, value)
    else:
        _fill_named(parts, host, merged)
    if items and parts.items is None and not operation.gathered:
        parts.items = items
    error = operation.call.error
    said = operation.said_outcome()
    if said is None and operation.parts is not None and not operation.gathered:
        said = operation.parts.fills.get(OUTCOME)
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


def _fill_named(parts: Parts, host: Operation, merged: Mapping[str, Any]) -> None:
    """Keep what a part knows for an operation that names no artifact, so that it may be given to the part's own."""
    known = {key: value for key, value in merged.items() if key in TEXT_ATTRIBUTES or key.startswith(METADATA_PREFIX)}
    name = "" if ARTIFACT_NAME in host.attributes else known.get(ARTIFACT_NAME, "")
    for key, value in known.items():
        parts.fills.setdefault(key, value)
        if not name:
            parts.shared.setdefault(key, value)
    if name and len(parts.named) < ITEM_LIMIT:
        parts.named.append((name, known))


def _artifacts(
    operation: Operation, merged: dict[str, Any], items: Items | None
) -> list[tuple[Identity, dict[str, Any]]]:
    """Return what a part was about, each artifact with what tells it from others."""
    if not items and not merged.get(ARTIFACT_NAME):
        return []
    outcome, error_type = operation.ending(merged, items)
    base = {key: value for key, value in merged.items() if _is_of_artifact(key)}
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


def _raw_name(operation: Operation, name: str) -> str | tuple[str, str]:
    """Return what tells a name from others: several may have become one marker."""
    if "[redacted:" not in name:
        return name
    from usagetrace.track.items import told

    plan, call = operation.plan, operation.call
    return told(call, plan.early, ARTIFACT_NAME) or told(call, plan.late, ARTIFACT_NAME) or name, ""


def taken(
    operation: Operation, merged: dict[str, Any], items: Items | None, parts: Parts
) -> tuple[dict[str, Any], Items | None]:
    """Return an operation's attributes with what it lacked, and its artifacts, which may be those of its parts.

    Args:
        operation: It has ended.
        merged: Its own attributes.
        items: Its own artifacts.
        parts: What its parts know.
    """
    claimed = [part for part in parts.ended.copy() if part.claim()] if parts.ended else None
    own = merged.copy() if parts.named else merged
    # A copy: a part of this operation may be ending in another thread.
    for key, value in parts.fills.copy().items():
        merged.setdefault(key, value)
    if not items and ARTIFACT_NAME not in own:
        items = _gathered(operation, claimed or [], merged)
        operation.gathered = items is not None
    if not items:
        return merged, parts.items
    if parts.named:
        _fill_by_name(items, merged, own, parts)
    if operation.gathered:
        _shorten(items, merged)
    return merged, items


def _fill_by_name(items: Items, merged: dict[str, Any], own: Mapping[str, Any], parts: Parts) -> None:
    """Give each artifact what the parts know that name it; what one of them knows holds for no other.

    Args:
        items: The artifacts of the operation.
        merged: Its attributes, with what its parts filled in.
        own: Those that it had itself.
        parts: What its parts know.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in items:
        # Of names that became one marker nobody knows which is which.
        if "[redacted:" not in row[ARTIFACT_NAME]:
            by_name.setdefault(row[ARTIFACT_NAME], []).append(row)
    for name, known in parts.named.copy():
        for row in by_name.get(name, ()):
            for key, value in known.items():
                if key not in own and row.get(key) in (None, "") and _is_of_artifact(key):
                    row[key] = value
    for key in parts.fills.copy():
        if key in own or key in _IDENTITY or not _is_of_artifact(key):
            continue
        if key in parts.shared:
            merged[key] = parts.shared[key]
            continue
        for row in items:
            row.setdefault(key, None)
    for row in items:
        row[ARTIFACT_TYPE] = row.get(ARTIFACT_TYPE) or merged.get(ARTIFACT_TYPE, "")


def _shorten(items: Items, merged: Mapping[str, Any]) -> None:
    """Leave out of artifacts what all of them share with the operation."""
    for key in dict.fromkeys(key for row in items for key in row):
        shared = merged.get(key)
        if key not in _IDENTITY and shared is not None and all(row.get(key) == shared for row in items):
            for row in items:
                del row[key]


def _gathered(operation: Operation, parts: list[Part], merged: Mapping[str, Any]) -> Items | None:
    """Return the artifacts of parts, each once, then what was asked for and is none of them; None for fewer than two.

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
    rows = list(found.values())[:ITEM_LIMIT]
    if operation.plan.gathers:
        from usagetrace.track.items import missing

        names = {name if isinstance(name, str) else name[0] for name, _kind, _number in found}
        absent = missing(operation, merged, names, len(rows))
        if absent:
            operation.absent = len(absent)
            return rows + absent
    return rows if sum(1 for name, _kind, number in found if name and not number) > 1 else None


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
