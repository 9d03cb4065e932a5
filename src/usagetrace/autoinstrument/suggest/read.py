"""Files of Python text -> modules, classes and functions. Nothing of them is executed.

A file that can't be read is named in a note and costs no other one.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from typing import Final

from usagetrace.autoinstrument.suggest.facts import dotted, facts_of
from usagetrace.autoinstrument.suggest.model import Class, Function, FunctionNode, Module, Parameter, Source

# Larger files are tables of data that somebody generated.
MOST_BYTES: Final = 2_000_000
# Decorators after which a name is no plain function any more, or one of several with that name.
_NOT_TRACKED: Final = frozenset({"property", "cached_property", "overload", "setter", "deleter", "getter", "fixture"})
_GROUP_MAKERS: Final = {"Typer": "typer", "Group": "click", "CommandCollection": "click"}


def read_modules(sources: Iterable[Source], notes: list[str]) -> list[Module]:
    """Read every file that can be read.

    Args:
        sources: The files.
        notes: Gets one sentence for each file that can't be read.
    """
    modules = []
    for source in sources:
        tree = _parse(source, notes)
        if tree is None:
            continue
        try:
            modules.append(_module(source, tree))
        except RecursionError:
            notes.append(f"{source.shown}: nested too deep to be read")
    return modules


def _parse(source: Source, notes: list[str]) -> ast.Module | None:
    try:
        size = source.path.stat().st_size
        if size > MOST_BYTES:
            notes.append(f"{source.shown}: {size:,} bytes, more than {MOST_BYTES:,}; not read")
            return None
        text = source.path.read_bytes()
        with warnings.catch_warnings():
            # A program's own doubtful escapes are not this command's news.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        place = f"line {error.lineno}: " if error.lineno else ""
        notes.append(f"{source.shown}: {place}{error.msg}")
    except OSError as error:
        notes.append(f"{source.shown}: {error.strerror}")
    except (ValueError, RecursionError, MemoryError) as error:
        notes.append(f"{source.shown}: {str(error) or type(error).__name__}")
    return None


def _module(source: Source, tree: ast.Module) -> Module:
    module = Module(source)
    package = source.module if source.is_package else source.module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.update(_imported(node, package))
        elif isinstance(node, ast.Call):
            module.handlers.update(_handed_over(node))
        elif isinstance(node, ast.Dict):
            module.handlers.update(_table(node))
    for statement in _statements(tree.body):
        if isinstance(statement, ast.ClassDef):
            _read_class(module, statement, "")
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            _read_function(module, statement, None)
        else:
            module.groups.update(_groups(statement))
    return module


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module or class, also those under ``if``, ``try`` and ``with``."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _statements(statement.body)
            yield from _statements(statement.orelse)
        elif isinstance(statement, ast.Try):
            yield from _statements(statement.body)
            for handler in statement.handlers:
                yield from _statements(handler.body)
            yield from _statements(statement.orelse)
        elif isinstance(statement, ast.With):
            yield from _statements(statement.body)
        else:
            yield statement


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        above = ".".join(parts[: len(parts) - node.level + 1])
        base = f"{above}.{base}".strip(".")
    for alias in node.names:
        yield alias.asname or alias.name, f"{base}.{alias.name}"


def _handed_over(call: ast.Call) -> Iterator[tuple[str, str]]:
    """Yield functions that ``parser.set_defaults(func=run)`` hands to a dispatcher."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "set_defaults":
        for keyword in call.keywords:
            name = dotted(keyword.value) if keyword.arg else ""
            if name:
                yield name.rpartition(".")[2], ""


def _table(node: ast.Dict) -> Iterator[tuple[str, str]]:
    """Yield the functions of a table of commands: ``{"list": self.list_all, "purge": self.purge}``."""
    pairs = [
        (dotted(value).rpartition(".")[2], key.value)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Attribute | ast.Name)
    ]
    if pairs and len(pairs) == len(node.keys):
        yield from pairs


def _groups(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield names that hold a command line's group: ``app = typer.Typer()``."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
        kind = _GROUP_MAKERS.get(dotted(statement.value.func).rpartition(".")[2])
        if kind:
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, kind


def _read_class(module: Module, node: ast.ClassDef, prefix: str) -> None:
    made = Class(module, f"{prefix}{node.name}", tuple(filter(None, map(dotted, node.bases))))
    module.classes[made.qualname] = made
    for statement in _statements(node.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            made.fields[statement.target.id] = statement.annotation
        elif isinstance(statement, ast.ClassDef):
            _read_class(module, statement, f"{made.qualname}.")
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            _read_method(module, made, statement)


def _read_method(module: Module, owner: Class, node: FunctionNode) -> None:
    decorators = {name.rpartition(".")[2] for name in map(_decorator, node.decorator_list)}
    if decorators & {"property", "cached_property"}:
        owner.fields.setdefault(node.name, node.returns)
    if node.name in ("__init__", "__attrs_post_init__", "__post_init__"):
        given = {argument.arg: argument.annotation for argument in (*node.args.args, *node.args.kwonlyargs)}
        for name, value in _set_on_self(node):
            owner.fields.setdefault(name, given.get(value) if value else None)
    _read_function(module, node, owner)


def _set_on_self(node: FunctionNode) -> Iterator[tuple[str, str]]:
    """Yield the attributes that an initialiser sets, each with the parameter it is set from, where it is one."""
    for statement in ast.walk(node):
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                yield target.attr, value.id if isinstance(value, ast.Name) else ""


def _read_function(module: Module, node: FunctionNode, owner: Class | None) -> None:
    decorators = tuple(map(_decorator, node.decorator_list))
    if any(name.rpartition(".")[2] in _NOT_TRACKED for name in decorators):
        return
    parameters, first = _parameters(node, owner, decorators)
    function = Function(module, node.name, node, owner, parameters, first, decorators, facts_of(node))
    function.command = _command_kind(module, function)
    if function.command == "click":
        function.within = "callback"
    if function.command == "click" and _makes_group(decorators):
        module.groups[node.name] = "click"
    if owner is not None:
        owner.methods[node.name] = function
    module.functions.append(function)


def _decorator(node: ast.expr) -> str:
    return dotted(node.func if isinstance(node, ast.Call) else node)


def _makes_group(decorators: tuple[str, ...]) -> bool:
    return any(name.rpartition(".")[2] == "group" for name in decorators)


def _command_kind(module: Module, function: Function) -> str:
    """Return which library's decorator makes a command of the function; empty where none does."""
    for name in function.decorators:
        holder, _, last = name.rpartition(".")
        if last in ("command", "group"):
            if module.groups.get(holder) == "typer":
                return "typer"
            if holder in module.groups or module.imports.get(holder or last, "").startswith("click"):
                return "click"
            return "typer" if _uses_typer(module) else "click"
        if last.endswith(("command", "_cmd", "subcommand")):
            return name
    return ""


def _uses_typer(module: Module) -> bool:
    return any(meaning.partition(".")[0] == "typer" for meaning in module.imports.values())


def _parameters(
    node: FunctionNode, owner: Class | None, decorators: tuple[str, ...]
) -> tuple[tuple[Parameter, ...], str]:
    arguments = node.args
    positional = (*arguments.posonlyargs, *arguments.args)
    defaults = (*(None,) * (len(positional) - len(arguments.defaults)), *arguments.defaults)
    plain = [_parameter(argument, default) for argument, default in zip(positional, defaults, strict=True)]
    first = ""
    if owner is not None and plain and "staticmethod" not in decorators:
        plain.pop(0)
        first = "cls" if "classmethod" in decorators else "self"
    if arguments.vararg is not None:
        plain.append(Parameter(arguments.vararg.arg, arguments.vararg.annotation, many=True))
    plain += map(_parameter, arguments.kwonlyargs, arguments.kw_defaults)
    if arguments.kwarg is not None:
        plain.append(Parameter(arguments.kwarg.arg, arguments.kwarg.annotation, keywords=True))
    return tuple(plain), first


def _parameter(argument: ast.arg, default: ast.expr | None) -> Parameter:
    switch = isinstance(default, ast.Constant) and isinstance(default.value, bool)
    flag = switch or dotted(argument.annotation) == "bool"
    return Parameter(argument.arg, argument.annotation, flag=flag)
