"""Where the artifact of a call is found: among a function's parameters, on the object, in the result.

The answer is a selector and how sure it is. Names decide first, then annotations, then what the body reads of a name.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Final

from usagetrace.autoinstrument.suggest.calls import Index, named
from usagetrace.autoinstrument.suggest.model import Class, Function, Module, Parameter
from usagetrace.autoinstrument.suggest.words import (
    ARTIFACTS,
    COLLECTIONS,
    HOW,
    KINDS,
    NAMES,
    OPTIONS,
    SURE,
    TYPES,
    singular,
)
from usagetrace.autoinstrument.verbs import words_of
from usagetrace.track.conventions import FIELDS

_CONVENTIONAL: Final = frozenset(FIELDS["artifact_name"].parameters) | {f"{kind}_name" for kind in KINDS}
_TEXTS: Final = frozenset({"str", "int", "bytes", "Path", "PurePath", "PathLike", "StrPath", "AnyStr", "float", "UUID"})
_MANY: Final = frozenset({
    "list", "List", "Sequence", "Iterable", "Iterator", "set", "Set", "tuple", "Tuple", "Collection", "frozenset",
    "MutableSequence", "AbstractSet", "Generator", "AsyncIterator", "AsyncIterable",
})  # fmt: skip
_MAPPINGS: Final = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})
# Place of the last of NAMES that hardly means anything else.
_SURE_NAMES: Final = NAMES.index("title")
_SUFFIXES: Final = frozenset({"name", "id", "ref", "key", "path", "url", "spec", "file", "slug", "title", "uid"})


@dataclass(frozen=True, slots=True)
class Artifact:
    """Where the artifact of a call is found.

    Attributes:
        name: Selector of its name; None where conventions find it.
        type: Selector, or the kind itself; None where nothing tells it or conventions find it.
        each: Selector of all of them, where a call touches several.
        sure: 0 to 1.
        why: What is unsure about it.
    """

    name: str | None
    type: str | None = None
    each: str | None = None
    sure: float = 1.0
    why: str = ""


def artifact_of(function: Function, index: Index, event: str = "") -> Artifact | None:
    """Return where a call's artifact is found; None where nothing tells it.

    Args:
        function: The function.
        index: Its package.
        event: The operation; a search finds its artifacts in its result.
    """
    if event == "search":
        found = _of_result(function, index)
        if found is not None:
            return found
    given = function.parameters
    if any(parameter.name in _CONVENTIONAL for parameter in given):
        return Artifact(None)
    best: Artifact | None = None
    for position, parameter in enumerate(given):
        if parameter.keywords or parameter.flag or parameter.name in OPTIONS:
            continue
        found = _of_parameter(function, parameter, index)
        if found is not None:
            # What an operation is about comes first; what follows says how.
            found = replace(found, sure=found.sure - 0.06 * position + _named_in(function, parameter))
        if found is not None and (best is None or found.sure > best.sure + 0.01):
            best = found
    if best is None or best.sure < 0.6:
        for own in (_of_self(function, index), _of_options(function)):
            best = own if own is not None and (best is None or own.sure > best.sure) else best
    return best


def _named_in(function: Function, parameter: Parameter) -> float:
    """Return what it adds that the function's own name speaks of the parameter: `sync_collection(collection)`."""
    words = words_of(function.name)
    return 0.2 if any(word in words or (singular(word) or "") in words for word in words_of(parameter.name)) else 0.0


def _of_options(function: Function) -> Artifact | None:
    """Return what a command's handler reads of the object that carries its options and arguments."""
    names = {parameter.name: parameter for parameter in function.parameters}
    for holder in (*(name for name in OPTIONS if name in names), "self.args", "self.options"):
        read = function.facts.uses.get(holder, set())
        for word in sorted(read, key=lambda name: (NAMES.index(name) if name in NAMES else len(NAMES), name)):
            single = singular(word)
            if word in SURE or (word == "name" and holder in names):
                return Artifact(f"${holder}.{word}", ARTIFACTS.get(word) or None, None, 0.5)
            if single in SURE or word in ("targets", "paths", "names"):
                kind = ARTIFACTS.get(single or "", "") or None
                return Artifact("$item", kind, f"${holder}.{word}", 0.5)
    parameter = names.get("args")
    if parameter is not None and not parameter.many and _is_many(parameter):
        return Artifact("$item", None, "$args", 0.4, "what the command's arguments are")
    return None


def _of_parameter(function: Function, parameter: Parameter, index: Index) -> Artifact | None:
    words = words_of(parameter.name)
    if not words or (words[0] in HOW and len(words) > 1):
        return None
    many = _is_many(parameter)
    if words[-1] == "list" and len(words) > 1:
        words, many = words[:-1], True
    last = words[-1]
    single = singular(last)
    if last not in ARTIFACTS and last not in _SUFFIXES and (single in ARTIFACTS or single in _SUFFIXES) and single:
        last, many = single, many or parameter.annotation is None
    if len(words) > 1 and last in _SUFFIXES and _noun(words[:-1]) is not None:
        # `tag_name`, `kernel_id`: the word before says what it is.
        kind = ARTIFACTS.get(_noun(words[:-1]) or "", "")
        sure = 0.85 if last in ("name", "id", "ref", "slug", "title", "names") else 0.6
        return _found(function, parameter, index, kind, many, sure)
    if last in ("dir", "folder", "directory") and len(words) > 1 and _noun(words[:-1]) is not None and not many:
        # Where each artifact has a folder of its own, the folder is called like it.
        kind = ARTIFACTS.get(_noun(words[:-1]) or "", "")
        if "Path" in {name.rpartition(".")[2] for name in named(parameter.annotation)}:
            return Artifact(f"${parameter.name}.name", kind or None, None, 0.65)
    if (last == "name" and len(words) > 1) or last == "names":
        return _found(function, parameter, index, "", many, 0.5)
    if last not in ARTIFACTS:
        owner = index.class_of(parameter.annotation, function.written_in)
        if owner is None or last in COLLECTIONS or _name_of_class(owner, index) is None:
            return None
        return _found(function, parameter, index, "", many, 0.4)
    sure = (0.9 if last in SURE else 0.55) - (0.15 if len(words) > 1 else 0.0)
    return _found(function, parameter, index, ARTIFACTS[last], many, sure)


def _noun(words: tuple[str, ...]) -> str | None:
    word = words[-1]
    single = singular(word)
    return word if word in ARTIFACTS else single if single in ARTIFACTS else None


def _found(
    function: Function, parameter: Parameter, index: Index, kind: str, many: bool, sure: float
) -> Artifact | None:
    root = "item" if many else parameter.name
    each = f"${parameter.name}" if many else None
    owner = index.class_of(parameter.annotation, function.written_in)
    if owner is not None:
        name = _name_of_class(owner, index)
        kind = kind or _kind_of_class(owner)
        if name is None:
            return Artifact(f"${root}", kind or None, each, sure - 0.15, f"how a {owner.name} is named")
        told = _type_of_class(owner, index)
        return Artifact(f"${root}.{name}", f"${root}.{told}" if told else kind or None, each, sure + 0.05)
    names = {name.rpartition(".")[2] for name in named(parameter.annotation)}
    if names & _TEXTS or (words_of(parameter.name)[-1] in _SUFFIXES and not names):
        return Artifact(f"${root}", kind or None, each, sure)
    if many and names - _MANY - {"Any"}:
        return Artifact(f"${root}.name | ${root}", kind or None, each, sure - 0.05, "how its members are named")
    return _unannotated(function, parameter, root, each, kind, sure, known=bool(names))


def _unannotated(
    function: Function, parameter: Parameter, root: str, each: str | None, kind: str, sure: float, *, known: bool
) -> Artifact | None:
    """Return what is found of a parameter by what the body reads of it."""
    read = function.facts.uses.get(parameter.name, set())
    name = next((name for name in NAMES if name in read), None) if each is None else None
    told = next((name for name in TYPES if name in read), None) if each is None else None
    type_ = f"${root}.{told}" if told else kind or None
    if name is not None:
        return Artifact(f"${root}.{name}", type_, each, sure)
    if known or read:
        return Artifact(f"${root}.name | ${root}", type_, each, sure - 0.1, f"what names {root}")
    return Artifact(f"${root}", type_, each, sure - 0.05)


def _is_many(parameter: Parameter) -> bool:
    if parameter.many:
        return True
    outer = next(iter(named(parameter.annotation)), "").rpartition(".")[2]
    if isinstance(parameter.annotation, ast.BinOp):
        return any(name.rpartition(".")[2] in _MANY for name in named(parameter.annotation.left))
    if outer == "Optional":
        inner = list(named(parameter.annotation))[1:2]
        return bool(inner) and inner[0].rpartition(".")[2] in _MANY
    return outer in _MANY


def _name_of_class(owner: Class, index: Index) -> str | None:
    fields = index.fields(owner)
    found = next((name for name in NAMES if name in fields), None)
    if found is None or NAMES.index(found) > _SURE_NAMES:
        read = index.read_of(owner)
        found = next((name for name in NAMES if name in read and (name != "path" or found is None)), found)
    return found


def _type_of_class(owner: Class, index: Index) -> str | None:
    fields = {*index.fields(owner), *index.read_of(owner)}
    return next((name for name in TYPES if name in fields), None)


def _kind_of_class(owner: Class) -> str:
    words = words_of(owner.name)
    noun = _noun(words) if words else None
    return ARTIFACTS.get(noun, "") if noun else ""


def _of_self(function: Function, index: Index) -> Artifact | None:
    """Return what the object itself tells: its own name, or that of an artifact it holds."""
    owner = function.owner
    if owner is None or function.first != "self":
        return None
    fields = index.fields(owner)
    kind = _kind_of_class(owner) or None
    is_command = any("command" in kind.name.lower() for kind in index.lineage(owner))
    # A command's name and summary are its own, not those of what it works on.
    name = None if is_command else next((name for name in NAMES if name in fields), None)
    if name is not None:
        told = _type_of_class(owner, index)
        sure = 0.7 if name in ("name", "ident", "canonical_name", "ref", "identifier", "slug", "title") else 0.45
        return Artifact(f"$self.{name}", f"$self.{told}" if told else kind, None, sure)
    for field, (annotation, module) in fields.items():
        if field.lstrip("_") in ARTIFACTS and field.lstrip("_") in SURE:
            return _held(field, annotation, module, index)
    return None


def _held(field: str, annotation: ast.expr | None, module: Module, index: Index) -> Artifact:
    held = index.class_of(annotation, module)
    name = _name_of_class(held, index) if held is not None else None
    kind = ARTIFACTS[field.lstrip("_")] or None
    if name is not None:
        return Artifact(f"$self.{field}.{name}", kind, None, 0.55)
    return Artifact(f"$self.{field}.name | $self.{field}", kind, None, 0.45, f"what names {field}")


def _of_result(function: Function, index: Index) -> Artifact | None:
    """Return what a search's result tells; conventions find a list's items where these are texts or have a name."""
    returned = function.node.returns
    names = [name.rpartition(".")[2] for name in named(returned)]
    if names and names[0] in _MANY | {"Optional"} and len(names) > 1:
        owner = index.class_of(returned, function.written_in)
        if owner is None:
            return Artifact(None) if set(names) & _TEXTS else Artifact(None, sure=0.6, why="how what it finds is named")
        return _items_of(owner, index, "$result")
    owner = index.class_of(returned, function.written_in) if names and names[0] not in _MAPPINGS else None
    if owner is not None and names and owner.name == names[0]:
        for field, (annotation, module) in index.fields(owner).items():
            if field in ("matches", "results", "hits", "items"):
                member = index.class_of(annotation, module)
                return Artifact(None) if member is None else _items_of(member, index, f"$result.{field}")
        return None
    if any(isinstance(value, ast.ListComp | ast.List) for value in function.facts.returns):
        return Artifact(None, sure=0.6, why="how what it finds is named")
    return None


def _items_of(owner: Class, index: Index, each: str) -> Artifact:
    name = _name_of_class(owner, index)
    told = _type_of_class(owner, index)
    kind = f"$item.{told}" if told else _kind_of_class(owner) or None
    if name in ("name", "artifact_name") and (told or not kind):
        return Artifact(None)
    if name is None:
        return Artifact("$item.name | $item", kind, each, 0.6, f"how a {owner.name} is named")
    return Artifact(f"$item.{name}", kind, each)
