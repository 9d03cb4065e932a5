"""What a function's own names say: where its artifact, type, collection, project and metadata are found.

For the operations deploy, update, sync, remove and search the metadata keys are known; each is taken from a
parameter of that name, else from an attribute (or key) of that name of the result. Nothing is guessed from values.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from os import PathLike

from usagetrace import semconv
from usagetrace.guard import guard
from usagetrace.track.call import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from usagetrace.track.call import Call, Parameters

    Read = Callable[[Call], Any]

# Words that outcomes are told in; any other text counts as success or error by the span's status.
SUCCESS: Final = "success"
ERROR: Final = "error"
OUTCOMES: Final = frozenset({SUCCESS, ERROR, "conflict", "cancelled"})
FAILURE_WORDS: Final = frozenset({ERROR, "errored", "failure", "failed", "fail"})
CANCELLED_WORDS: Final = frozenset({"cancelled", "canceled", "aborted"})

# Kinds of artifacts whose name is often passed as KIND_name.
_KINDS: Final = (
    "skill", "command", "agent", "package", "plugin", "module", "model", "template", "extension", "theme", "dataset",
)  # fmt: skip


class Convention:
    """Where one field is looked for.

    Attributes:
        parameters: Parameters that hold the value itself, the best first.
        of_artifact: Attributes of a parameter ``artifact`` that hold it.
        attribute: Attribute of the instance, or of the result, that holds it.
    """

    __slots__ = ("attribute", "of_artifact", "parameters")

    def __init__(self, parameters: tuple[str, ...], of_artifact: tuple[str, ...], attribute: str) -> None:
        self.parameters = parameters
        self.of_artifact = of_artifact
        self.attribute = attribute


FIELDS: Final[Mapping[str, Convention]] = {
    "artifact_name": Convention(("artifact_name", "name", "artifact"), ("artifact_name", "name"), "artifact_name"),
    "artifact_type": Convention(
        ("artifact_type", "type", "kind"), ("artifact_type", "type", "kind"), "artifact_type"
    ),
    "collection_name": Convention(
        ("collection_name", "collection"), ("collection_name", "collection"), "collection_name"
    ),
    "project_path": Convention(
        ("project_path", "project", "project_dir", "project_root"), (), "project_path"
    ),
    "session_id": Convention(("session_id",), (), "session_id"),
}  # fmt: skip

# Attributes in which the items of a result name their artifact and its kind.
ITEM_NAME: Final = ("artifact_name", "name")
ITEM_TYPE: Final = ("artifact_type", "type", "kind")

# Metadata keys of the five operations; those of items are looked for on each item.
METADATA: Final[Mapping[str, tuple[str, ...]]] = {
    "deploy": ("version", "sha", "success"),
    "update": ("strategy", "version_before", "version_after", "conflicts_detected", "user_choice", "rollback"),
    "sync": ("sync_type", "result", "sha_before", "sha_after", "conflicts_detected", "error_message"),
    "remove": ("reason", "from_project"),
    "search": ("query", "search_type", "total_results"),
}
ITEM_METADATA: Final[Mapping[str, tuple[str, ...]]] = {"search": ("score", "rank")}
# Other names under which results hold a key.
_ALSO: Final[Mapping[str, tuple[str, ...]]] = {"total_results": ("total_results", "total", "total_count")}
# Attributes of the result of a search that hold what was found.
_MATCHES: Final = ("matches", "results", "hits", "items")
# Keys that exceptions use for something else (UnicodeDecodeError.reason) or that say how the operation ended.
_NOT_OF_ERRORS: Final = frozenset({"reason", "result", "success", "version"})
# Made once: a union of types written into a check is built anew at each call.
_PLAIN: Final = (str, Enum, PathLike, int, float)
_WITHOUT_FIELDS: Final = (str, bytes, int, float, list, tuple, set)
_RESULT: Final = semconv.METADATA_PREFIX + "result"
_SUCCESS: Final = semconv.METADATA_PREFIX + "success"
_ROLLBACK: Final = semconv.METADATA_PREFIX + "rollback"
_REASON: Final = semconv.METADATA_PREFIX + "reason"
_FROM_PROJECT: Final = semconv.METADATA_PREFIX + "from_project"
_TOTAL_RESULTS: Final = semconv.METADATA_PREFIX + "total_results"
ERROR_MESSAGE: Final = semconv.METADATA_PREFIX + "error_message"
# Artifacts of one search that become events.
SEARCH_LIMIT: Final = 5


def is_plain(value: object) -> bool:
    """Return whether a value can stand for a name: a text, an enum, a path or a number."""
    return isinstance(value, _PLAIN)


def look_up(holder: object, names: tuple[str, ...]) -> Any:
    """Return the first plain value among attributes of an object, or keys of a mapping; None where there is none."""
    for name in names:
        value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
        if value is not None and is_plain(value):
            return value
    return None


def field_reader(field: str, parameters: Parameters) -> Read | None:
    """Return how a field is found before the call by convention; None where the names say nothing.

    Args:
        field: One of :data:`FIELDS`.
        parameters: Those of the function.
    """
    early = list(_early_readers(field, FIELDS[field], parameters))
    if len(early) <= 1:
        return early[0] if early else None

    def read_first(call: Call) -> Any:
        for read in early:
            value = read(call)
            if value is not None:
                return value
        return None

    return read_first


def result_reader(field: str) -> Read:
    """Return how a field is found on the result by convention, where nothing before the call gave it."""
    names = (FIELDS[field].attribute,)

    def read_result(call: Call) -> Any:
        return None if has_no_attributes(call.result) else look_up(call.result, names)

    return read_result


def _early_readers(field: str, convention: Convention, parameters: Parameters) -> Iterator[Read]:
    for name in convention.parameters:
        if name in parameters:
            yield (
                _plain(parameters.reader(name))
                if name in ("artifact", "project", "collection")
                else (parameters.reader(name))
            )
    if "artifact" in parameters and convention.of_artifact:
        yield _attributes_of(parameters.reader("artifact"), convention.of_artifact)
    for name in ("collection", "project"):
        if name in convention.parameters and name in parameters:
            yield _attributes_of(parameters.reader(name), ("name",) if name == "collection" else ("path",))
    for kind in _KINDS:
        if f"{kind}_name" in parameters:
            if field == "artifact_name":
                yield parameters.reader(f"{kind}_name")
            elif field == "artifact_type":
                yield _constant(kind)
    if parameters.first == "self":
        yield _attributes_of(_instance, (convention.attribute,))


def _constant(value: object) -> Read:
    return lambda _call: value


def _instance(call: Call) -> Any:
    if call.instance is None and call.parameters.in_class:
        return call.args[0] if call.args else None
    return settle(call)


def _plain(read: Read) -> Read:
    def plain(call: Call) -> Any:
        value = read(call)
        return value if is_plain(value) else None

    return plain


def _attributes_of(read: Read, names: tuple[str, ...]) -> Read:
    def attribute(call: Call) -> Any:
        holder = read(call)
        return None if has_no_attributes(holder) else look_up(holder, names)

    return attribute


def has_no_attributes(value: object) -> bool:
    """Return whether a value is of a kind that holds no fields by name."""
    return value is None or isinstance(value, _WITHOUT_FIELDS)


def result_metadata(keys: tuple[str, ...], call: Call) -> Iterator[tuple[str, Any]]:
    """Yield the metadata that a call's result, or the exception it raised, holds under known names."""
    holder = call.result if call.error is None else call.error
    if "total_results" in keys and isinstance(holder, list | tuple):
        yield "total_results", len(holder)
    if has_no_attributes(holder):
        return
    for key in keys:
        if call.error is not None and key in _NOT_OF_ERRORS:
            continue
        value = look_up(holder, _ALSO.get(key, (key,)))
        if value is not None:
            yield key, value


def matches(call: Call) -> Any:
    """Return what a search found, where its result is a list or holds one under a usual name; else None."""
    result = call.result
    if isinstance(result, list) or (isinstance(result, tuple) and len({type(each) for each in result}) < 2):
        return result
    # A tuple of different things is one answer with several sides.
    if has_no_attributes(result):
        return None
    for name in _MATCHES:
        found = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if isinstance(found, list | tuple):
            return found
    return None


def item_name(call: Call) -> Any:
    """Return the name of the artifact in hand."""
    return call.item if is_plain(call.item) else look_up(call.item, ITEM_NAME)


def item_type(call: Call) -> Any:
    """Return the kind of the artifact in hand."""
    return None if has_no_attributes(call.item) else look_up(call.item, ITEM_TYPE)


def item_value(key: str) -> Read:
    """Return how a metadata key of an item is found."""
    if key == "rank":
        return lambda call: call.rank
    return lambda call: None if has_no_attributes(call.item) else look_up(call.item, (key,))


def outcome_of(event_type: str, attributes: Mapping[str, Any]) -> str | None:
    """Return how an operation says, in its metadata, that it ended; None where it does not."""
    if event_type == "sync":
        said = attributes.get(_RESULT)
        return said if isinstance(said, str) and said in OUTCOMES else None
    if event_type == "deploy" and attributes.get(_SUCCESS) is False:
        return ERROR
    return None


def outcome_told(said: object) -> str:
    """Return which outcome somebody's code told, in any form but None; success where it is none that is known."""
    if said is True:
        return SUCCESS
    if said is False or isinstance(said, BaseException):
        return ERROR
    # Imported here: what is only decorated needs none of it.
    from usagetrace.track.values import to_value

    try:
        word = str(to_value(said)).strip().lower()
    except Exception as error:  # noqa: BLE001 -- what the user's code gives as outcome may raise anything
        guard.note(error)
        return SUCCESS
    if word in FAILURE_WORDS:
        return ERROR
    if word in CANCELLED_WORDS:
        return "cancelled"
    return word if word in OUTCOMES else SUCCESS


def message_of(error: BaseException) -> str | None:
    """Return an exception's text; None where that raises."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 -- a foreign exception's text may raise anything; then there is none
        return None


def complete_metadata(event_type: str, attributes: dict[str, Any], outcome: str, found: int | None) -> None:
    """Add the metadata that follows from how the call ended, where nothing said it already.

    Args:
        event_type: The operation.
        attributes: The operation's attributes so far.
        outcome: How it ended.
        found: Number of artifacts found, for a search.
    """
    if event_type == "deploy":
        if attributes.get(_SUCCESS) is None:
            attributes[_SUCCESS] = outcome == SUCCESS
    elif event_type == "sync":
        if attributes.get(_RESULT) is None:
            attributes[_RESULT] = outcome
    elif event_type == "update":
        if attributes.get(_ROLLBACK) is None:
            attributes[_ROLLBACK] = False
    elif event_type == "remove":
        if attributes.get(_REASON) is None:
            attributes[_REASON] = "user_action"
        if attributes.get(_FROM_PROJECT) is None:
            attributes[_FROM_PROJECT] = attributes.get(semconv.PROJECT_PATH) is not None
    elif event_type == "search" and found is not None and attributes.get(_TOTAL_RESULTS) is None:
        attributes[_TOTAL_RESULTS] = found
