"""What a target says beyond its artifact: collection, project, metadata, outcome, rehearsals.

Only what names and annotations tell is proposed; what conventions of `track` find by themselves is left to them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, Final

from usagetrace.autoinstrument.suggest.artifacts import Artifact
from usagetrace.autoinstrument.suggest.calls import Index, named
from usagetrace.autoinstrument.suggest.facts import dotted
from usagetrace.autoinstrument.suggest.model import Class, Function
from usagetrace.autoinstrument.suggest.words import (
    COLLECTIONS,
    OPTIONS,
    PROJECTS,
    QUERIES,
    REHEARSALS,
    WENT_WELL,
    WENT_WRONG,
)
from usagetrace.track.conventions import FIELDS, METADATA

# Names of constants that stand for a command's exit code.
_CODES: Final = ("SUCCESS", "ERROR", "FAILURE", "OK", "EXIT_SUCCESS", "EXIT_FAILURE", "EXIT_OK")


def fields_of(
    function: Function, event: str, artifact: Artifact | None, index: Index
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields of a target beyond what conventions find, and what is unsure, one clause each.

    Args:
        function: The function.
        event: The operation.
        artifact: Where its artifact is found.
        index: Its package.
    """
    fields: dict[str, Any] = {}
    unsure = []
    if artifact is None:
        unsure.append("nothing names the artifact")
    else:
        told = {"each": artifact.each, "artifact_name": artifact.name, "artifact_type": artifact.type}
        fields.update({key: value for key, value in told.items() if value})
        if artifact.why:
            unsure.append(artifact.why)
    fields.update(_places(function, index, fields.get("artifact_name", "")))
    outcome, doubt = _outcome(function, index)
    if outcome is not None:
        fields["outcome"] = outcome
    if doubt:
        unsure.append(doubt)
    rehearsal = _rehearsal(function, index)
    if rehearsal:
        fields["skip_if"] = rehearsal
    metadata = dict(_metadata(function, event, index))
    if metadata:
        fields["metadata"] = metadata
    return fields, tuple(unsure)


def _places(function: Function, index: Index, artifact: str) -> Iterator[tuple[str, str]]:
    """Yield the collection and the project, where parameters tell them that conventions do not know."""
    names = {parameter.name: parameter for parameter in function.parameters}
    for field, words in (("collection_name", COLLECTIONS), ("project_path", PROJECTS)):
        if any(name in FIELDS[field].parameters for name in names):
            continue
        for name, parameter in names.items():
            if name not in words or artifact.startswith(f"${name}"):
                continue
            owner = index.class_of(parameter.annotation, function.written_in)
            attribute = "name" if field == "collection_name" else "path"
            if owner is None or attribute in index.fields(owner):
                yield field, f"${name}" if owner is None else f"${name}.{attribute}"
                break


def _metadata(function: Function, event: str, index: Index) -> Iterator[tuple[str, str]]:
    names = [parameter.name for parameter in function.parameters]
    known = METADATA.get(event, ())
    if event == "search" and "query" not in names:
        query = next((name for name in QUERIES if name in names), None)
        if query:
            yield "query", f"${query}"
    if "version" in known and "version" not in names:
        for parameter in function.parameters:
            owner = index.class_of(parameter.annotation, function.written_in)
            if owner is not None and "version" in index.fields(owner) and len(list(named(parameter.annotation))) == 1:
                yield "version", f"${parameter.name}.version"
                return


def _rehearsal(function: Function, index: Index) -> str | None:
    """Return the condition under which a call only rehearses."""
    names = {parameter.name for parameter in function.parameters}
    for word in REHEARSALS:
        if word in names:
            return f"${word}"
    for holder in (*(name for name in OPTIONS if name in names), "self", "self.options", "self.args"):
        for word in REHEARSALS:
            if word in function.facts.uses.get(holder, ()) and not _is_method(function, holder, word, index):
                return f"${holder}.{word}"
    return None


def _is_method(function: Function, holder: str, word: str, index: Index) -> bool:
    return holder == "self" and function.owner is not None and index.method(function.owner, word) is not None


def _outcome(function: Function, index: Index) -> tuple[Any, str]:
    """Return what says how a call ended where it does not raise, and what is unsure about that."""
    returned = list(named(function.node.returns))
    owner = index.class_of(function.node.returns, function.written_in)
    if owner is not None and returned and owner.name == returned[0].rpartition(".")[2]:
        return _outcome_of_class(owner, index)
    values = function.facts.returns
    if not values:
        return None, ""
    truths = {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, bool)}
    if truths == {True, False} or (truths and returned == ["bool"]):
        return "$result", "whether False means failure"
    if _gives_code(values, returned):
        return {"$result": "error"}, "whether what it returns is an exit code"
    keys = _keys_returned(values)
    for key in (*WENT_WELL, *WENT_WRONG):
        if key in keys:
            return (f"$result.{key}" if key in WENT_WELL else {f"$result.{key}": "error"}), ""
    return None, ""


def _outcome_of_class(owner: Class, index: Index) -> tuple[Any, str]:
    fields = {**index.fields(owner)}
    for name in WENT_WELL:
        if name in fields:
            return f"$result.{name}", ""
    for name in WENT_WRONG:
        if name in fields:
            return {f"$result.{name}": "error"}, ""
    return None, ""


def _gives_code(values: list[ast.expr], returned: list[str]) -> bool:
    """Return whether a function returns an exit code: 0 and 1, or constants that are named like it."""
    numbers = {value.value for value in values if isinstance(value, ast.Constant) and type(value.value) is int}
    words = {dotted(value).rpartition(".")[2] for value in values}
    if words & set(_CODES):
        return True
    return returned in ([], ["int"]) and (
        numbers == {0, 1} or (numbers == {1} and len(values) > 1 and returned == ["int"])
    )


def _keys_returned(values: list[ast.expr]) -> set[str]:
    return {
        key.value
        for value in values
        if isinstance(value, ast.Dict)
        for key in value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
