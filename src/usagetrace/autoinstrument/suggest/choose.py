"""Which candidates are proposed: few good ones before many poor ones, and nothing twice down a chain of calls."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from usagetrace.autoinstrument.suggest.artifacts import Artifact, artifact_of
from usagetrace.autoinstrument.suggest.calls import Index
from usagetrace.autoinstrument.suggest.details import fields_of
from usagetrace.autoinstrument.suggest.model import Candidate, Function, Proposal
from usagetrace.autoinstrument.suggest.rank import in_command_module

# Proposals of a default run: these, and one more for so many functions of the package, up to the most.
_FEWEST: Final = 20
_FUNCTIONS_A_PROPOSAL: Final = 60
_MOST: Final = 45
# What ranks lower is only shown with all the others.
_LEAST: Final = 2.4
# How much each further function of one module and one operation is lowered, and how much at most.
_ALIKE: Final = 0.35
_MOST_ALIKE: Final = 1.0
# Implementations of one method in sister classes that are named besides the first.
_SISTERS: Final = 2


def usual_limit(index: Index) -> int:
    """Return how many proposals a package of this size gets by default."""
    return min(_MOST, _FEWEST + len(index.functions) // _FUNCTIONS_A_PROPOSAL)


def choose(found: list[Candidate], index: Index, limit: int | None) -> tuple[list[Proposal], int]:
    """Return the proposals, the best first, and the number of candidates that are left out.

    Args:
        found: The candidates.
        index: The package.
        limit: Most proposals; None for every candidate.
    """
    artifacts = {id(candidate): artifact_of(candidate.function, index, candidate.event) for candidate in found}
    for candidate in found:
        artifact = artifacts[id(candidate)]
        candidate.reasons["artifact"] = 1.0 * artifact.sure if artifact is not None else -0.5
    _lower_doubles(found, index, artifacts)
    for candidate in found:
        candidate.score = sum(candidate.reasons.values())
    ranked = sorted(found, key=lambda one: (-one.score, one.function.target))
    kept = ranked if limit is None else _best(ranked, index, limit)
    return [_proposal(candidate, artifacts[id(candidate)], index) for candidate in kept], len(found) - len(kept)


def _lower_doubles(found: list[Candidate], index: Index, artifacts: dict[int, Artifact | None]) -> None:
    """Lower, of two functions of which one only calls the other for the same operation, the one that tells less."""
    by_function = {candidate.function: candidate for candidate in found}
    for outer in found:
        for callee in index.callees[outer.function]:
            inner = by_function.get(callee)
            if inner is None or inner.event != outer.event or outer.function in index.callees[callee]:
                continue
            one, other = artifacts[id(outer)], artifacts[id(inner)]
            ahead = (other.sure if other else 0.0) - (one.sure if one else 0.0)
            # A command's handler speaks of options; the function that it hands them to, of things.
            if outer.function.handled and ahead > -0.2 and _hands_on(outer.function, callee):
                outer.reasons["its inner one tells more"] = -2.5
            elif callee.name.startswith("_") and callee.owner is outer.function.owner is not None:
                inner.reasons["inside its outer one"] = -2.0
            elif callee.name in {name.rpartition(".")[2] for name in outer.function.facts.looped}:
                inner.reasons["one of many"] = 0.4
            elif index.callers[callee] == {outer.function} and not (one and one.each):
                inner.reasons["part of its outer one"] = -0.6


def _hands_on(handler: Function, inner: Function) -> bool:
    """Return whether a command's handler leaves its work to a function, and does not merely use it."""
    if inner.name.startswith("_"):
        return False
    nearby = {function.module.source.module.rpartition(".")[0] for function in (handler, inner)}
    beneath = in_command_module(inner)
    shared = {one.name for one in handler.parameters} & {one.name for one in inner.parameters}
    return len(nearby) == 1 or beneath or bool(shared)


def _best(ranked: list[Candidate], index: Index, limit: int) -> list[Candidate]:
    """Return the best, each kind of family once for the limit, and the same operation of one module lowered in turn."""
    alike: dict[tuple[str, str], int] = defaultdict(int)
    good = {candidate.function for candidate in ranked if candidate.score >= _LEAST}
    for candidate in ranked:
        place = (candidate.function.module.source.module, candidate.event)
        candidate.score -= min(_ALIKE * alike[place], _MOST_ALIKE)
        alike[place] += 1
    kept: list[Candidate] = []
    families: dict[object, int] = defaultdict(int)
    slots = 0
    for candidate in sorted(ranked, key=lambda one: (-one.score, one.function.target)):
        family = _family(candidate, index)
        is_sister = families[family] > 0
        if is_sister and families[family] > _SISTERS:
            continue
        if not is_sister and (candidate.function not in good or slots >= limit):
            continue
        families[family] += 1
        kept.append(candidate)
        slots += not is_sister
    return kept


def _family(candidate: Candidate, index: Index) -> object:
    """Return what the same methods of sister classes have in common; for any other function, the function."""
    function = candidate.function
    if function.owner is None or candidate.told_by != "name":
        return function
    *_, root = index.lineage(function.owner)
    if root is not function.owner:
        return (root.module.source.module, root.qualname, function.name)
    # Backends without a common base: sister modules, the same method, the same parameters.
    names = tuple(parameter.name for parameter in function.parameters)
    return (function.module.source.module.rpartition(".")[0], function.name, names)


def _proposal(candidate: Candidate, artifact: Artifact | None, index: Index) -> Proposal:
    function = candidate.function
    fields, unsure = fields_of(function, candidate.event, artifact, index)
    hiding = index.hidden_by(function) if fields and not function.within else ""
    if hiding:
        fields, unsure = {}, (*unsure, f"{hiding} hides its parameters")
    if function.command == "typer":
        unsure = (*unsure, "typer keeps the function it was given; `typer` in place of `function` follows it")
    elif function.command and not function.within:
        unsure = (*unsure, f"whether {function.command} leaves a function")
    return Proposal(
        function.target,
        candidate.event,
        fields,
        unsure,
        function.place,
        round(candidate.score, 2),
        artifact.sure if artifact is not None else 0.0,
    )
