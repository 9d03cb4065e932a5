"""What the body of a function shows: what it calls, does outside its own memory, reads of its names, and returns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from usagetrace.autoinstrument.suggest.model import Facts, FunctionNode

# Calls that reach outside the process, by the last part of their name, the module before it where that decides.
_OF_MODULE: Final = {
    "os": {
        "remove", "unlink", "rename", "renames", "replace", "makedirs", "mkdir", "rmdir", "removedirs", "symlink",
        "link", "chmod", "truncate", "utime",
    },
    "shutil": {"copy", "copy2", "copyfile", "copytree", "move", "rmtree", "unpack_archive", "make_archive"},
    "json": {"dump"}, "yaml": {"dump", "safe_dump"}, "pickle": {"dump"}, "tomlkit": {"dump"}, "toml": {"dump"},
}  # fmt: skip
_PROCESS: Final = {
    "subprocess": {"run", "call", "check_call", "check_output", "Popen"},
    "os": {"system", "execv", "execvp", "execve", "execvpe", "spawnv", "spawnvp"},
}
_FILE_METHODS: Final = frozenset({
    "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "rename", "symlink_to", "hardlink_to", "touch", "rmtree",
    "copytree", "makedirs", "writelines", "extractall", "copyfile", "copy2",
})  # fmt: skip
_DATABASE: Final = frozenset({"execute", "executemany", "executescript", "commit"})
_NETWORK: Final = frozenset({"post", "put", "patch", "request", "urlopen", "urlretrieve"})
_LOOPS: Final = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CLIENTS: Final = frozenset({"requests", "httpx", "session", "client", "http", "aiohttp"})


def dotted(node: ast.expr | None) -> str:
    """Return a dotted name as text, a call's or subscript's base included; empty for anything else."""
    parts: list[str] = []
    while node is not None:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Name):
            parts.append(node.id)
            return ".".join(reversed(parts))
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return ".".join(reversed(parts))
    return ""


def facts_of(node: FunctionNode) -> Facts:
    """Return what a function's body shows.

    Args:
        node: The function.
    """
    body = _without_docstring(node.body)
    facts = Facts(abstract=_does_nothing(node, body))
    calls: set[str] = set()
    effects: set[str] = set()
    looped: set[str] = set()
    for inner, own, again in _inside(body):
        if isinstance(inner, ast.stmt):
            facts.statements += 1
        if isinstance(inner, ast.Call):
            name = dotted(inner.func)
            if name:
                calls.add(name)
                if again:
                    looped.add(name)
                effects.update(_effects(name, inner))
        elif isinstance(inner, ast.Raise):
            facts.raises = True
        elif isinstance(inner, ast.Return) and own and inner.value is not None:
            facts.returns.append(inner.value)
        elif isinstance(inner, ast.Yield | ast.YieldFrom) and own:
            facts.yields = True
        else:
            _note_use(inner, facts.uses)
    facts.calls = frozenset(calls)
    facts.looped = frozenset(looped)
    facts.effects = frozenset(effects)
    return facts


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _does_nothing(node: FunctionNode, body: list[ast.stmt]) -> bool:
    if any(dotted(decorator).endswith("abstractmethod") for decorator in node.decorator_list):
        return True
    if len(body) > 1:
        return False
    only = body[0] if body else None
    if isinstance(only, ast.Raise):
        return "NotImplemented" in dotted(only.exc)
    return (
        only is None
        or isinstance(only, ast.Pass)
        or (isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant))
    )


def _inside(body: list[ast.stmt]) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Yield every node below, whether it is the function's own (not an inner one's), and whether it is in a loop."""
    stack: list[tuple[ast.AST, bool, bool]] = [(statement, True, False) for statement in reversed(body)]
    while stack:
        node, own, again = stack.pop()
        yield node, own, again
        own = own and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        again = again or isinstance(node, _LOOPS)
        stack += [(child, own, again) for child in ast.iter_child_nodes(node)]


def _effects(name: str, call: ast.Call) -> Iterator[str]:
    holder, _, last = name.rpartition(".")
    module = holder.rpartition(".")[2]
    if last in _OF_MODULE.get(module, ()) or (holder and last in _FILE_METHODS) or name == "rmtree":
        yield "write"
    elif last == "open":
        if _opens_to_write(call, 1 if name in ("open", "io.open", "codecs.open") else 0):
            yield "write"
    elif last in _PROCESS.get(module, ()) or last == "create_subprocess_exec":
        yield "process"
    elif holder and last in _DATABASE:
        yield "database"
    elif last in _NETWORK and any(word in holder.lower() for word in _CLIENTS):
        yield "network"


def _opens_to_write(call: ast.Call, position: int) -> bool:
    mode: ast.expr | None = call.args[position] if len(call.args) > position else None
    for keyword in call.keywords:
        if keyword.arg == "mode":
            mode = keyword.value
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and not set("wax+").isdisjoint(mode.value)


def _note_use(node: ast.AST, uses: dict[str, set[str]]) -> None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        uses.setdefault(node.value.id, set()).add(node.attr)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
        uses.setdefault(dotted(node.value), set()).add(node.attr)
    elif (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ):
        uses.setdefault(node.value.id, set()).add(node.slice.value)
