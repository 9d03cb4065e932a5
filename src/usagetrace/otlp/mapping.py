"""Mappings: which spans and log events of other instrumentations are events, and where their fields are found.

This module reads them from the tables ``[[receiver.map]]`` of the settings files, and reports every fault with its
place. What they give is redacted twice: as what it was, and as what it becomes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Table
from typing import TYPE_CHECKING, Any, Final

from usagetrace import semconv
from usagetrace.errors import ConfigurationError
from usagetrace.events import clean_text
from usagetrace.otlp.attributes import short

if TYPE_CHECKING:
    from pathlib import Path

    from usagetrace.otlp.attributes import AttributeReader

# Fields of an event that are one text, and the attributes that they become.
FIELDS: Final = {
    "event": semconv.EVENT_TYPE,
    "artifact_name": semconv.ARTIFACT_NAME,
    "artifact_type": semconv.ARTIFACT_TYPE,
    "collection_name": semconv.COLLECTION_NAME,
    "project_path": semconv.PROJECT_PATH,
    "session_id": semconv.SESSION_ID,
}
_KEYS: Final = ("scope", "name", *FIELDS, "metadata")
_RESOURCE: Final = "resource."
_CHAIN: Final = re.compile(r"\s+\|\s+")
# Attributes that are taken whether a mapping names them or not.
_ALWAYS: Final = (semconv.SESSION_ID, semconv.ERROR_TYPE, semconv.LOG_RECORD_UID)


class Selector:
    """Where a field is found: in one place after the other, until one has something.

    Args:
        places: Each a kind (``attribute``, ``resource``, ``name`` or ``literal``), and a name or a value.
    """

    __slots__ = ("places",)

    def __init__(self, places: Sequence[tuple[str, Any]]) -> None:
        self.places = tuple(places)

    def value(self, found: Table[str, Any], resource: Table[str, Any], name: str) -> Any:
        """Return the first value that is not None.

        Args:
            found: Attributes of the span or log event.
            resource: Attributes of its resource.
            name: Its name.
        """
        for kind, what in self.places:
            value = (
                found.get(what)
                if kind == "attribute"
                else resource.get(what)
                if kind == "resource"
                else name
                if kind == "name"
                else what
            )
            if value is not None and value != "":
                return value
        return None

    def names(self, kind: str) -> Iterator[str]:
        """Yield the names of the attributes of one kind that are asked for."""
        return (what for each, what in self.places if each == kind)


class Mapping:
    """What makes events of somebody's spans and log events.

    Args:
        scope: Which instrumentation scopes, as a pattern with ``*`` and ``?``.
        name: Which names of spans or log events, as a pattern.
        fields: Where each field is found, by the names of :data:`FIELDS`.
        metadata: Where each metadata key is found.
    """

    def __init__(
        self, scope: str = "*", name: str = "*", *, fields: Table[str, Selector], metadata: Table[str, Selector]
    ) -> None:
        self.scope, self.name = scope, name
        self._fits_scope, self._fits_name = _matcher(scope), _matcher(name)
        self._fields, self._metadata = dict(fields), dict(metadata)
        selectors = (*self._fields.values(), *self._metadata.values())
        wanted = {what for each in selectors for what in each.names("attribute")}
        self._wanted = {what.encode(): what for what in (*_ALWAYS, *sorted(wanted))}
        self._of_resource = {what.encode(): what for each in selectors for what in each.names("resource")}

    def __repr__(self) -> str:
        return f"Mapping({self.scope!r}, {self.name!r})"

    def fits_scope(self, scope: str) -> bool:
        """Return whether this is about the spans and log events of a scope."""
        return self._fits_scope(scope) is not None

    def fits_name(self, name: str) -> bool:
        """Return whether this is about the spans and log events of a name."""
        return self._fits_name(name) is not None

    def attributes(
        self, reader: AttributeReader, pairs: Sequence[bytes], resource: Sequence[bytes], name: str
    ) -> dict[str, Any] | None:
        """Return the attributes of the event that a span or log event is; None where it is none.

        Args:
            reader: Reads and redacts.
            pairs: Its attributes, as their bytes.
            resource: Those of its resource.
            name: Its name.

        Raises:
            MalformedError: One of the attributes is none.
            RedactionError: One of them can't be redacted.
        """
        found = reader.named(pairs, self._wanted)
        of_resource = reader.named(resource, self._of_resource) if self._of_resource else {}
        told = reader.redactor.text(clean_text(short(name)))
        made: dict[str, Any] = {each: found[each] for each in _ALWAYS if found.get(each) is not None}
        for field, selector in self._fields.items():
            attribute = FIELDS[field]
            text = reader.text(attribute, selector.value(found, of_resource, told))
            if text is not None:
                made[attribute] = text
        if not made.get(semconv.EVENT_TYPE, "").strip():
            return None
        for each in _ALWAYS:
            if each in made:
                text = reader.text(each, made.pop(each))
                made.update({} if text is None else {each: text})
        for key, selector in self._metadata.items():
            member = reader.member(semconv.METADATA_PREFIX + key, selector.value(found, of_resource, told))
            made.update([] if member is None else [member])
        return made


def _matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(pattern)).match


def selector_of(text: object, where: str, faults: list[str], *, texts_only: bool = True) -> Selector | None:
    """Return what a field's value in a settings file means; None where it has a fault.

    Args:
        text: ``$`` and the name of an attribute, ``$resource.`` and the name of one of the resource, ``$name``, a
            chain of these with `` | `` between them, which a literal in quotes may end; any other text is a literal.
        where: Its place, for messages.
        faults: Takes one sentence for each fault.
        texts_only: Whether a literal has to be a text; of metadata it may be a number, true or false.
    """
    if not isinstance(text, str):
        if not texts_only and isinstance(text, bool | int | float):
            return Selector([("literal", text)])
        faults.append(f"{where}: expected a text, found {_kind(text)}")
        return None
    if not text.startswith("$"):
        if text.strip():
            return Selector([("literal", text)])
        faults.append(f"{where}: expected a literal, or $ and the name of an attribute, found nothing")
        return None
    places = [_place(part, where, faults) for part in _CHAIN.split(text.strip())]
    if any(place is not None and place[0] == "literal" for place in places[:-1]):
        faults.append(f"{where}: what stands behind a literal is never looked at: {text!r}")
    return Selector([place for place in places if place is not None])


def _place(part: str, where: str, faults: list[str]) -> tuple[str, Any] | None:
    if len(part) > 1 and part[0] == part[-1] and part[0] in "\"'":
        return "literal", part[1:-1]
    name = part[1:]
    if not part.startswith("$") or not name or any(each.isspace() for each in name) or name == _RESOURCE:
        faults.append(
            f"{where}: expected $ and the name of an attribute, $resource. and one of the resource, $name, or a "
            f"literal in quotes, found {part!r}"
        )
        return None
    if name == "name":
        return "name", None
    if name.startswith(_RESOURCE):
        return "resource", name[len(_RESOURCE) :]
    return "attribute", name


def mappings_of(table: Table[str, Any], where: str, faults: list[str]) -> list[Mapping]:
    """Return the mappings of one settings file.

    Args:
        table: The whole file.
        where: The file, for messages.
        faults: Takes one sentence for each fault. A mapping with a fault is left out, the others are returned.
    """
    receiver = table.get("receiver", {})
    if not isinstance(receiver, Table):
        faults.append(f"{where}: receiver: expected a table, found {_kind(receiver)}")
        return []
    faults.extend(f"{where}: receiver.{key}: unknown key; expected map" for key in receiver if key != "map")
    given = receiver.get("map", [])
    if not isinstance(given, list | tuple):
        faults.append(f"{where}: receiver.map: expected an array of tables, [[receiver.map]], found {_kind(given)}")
        return []
    made = [_mapping(entry, f"{where}: receiver.map[{number}]", faults) for number, entry in enumerate(given, 1)]
    return [mapping for mapping in made if mapping is not None]


def mappings_from_settings(env: Table[str, str], cwd: str | Path | None = None) -> list[Mapping]:
    """Return the mappings of the settings files, the strongest file's first.

    Args:
        env: The environment, which says where the files are.
        cwd: Where the search for a project's file begins; None is the working directory.

    Raises:
        ConfigurationError: A file can't be read, or a mapping has a fault; all of them are named.
    """
    from usagetrace.setting_files import read_files

    faults: list[str] = []
    found = [
        mapping
        for source in read_files(env, cwd, faults)
        for mapping in mappings_of(source.table, source.label, faults)
    ]
    if faults:
        raise ConfigurationError(faults)
    return found


def _mapping(entry: object, where: str, faults: list[str]) -> Mapping | None:
    if not isinstance(entry, Table):
        faults.append(f"{where}: expected a table, found {_kind(entry)}")
        return None
    before = len(faults)
    faults.extend(_faults_of_keys(entry, where))
    patterns = {key: entry[key] for key in ("scope", "name") if key in entry}
    for key, value in patterns.items():
        if not isinstance(value, str) or not value:
            faults.append(f"{where}: {key}: expected a pattern such as 'shop.*', found {_shown(value)}")
    event = entry.get("event")
    if event is None:
        faults.append(f"{where}: event: is missing; expected an event type, or $ and the name of an attribute")
    elif not patterns and not str(event).startswith("$"):
        faults.append(f"{where}: would make every span an event; expected scope, name, or an event such as '$app.verb'")
    fields = {
        key: selector_of(entry[key], f"{where}: {key}", faults) for key in FIELDS if key in entry
    }  # fmt: skip
    metadata = entry.get("metadata", {})
    if not isinstance(metadata, Table):
        faults.append(f"{where}: metadata: expected a table, found {_kind(metadata)}")
        metadata = {}
    of_metadata = {
        str(key): selector_of(value, f"{where}: metadata.{key}", faults, texts_only=False)
        for key, value in metadata.items()
    }
    if len(faults) > before:
        return None
    return Mapping(
        **patterns,
        fields={key: value for key, value in fields.items() if value is not None},
        metadata={key: value for key, value in of_metadata.items() if value is not None},
    )


def _faults_of_keys(entry: Table[Any, Any], where: str) -> Iterator[str]:
    for key in entry:
        if key not in _KEYS:
            # Imported here: only a mistake needs it.
            import difflib

            near = difflib.get_close_matches(str(key), _KEYS, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(_KEYS)}"
            yield f"{where}: {key}: unknown key; {meant}"


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    names = {dict: "a table", list: "an array", str: "a text", bool: "true or false", int: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
