"""From a call to recorded values: each read, made plain and clean, redacted, then cut, in this order.

This module owns the order. When a value is read, and what becomes of it, is the operation's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from usagetrace.events import (
    CATEGORIES,
    NAME_LIMIT,
    REGISTERED,
    TEXT_LIMIT,
    bound_text,
    category_of,
    clean_text,
    priority_of,
)
from usagetrace.guard import guard
from usagetrace.semconv import (
    CODE_FUNCTION_NAME,
    ERROR_TYPE,
    EVENT_CATEGORY,
    EVENT_PRIORITY,
    EVENT_TYPE,
    ITEM_PREFIX,
    METADATA_PREFIX,
    PREFIX,
)
from usagetrace.track import conventions
from usagetrace.track.plan import BLOCK_FIELDS, TEXT_FIELDS
from usagetrace.track.rates import rate_of
from usagetrace.track.values import bounded, cleaned, qualified_name, to_text, to_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.track.call import Call, Stage
    from usagetrace.track.plan import Plan
    from usagetrace.track.runtime import Runtime

    # The artifacts of one call, each by attribute.
    Items = list[dict[str, Any]]

# Attributes that are a name, a type, a path or an id.
TEXT_ATTRIBUTES: Final = frozenset(TEXT_FIELDS.values())
# Most artifacts of one call that become events.
ITEM_LIMIT: Final = 1000
# Longest text that is remembered with what it became, in characters; and most of them for one attribute, and most
# attributes.
_SEEN_LENGTH: Final = 256
_SEEN_TEXTS: Final = 1024
_SEEN_ATTRIBUTES: Final = 256
# Among what was seen: metadata keys, and the attribute that each became. No attribute has this name.
_KEYS: Final = ""
_NUMBERS: Final = frozenset((int, float, bool))
# What both a float and a 64-bit integer hold; NaN is not between them, and infinity neither.
_LEAST: Final = -(2**62)
_MOST: Final = 2**62


def read(runtime: Runtime, call: Call, stage: Stage, target: dict[str, Any], known: Mapping[str, Any]) -> None:
    """Read the fields of one stage that are not known yet. One that can't be read does not cost the others.

    Args:
        runtime: Redacts.
        call: Where the values are.
        stage: What is read.
        target: Where they go, by attribute.
        known: What needs no reading.
    """
    seen, numbers = runtime.seen, runtime.numbers
    for attribute, reader in stage.attributes:
        if attribute in known:
            continue
        try:
            value = reader(call)
        except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
            guard.note(error)
            continue
        if value is None:
            continue
        # As in `put`, whose call would cost more than these looks.
        kind = type(value)
        if kind is str:
            texts = seen.get(attribute)
            recorded = None if texts is None else texts.get(value)
            if recorded is not None:
                target[attribute] = recorded
                continue
        elif kind in _NUMBERS and attribute in numbers and _LEAST <= value <= _MOST:
            target[attribute] = value
            continue
        put(runtime, target, attribute, value)
    for reader in stage.mappings:
        try:
            table = reader(call)
            if isinstance(table, Mapping):
                put_mapping(runtime, target, table)
        except Exception as error:  # noqa: BLE001 -- as above; a table of a foreign class may raise anything too
            guard.note(error)


def read_result(
    runtime: Runtime, call: Call, keys: tuple[str, ...], known: Mapping[str, Any], target: dict[str, Any]
) -> None:
    """Read the metadata that a result, or an exception, holds under known names; what is known stays."""
    try:
        for key, value in conventions.result_metadata(keys, call):
            if METADATA_PREFIX + key not in known:
                put(runtime, target, METADATA_PREFIX + key, value)
    except Exception as error:  # noqa: BLE001 -- a result whose properties raise costs what they would have given
        guard.note(error)


def put_fields(runtime: Runtime, target: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Record what a running operation says: fields of the contract by name; any other name is a metadata key."""
    for name, value in fields.items():
        if name in TEXT_FIELDS:
            put(runtime, target, TEXT_FIELDS[name], value)
        elif name == "metadata" and isinstance(value, Mapping):
            put_mapping(runtime, target, value)
        elif name not in BLOCK_FIELDS:
            put_metadata(runtime, target, name, value)


def put_mapping(runtime: Runtime, target: dict[str, Any], table: Mapping[Any, Any]) -> None:
    """Record a whole metadata table, keys redacted as well."""
    for key, value in islice(table.items(), ITEM_LIMIT):
        put_metadata(runtime, target, key, value)


def put_metadata(runtime: Runtime, target: dict[str, Any], key: object, value: object) -> None:
    """Record one metadata value whose key comes from the program, and is redacted as well."""
    attribute = _attribute_of(runtime, key)
    if attribute:
        put(runtime, target, attribute, value)


def settle(plan: Plan, runtime: Runtime) -> None:
    """Redact what the program wrote into a plan: the event type and the keys of metadata.

    Args:
        plan: Of a function that is called for the first time under this runtime.
        runtime: Redacts.

    Raises:
        EventError: Only registered event types are recorded, and this is none.
    """
    base = base_of(plan.event_type, plan.code)
    if runtime.strict and not plan.lenient:
        _refuse_unknown(plan.event_type)
    plan.rate = rate_of(plan.event_type)
    if plan.event_type not in CATEGORIES:
        put(runtime, base, EVENT_TYPE, plan.event_type)
    # One that can't be redacted is no name.
    plan.name = base.setdefault(EVENT_TYPE, "")
    # Whole: another thread may be about to copy it.
    plan.base = base
    if plan.own:
        names: dict[str, str] = {}
        for own in plan.own:
            name, number = _attribute_of(runtime, own[len(METADATA_PREFIX) :]), 2
            # Two private keys may have become one marker.
            names[own] = name
            while name and names[own] in [names[other] for other in names if other != own]:
                names[own], number = f"{name}#{number}", number + 1
        plan.early, plan.late, plan.items = (stage.renamed(names) for stage in plan.given)
    # Last: another thread may be about to use the plan.
    plan.settled = runtime.mark


def _refuse_unknown(event_type: str) -> None:
    """Raise where an event type is neither of this package nor registered; the first time with a warning."""
    if event_type in CATEGORIES or event_type in REGISTERED:
        return
    # Imported here: it is for programs that go wrong.
    from usagetrace.errors import EventError
    from usagetrace.guard import warn_once

    why = "events of the type %r are not recorded: events.strict is on, and nobody registered it; register it with %s"
    warn_once(f"strict:{event_type}", why, event_type, "usagetrace.event_types.register()")
    raise EventError(f"an event type that nobody registered: {event_type}")


def _attribute_of(runtime: Runtime, key: object) -> str:
    """Return the attribute of a metadata key, the key redacted; empty where it is left out with its value."""
    try:
        text = key if type(key) is str else str(to_text(key))
        names = runtime.seen.get(_KEYS)
        attribute = None if names is None else names.get(text)
        if attribute is None:
            plain = bound_text(clean_text(text), NAME_LIMIT)
            redacted = runtime.redactor.key(plain)
            attribute = METADATA_PREFIX + redacted
            if redacted != plain:
                policy = getattr(runtime.redactor, "policy", None)
                if policy is not None and policy.mode == "drop":
                    attribute = ""
            if len(text) <= _SEEN_LENGTH:
                _remember(runtime.seen, _KEYS, text, attribute)
        return attribute
    except Exception as error:  # noqa: BLE001 -- a key that can't be redacted is dropped, and only that
        guard.note(error)
        return ""


def error_type_of(runtime: Runtime, error: object) -> str:
    """Return what an operation failed with, as ``error.type`` wants it."""
    found: dict[str, Any] = {}
    if isinstance(error, BaseException):
        try:
            put(runtime, found, ERROR_TYPE, qualified_name(type(error)))
        except Exception as failure:  # noqa: BLE001 -- a class may answer as it likes when asked for its name
            guard.note(failure)
    # The semantic conventions' word for a failure that has no class.
    return bound_text(found.get(ERROR_TYPE, "_OTHER"), NAME_LIMIT)


def holds(condition: Callable[[Call], Any], call: Call) -> bool:
    """Return whether a condition holds for a call. One that can't be judged, such as an array, does not."""
    try:
        return bool(condition(call))
    except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
        guard.note(error)
        return False


def put(runtime: Runtime, target: dict[str, Any], attribute: str, value: object) -> None:
    """Record one value: plain, clean, redacted, then cut. What can't be redacted is dropped and counted.

    Of a value that is not recorded, for the policy or a fault, an earlier one of the same attribute goes as well.
    """
    try:
        if type(value) is str:
            texts = runtime.seen.get(attribute)
            known = None if texts is None else texts.get(value)
            if known is not None:
                target[attribute] = known
                return
        recorded: Any
        if attribute in TEXT_ATTRIBUTES:
            text = to_text(value)
            if text is None:
                return
            redacted = runtime.redactor.redact(attribute, clean_text(text))
            if redacted is None:
                # The policy of redaction leaves it out.
                target.pop(attribute, None)
                return
            recorded = bound_text(str(redacted), NAME_LIMIT)
        else:
            plain = to_value(value)
            if plain is None:
                return
            redacted = runtime.redactor.redact(attribute, cleaned(plain))
            if redacted is None:
                target.pop(attribute, None)
                return
            recorded = bounded(redacted, TEXT_LIMIT)
        target[attribute] = recorded
        if type(value) in _NUMBERS and attribute not in TEXT_ATTRIBUTES:
            if runtime.passes_number is not None and runtime.passes_number(attribute):
                _let_pass(runtime.numbers, attribute)
        elif type(value) is str and len(value) <= _SEEN_LENGTH and type(recorded) is str:
            _remember(runtime.seen, attribute, value, recorded)
    except Exception as error:  # noqa: BLE001 -- one value that can't be recorded must not cost the others
        target.pop(attribute, None)
        guard.note(error)


def _let_pass(numbers: set[str], attribute: str) -> None:
    """Remember that numbers need no redaction below an attribute."""
    if len(numbers) >= _SEEN_ATTRIBUTES:
        numbers.clear()
    numbers.add(attribute)


def _remember(seen: dict[str, dict[str, str]], attribute: str, value: str, recorded: str) -> None:
    """Remember what a text became: most arguments come again."""
    texts = seen.get(attribute)
    if texts is None:
        if len(seen) >= _SEEN_ATTRIBUTES:
            seen.clear()
        texts = seen[attribute] = {}
    elif len(texts) >= _SEEN_TEXTS:
        texts.clear()
    texts[value] = recorded


def arrays(items: Items, shared: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the artifacts of one call as the parallel arrays that a span holds, by attribute.

    Args:
        items: Each by attribute.
        shared: Attributes of the call, which stand in where an artifact has none of its own.
    """
    # usage.metadata.score becomes usage.item.metadata.score, and so on.
    return {
        ITEM_PREFIX + key.removeprefix(PREFIX): [item[key] if key in item else shared.get(key) for item in items]
        for key in dict.fromkeys(key for item in items for key in item)
    }


def base_of(event_type: str, code: str | None) -> dict[str, Any]:
    """Return the attributes that each call of a function has.

    Args:
        event_type: What a call is.
        code: Name of the function, with its module; None for a block of code.
    """
    base = {
        EVENT_TYPE: event_type,
        EVENT_CATEGORY: category_of(event_type).value,
        EVENT_PRIORITY: priority_of(event_type).value,
    }
    return base if code is None else {**base, CODE_FUNCTION_NAME: code}
