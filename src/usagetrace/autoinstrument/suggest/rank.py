"""Which functions tell an operation by their name, and how likely their author would want to see each.

Scores are sums of signals; only their order matters. The weights were set on a dozen programs from the package index by
what a careful author of each would instrument.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from usagetrace.autoinstrument.suggest.calls import Index, named
from usagetrace.autoinstrument.suggest.model import Candidate, Function
from usagetrace.autoinstrument.suggest.words import singular
from usagetrace.autoinstrument.verbs import NOT_DOING, NOUN_ENDS, operation_of, verbs_of, words_of

# Functions that do what their class or module is named after.
ENTRIES: Final = frozenset({
    "run", "main", "execute", "call", "__call__", "handle", "callback", "cli", "start", "do", "perform", "process",
    "action", "invoke", "func", "command", "cmd", "entry", "_run_impl", "_run", "_execute", "run_impl", "do_run",
})  # fmt: skip
# Folders and modules whose functions are a command line's.
_COMMAND_MODULES: Final = frozenset({"commands", "command", "cli", "subcommands", "cmd", "console", "actions"})
# Words of classes that keep artifacts: their `add`, `update` and `remove` are operations.
_STORES: Final = frozenset({
    "database", "db", "store", "storage", "repository", "repo", "manager", "registry", "library", "catalog", "client",
    "service", "api", "backend", "installer", "uninstaller", "deployer", "publisher", "uploader", "updater", "remover",
    "shelf", "vault", "collection", "workspace", "project", "action", "book", "list", "provider", "session",
})  # fmt: skip
# Words of classes and modules in which verbs speak of a program's own insides.
_INSIDES: Final = frozenset({
    "parser", "formatter", "widget", "widgets", "dialog", "option", "options", "completer", "completion", "visitor",
    "transformer", "validator", "encoder", "decoder", "mixin", "config", "configuration", "settings", "logger",
    "logging", "log", "util", "utils", "helper", "helpers", "compat", "tui", "ui", "output", "progress", "spinner",
    "html", "exceptions", "errors", "types", "hooks", "plugin", "plugins", "lexer", "serializer", "deprecation",
    "paths", "path", "filesystem", "terminal", "colors", "misc", "ast", "graph", "tree", "trie", "status", "web",
    "format", "models", "version", "constants", "env", "environment", "process", "signal", "test", "mock", "info",
})  # fmt: skip
# Commands that call one function: what they have in common.
_HUB: Final = 4
# Words before a verb that add nothing to it: `run_update`, `cmd_add`.
_DOING: Final = frozenset({"run", "do", "cmd", "command", "cli", "handle", "perform", "execute", "exec", "action"})
# Words of commands that show one thing that was asked for: a search, where a command line calls the function.
_READS: Final = frozenset({"get", "show", "info", "view", "inspect", "versions"})
# Classes with one base that make a family of operations.
_FAMILY: Final = 3
# What is added, set or removed where no artifact is meant.
_NO_ARTIFACTS: Final = frozenset({
    "argument", "arguments", "option", "options", "parser", "subparser", "arg", "args", "hook", "hooks", "handler",
    "listener", "callback", "logger", "filter", "header", "headers", "flag", "env", "attr", "attribute", "attributes",
    "style", "line", "lines", "text", "string", "char", "node", "nodes", "token", "cursor", "widget", "color", "lock",
    "context", "state", "config", "settings", "setting", "warning", "warnings", "error", "message", "signal", "tmp",
    "temp", "timeout", "connection", "prefix", "suffix", "whitespace", "comment", "comments", "default", "defaults",
    "key", "value", "param", "params", "parameter", "parameters", "field", "fields", "schema", "table", "tables",
    "column", "row", "cache", "output", "log", "logs", "method", "duplicates", "children", "child", "parent", "edge",
    "level", "position", "index", "property", "type", "types", "command", "commands", "function", "variable", "quotes",
    "mode", "count", "size", "progress", "time", "help", "path", "paths", "dir", "metadata",
})  # fmt: skip
_CONTAINER_METHODS: Final = frozenset({
    "add", "update", "remove", "clear", "insert", "append", "copy", "set", "find", "filter", "discard", "merge", "move",
    "replace", "list", "create", "new", "apply", "link", "reset", "lookup", "delete", "query", "push", "pull", "save",
})  # fmt: skip


def candidates(index: Index) -> list[Candidate]:
    """Return every function whose name tells an operation, with its score, the best first.

    Args:
        index: The package.
    """
    private = sum(_in_private_module(function) for function in index.functions)
    hidden = private * 2 < len(index.functions)
    found = []
    seen: set[str] = set()
    for function in index.functions:
        candidate = _told(function)
        # Of two definitions for two platforms, one target is enough.
        if candidate is not None and function.target not in seen:
            seen.add(function.target)
            candidate.reasons.update(_signals(candidate, index, hidden))
            candidate.score = sum(candidate.reasons.values())
            found.append(candidate)
    _raise_families(found, index)
    found += list(_finders(found, index))
    return sorted(found, key=lambda one: (-one.score, one.function.target))


def _raise_families(found: list[Candidate], index: Index) -> None:
    """Raise entries of classes that share a base with others like them: `Upload`, `Update`, `Delete` of `Action`."""
    families: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in found:
        owner = candidate.function.owner
        if candidate.told_by == "class" and owner is not None:
            for base in owner.bases:
                families[base.rpartition(".")[2]].append(candidate)
    for family in families.values():
        if len(family) >= _FAMILY:
            for candidate in family:
                candidate.reasons["one of a family"] = 0.8
                candidate.score = sum(candidate.reasons.values())


def _finders(found: list[Candidate], index: Index) -> Iterator[Candidate]:
    """Yield the functions that find what a search only shows: its own result says nothing, theirs does."""
    known = {candidate.function: candidate for candidate in found}
    for candidate in list(found):
        function = candidate.function
        if candidate.event != "search" or any(not isinstance(value, ast.Constant) for value in function.facts.returns):
            continue
        names = {parameter.name for parameter in function.parameters}
        for callee in sorted(index.callees[function], key=lambda one: one.target):
            shared = names & {parameter.name for parameter in callee.parameters}
            words = words_of(callee.name)
            if not shared or not gives_many(callee) or callee.name.startswith("_") or words[0] in NOT_DOING:
                continue
            if callee not in known:
                finder = known[callee] = Candidate(callee, "search", "caller")
                finder.reasons["caller"] = candidate.score - 0.3
                finder.score = candidate.score - 0.3
                yield finder
            elif known[callee].event == "search" and known[callee].told_by == "name":
                known[callee].reasons["shown by a search"] = 0.8


def gives_many(function: Function) -> bool:
    """Return whether a function returns several things, by its annotation, its name or its text."""
    outer = next(iter(named(function.node.returns)), "").rpartition(".")[2].lower()
    if outer:
        return outer in ("list", "sequence", "iterable", "iterator", "dict", "mapping", "generator", "set", "tuple")
    words = words_of(function.name)
    plural = bool(words) and singular(words[0]) is not None
    lists = any(isinstance(value, ast.ListComp | ast.List) for value in function.facts.returns)
    return bool(function.facts.returns) and (plural or lists)


def _told(function: Function) -> Candidate | None:
    """Return a function as a candidate, where a name tells an operation: its own, else its class's or module's."""
    name = function.name
    if function.facts.abstract or (name.startswith("__") and name != "__call__"):
        return None
    if name in ENTRIES:
        return _told_around(function)
    words = words_of(name)
    if not words or words[0] in NOT_DOING:
        return _told_by_command(function, words)
    event = operation_of(name)
    if event is None:
        return None
    position, weight = max(
        ((position, weight) for position, told, weight in verbs_of(name) if told == event),
        key=lambda verb: verb[1] - 0.3 * verb[0],
    )
    if words[0] in _DOING and position > 0:
        position -= 1
    candidate = Candidate(function, event, "name")
    # What a command is called, it does.
    candidate.reasons["verb"] = 3 * (max(weight, 0.6) if function.handled else weight)
    candidate.reasons["position"] = 0.5 if position == 0 else -0.7 - 0.2 * position
    if len(words) > 1 and words[-1] in NOUN_ENDS and position < len(words) - 1:
        candidate.reasons["noun"] = -1.2
    return candidate


def _told_by_command(function: Function, words: tuple[str, ...]) -> Candidate | None:
    """Return a function that a command shows something with; its own name tells no operation."""
    if not function.handled or not function.parameters:
        return None
    said = words_of(function.module.handlers.get(function.name, ""))
    if _READS.isdisjoint((*words[:1], *said)):
        return None
    return Candidate(function, "search", "command", reasons={"verb": 1.5})


def _told_around(function: Function) -> Candidate | None:
    places = []
    if function.owner is not None:
        places.append(("class", function.owner.name))
    else:
        places.append(("module", function.module.source.module.rpartition(".")[2]))
    for told_by, name in places:
        words = words_of(name)
        event = operation_of(name.strip("_"))
        if event is None or not words or words[0] in NOT_DOING:
            continue
        weight = max(weight for _, told, weight in verbs_of(name) if told == event)
        candidate = Candidate(function, event, told_by)
        candidate.reasons["verb"] = 3 * weight
        candidate.reasons["entry"] = 0.8
        return candidate
    return None


def _signals(candidate: Candidate, index: Index, hidden: bool) -> Iterator[tuple[str, float]]:
    function = candidate.function
    facts = function.facts
    yield from _signals_of_place(function, hidden)
    yield from _signals_of_calls(function, index)
    if function.inherited is not None:
        yield "inherited", -0.2
    if facts.effects:
        yield "effects", 0.8
    elif index.reached[function]:
        yield "reached effects", 0.5
    elif candidate.event != "search":
        yield "no effects", -0.5
    if candidate.event == "search" and not facts.returns and not facts.yields and not function.handled:
        yield "finds nothing", -1.0
    if facts.raises:
        yield "raises", 0.2
    if facts.statements <= 1 and not facts.effects:
        yield "one statement", -1.2 if not function.command else -0.3
    words = words_of(function.name)
    if len(words) > 1 and not _NO_ARTIFACTS.isdisjoint(words[1:]):
        yield "no artifact", -0.8 if function.handled else -1.5
    if not function.parameters and function.owner is None and not function.command:
        yield "no parameters", -0.6


def _signals_of_place(function: Function, hidden: bool) -> Iterator[tuple[str, float]]:
    parts = words_of(function.module.source.module.partition(".")[2])
    if function.name.startswith("_") and function.name not in ENTRIES:
        yield "private", -1.8
    if hidden and _in_private_module(function):
        yield "private module", -0.7
    words = words_of(function.owner.name) if function.owner is not None else ()
    if not _INSIDES.isdisjoint(parts[-2:]) and _STORES.isdisjoint(words):
        yield "insides", -0.6
    if in_command_module(function):
        yield "command module", 0.7
    owner = function.owner
    if owner is None:
        return
    if owner.name.startswith("_"):
        yield "private class", -1.0
    if words and words[-1] in _INSIDES:
        yield "insides class", -1.0
    if function.name in _CONTAINER_METHODS:
        if not _STORES.isdisjoint(words):
            yield "store", 0.5
        elif not function.facts.effects:
            yield "container", -1.5


def _signals_of_calls(function: Function, index: Index) -> Iterator[tuple[str, float]]:
    callers = index.callers[function]
    if function.handled:
        yield "command", 2.2
    elif _is_command_class(function):
        yield "command class", 1.0
    elif any(caller.handled or _is_entry(caller) for caller in callers):
        yield "called by a command", 0.7
        if sum(caller.handled for caller in callers) >= _HUB:
            yield "called by many commands", 0.6
    elif not callers and function.owner is None and function.name not in ENTRIES:
        yield "never called", -0.2
    if any("contextmanager" in name for name in function.decorators):
        yield "context manager", -1.0
    if _is_wrapper(function):
        yield "wrapper", -0.6


def _is_entry(function: Function) -> bool:
    return function.name in ENTRIES and in_command_module(function)


def in_command_module(function: Function) -> bool:
    """Return whether a function is in a part of the package that holds its command line."""
    return not _COMMAND_MODULES.isdisjoint(words_of(function.module.source.module.partition(".")[2]))


def _is_command_class(function: Function) -> bool:
    owner = function.owner
    if owner is None or function.name not in ENTRIES:
        return False
    return any(not {"command", "cmd"}.isdisjoint(words_of(name)) for name in (owner.name, *owner.bases))


def _is_wrapper(function: Function) -> bool:
    """Return whether all that a function does is to call another one."""
    if function.facts.statements != 1 or function.command:
        return False
    last = function.node.body[-1]
    value = last.value if isinstance(last, ast.Return | ast.Expr) else None
    return isinstance(value.value if isinstance(value, ast.Await) else value, ast.Call)


def _in_private_module(function: Function) -> bool:
    parts = function.module.source.module.split(".")[1:]
    return any(part.startswith("_") or part in ("internal", "internals", "impl") for part in parts)
