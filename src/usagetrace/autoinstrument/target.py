"""Targets: which function of a program is which operation, and where its fields are found.

This module reads them from the tables of a settings file and from what :func:`~.instrument` is given. It checks their
form and reports every fault with its place; whether the functions exist is only known when a program imports them,
and checked by :mod:`usagetrace.autoinstrument.check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

# Fields of `track`, which a target has under the same names; in plan.FIELDS, which would load all that tracks.
FIELDS: Final = (
    "artifact_name", "artifact_type", "collection_name", "project_path", "session_id", "metadata", "outcome",
    "skip_if", "skip_within", "nested", "each", "requested", "fill_only",
)  # fmt: skip
# What a target may be besides a function: the part of a program that makes its commands or routes.
FRAMEWORKS: Final = ("click", "typer", "argparse", "fastapi")
_OWN_KEYS: Final = ("function", "event", "events", "optional", "preload", "use", *FRAMEWORKS)
_KEYS: Final = (*_OWN_KEYS, *FIELDS)
# Tables of a settings file in which targets stand.
_TABLES: Final = ("track", "targets", "fields")
_FLAGS: Final = ("nested", "fill_only", "optional", "preload")


class Target:
    """One function of a program, and the operation that a call of it is.

    Attributes:
        module: The module that has it, ``skillshelf.shelf``.
        qualname: Where it is in that module, ``Shelf.deploy``.
        event: The event type; or conditions, judged when a call begins, each with its event type.
        fields: What ``track`` takes, by name.
        where: Where the target was read, for messages: ``usagetrace.toml: targets[2]``.
        optional: Whether it is no fault that this version of the program lacks the function.
        preload: Whether all that recording needs is loaded when the function is put in place, not when it is called:
            for a program that forbids imports while it works.
        framework: ``click``, ``typer``, ``argparse`` or ``fastapi`` where the target is what makes commands or routes;
            empty for a function.
        events: Of those commands or routes, by name, the ones that are an event of another type than their name says.
    """

    __slots__ = ("event", "events", "fields", "framework", "module", "optional", "preload", "qualname", "where")

    def __init__(
        self,
        function: str,
        event: str | Mapping[str, str],
        fields: Mapping[str, Any] | None = None,
        *,
        where: str = "",
        optional: bool = False,
        preload: bool = False,
        framework: str = "",
        events: Mapping[str, str] | None = None,
    ) -> None:
        self.module, _, self.qualname = function.partition(":")
        self.event = event
        self.fields = dict(fields or {})
        self.where = where
        self.optional = optional
        self.preload = preload
        self.framework = framework
        self.events = dict(events or {})

    @property
    def function(self) -> str:
        """The function as targets name it: ``skillshelf.shelf:Shelf.deploy``."""
        return f"{self.module}:{self.qualname}"

    def __repr__(self) -> str:
        return f"Target({self.function!r}, {self.event!r})"


def has_targets(table: Mapping[str, Any]) -> bool:
    """Return whether a settings file has tables of targets, or what may be meant as one."""
    return any(name in _TABLES or _meant(name) for name in table)


def _meant(name: str) -> str:
    """Return which table of targets a name that is none of a settings file's tables may mean."""
    if name in _TABLES or name[:1] not in "tf":
        return ""
    # Imported here: only a mistake needs it.
    import difflib

    return next(iter(difflib.get_close_matches(name, _TABLES, 1, 0.7)), "")


def targets_of(table: Mapping[str, Any], where: str, faults: list[str]) -> list[Target]:
    """Return the targets of one settings file: its tables ``[track]`` and ``[[targets]]``.

    Args:
        table: The whole file.
        where: The file, for messages.
        faults: Takes one sentence for each fault. A target with a fault is left out, the others are returned.
    """
    faults.extend(
        f"{where}: {name}: unknown table; did you mean {meant!r}?" for name in table if (meant := _meant(name))
    )
    found = list(_short(table.get("track"), where, faults))
    given = table.get("targets", [])
    if not isinstance(given, list | tuple):
        faults.append(f"{where}: targets: expected an array of tables, [[targets]], found {_kind(given)}")
        given = []
    shared = _shared(table.get("fields"), where, faults)
    for number, entry in enumerate(given, 1):
        found.extend(targets_from(entry, f"{where}: targets[{number}]", faults, shared))
    return list(once_each(found, faults))


def targets_from(
    entry: object, where: str, faults: list[str], shared: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Target]:
    """Return the targets of one table of ``[[targets]]``: one for each function that it names.

    Args:
        entry: The table.
        where: Its place, for messages.
        faults: Takes one sentence for each fault.
        shared: Fields that targets may take over by name, with ``use``.
    """
    if not isinstance(entry, Mapping):
        faults.append(f"{where}: expected a table, found {_kind(entry)}")
        return []
    before = len(faults)
    named = [key for key in ("function", *FRAMEWORKS) if key in entry]
    if len(named) != 1:
        what = "names nothing to record" if not named else f"names {' and '.join(named)}"
        faults.append(f"{where}: {what}; expected one of function, {', '.join(FRAMEWORKS)}")
    functions = list(_functions(entry[named[0]], f"{where}.{named[0]}", faults)) if named else []
    table = where
    if functions:
        where = f"{table} ({functions[0]})"
    framework = named[0] if named and named[0] != "function" else ""
    event = _event(entry, framework, where, faults)
    faults.extend(_faults_of_keys(entry, where))
    fields = _fields(entry, shared or {}, where, faults)
    if len(faults) > before:
        return []
    return [
        Target(
            function,
            event,
            fields,
            where=f"{table} ({function})",
            optional=bool(entry.get("optional")),
            preload=bool(entry.get("preload")),
            framework=framework,
            events=entry.get("events"),
        )
        for function in functions
    ]


def _short(table: object, where: str, faults: list[str]) -> Iterator[Target]:
    """Yield the targets of the table ``[track]``: an event type, and the function or functions that it is."""
    if table is None:
        return
    if not isinstance(table, Mapping):
        faults.append(f"{where}: track: expected a table of event types, found {_kind(table)}")
        return
    for event, functions in table.items():
        place = f"{where}: track.{event}"
        if not _is_name(event):
            faults.append(f"{place}: expected the name of an event type, such as deploy, before the function")
            continue
        for function in _functions(functions, place, faults):
            yield Target(function, event, where=f"{place} ({function})")


def _shared(table: object, where: str, faults: list[str]) -> dict[str, Mapping[str, Any]]:
    """Return the tables ``[fields.NAME]``: fields that several targets have in common."""
    if table is None:
        return {}
    if not isinstance(table, Mapping):
        faults.append(f"{where}: fields: expected tables, [fields.NAME], found {_kind(table)}")
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    for name, fields in table.items():
        place = f"{where}: fields.{name}"
        if not isinstance(fields, Mapping):
            faults.append(f"{place}: expected a table of fields, found {_kind(fields)}")
            continue
        faults.extend(_faults_of_keys(fields, place, FIELDS))
        found[name] = fields
    return found


def _fields(
    entry: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]], where: str, faults: list[str]
) -> dict[str, Any]:
    """Return a target's fields: those that it takes over, the first name's first, beneath its own."""
    used = entry.get("use", [])
    fields = {key: value for key, value in entry.items() if key in FIELDS}
    for name in used if isinstance(used, list | tuple) else [used]:
        if not isinstance(name, str) or name not in shared:
            known = f"there are {', '.join(shared)}" if shared else "there is no table [fields.NAME]"
            faults.append(f"{where}: use: no fields of the name {name!r}; {known}")
            continue
        for key, value in shared[name].items():
            mine = fields.setdefault(key, value)
            if mine is not value and key == "metadata" and isinstance(mine, Mapping) and isinstance(value, Mapping):
                # A table of keys of its own: both have something to say.
                fields[key] = {**value, **mine}
    return fields


def _functions(value: object, where: str, faults: list[str]) -> Iterator[str]:
    given = value if isinstance(value, list | tuple) else [value]
    if not given:
        faults.append(f"{where}: names no function")
    for function in given:
        if isinstance(function, str) and is_function(function):
            yield function
        else:
            faults.append(f"{where}: {_advice(function)}")


def is_function(value: object) -> bool:
    """Return whether a value names a function: a module, a colon, and the function's place in it."""
    if not isinstance(value, str):
        return False
    module, colon, qualname = value.partition(":")
    return bool(colon) and all(part.isidentifier() for text in (module, qualname) for part in text.split("."))


def _advice(function: object) -> str:
    expected = "expected module:function, such as 'tool.core:deploy' or 'tool.core:Shelf.deploy'"
    if not isinstance(function, str):
        return f"{expected}, found {_kind(function)}"
    module, dot, name = function.rpartition(".")
    if dot and ":" not in function and is_function(f"{module}:{name}"):
        return f"{expected}, found {function!r}; did you mean {f'{module}:{name}'!r}?"
    return f"{expected}, found {function!r}"


def _event(entry: Mapping[str, Any], framework: str, where: str, faults: list[str]) -> str | Mapping[str, str]:
    event = entry.get("event")
    if framework:
        if event is not None:
            faults.append(f"{where}: event: the commands' names say it; map others by events = {{ name = 'event' }}")
        events = entry.get("events", {})
        if not isinstance(events, Mapping) or not all(isinstance(value, str) for value in events.values()):
            faults.append(f"{where}: events: expected a table of names and event types")
        return ""
    if "events" in entry:
        faults.append(f"{where}: events: only for {', '.join(FRAMEWORKS)}")
    if isinstance(event, Mapping) and event and all(_is_name(value) for value in event.values()):
        return dict(event)
    if _is_name(event):
        return str(event)
    said = "is missing" if event is None else f"is {event!r}" if isinstance(event, str) else f"is {_kind(event)}"
    faults.append(f"{where}: event: {said}; expected the name of an event type, such as 'deploy'")
    return ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not value.startswith("$")


def _faults_of_keys(entry: Mapping[str, Any], where: str, known: Sequence[str] = _KEYS) -> Iterator[str]:
    for key, value in entry.items():
        if key not in known:
            # Imported here: only a mistake needs it.
            import difflib

            near = difflib.get_close_matches(str(key), known, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            yield f"{where}: {key}: unknown field; {meant}"
        elif key in _FLAGS and not isinstance(value, bool):
            yield f"{where}: {key}: expected true or false, found {value!r:.60}"
    within = entry.get("skip_within", ())
    if not isinstance(within, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in within):
        yield f"{where}: skip_within: expected a list of event types, such as ['add'], found {within!r:.60}"
    metadata = entry.get("metadata", {})
    if not (isinstance(metadata, Mapping) or callable(metadata) or str(metadata).startswith("$")):
        yield f"{where}: metadata: expected a table, or a selector that gives one, found {_kind(metadata)}"


def once_each(targets: Iterable[Target], faults: list[str]) -> Iterator[Target]:
    """Yield the targets whose function no other before them names: of two, nobody could say which is meant."""
    first: dict[str, str] = {}
    for target in targets:
        if target.function in first:
            faults.append(f"{target.where}: two targets on one function; the other one is {first[target.function]}")
            continue
        first[target.function] = target.where
        yield target


def _kind(value: object) -> str:
    names = {dict: "a table", list: "an array", str: "a text", bool: "true or false", int: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
