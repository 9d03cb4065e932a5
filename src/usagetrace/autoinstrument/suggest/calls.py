"""Who calls whom within a package, as far as names tell.

A call on an object whose class no annotation names is followed only where one method of the package has that name.
What is not understood is left out: the graph lends weight to a proposal, and never makes one.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from usagetrace.autoinstrument.suggest.facts import dotted
from usagetrace.autoinstrument.suggest.model import Class, Function, Module

# How far effects are followed down the calls.
_DEPTH: Final = 4
# Attributes in which an object that a decorator made keeps the function it was given.
_HOLDERS: Final = frozenset({"callback", "func", "function", "fn", "f", "method", "handler", "wrapped", "target"})
# Re-exports (`from a import b` of a `from c import b`) that are followed.
_HOPS: Final = 5
# Methods of the built-in types: their name says nothing of whose they are.
_OF_BUILT_INS: Final = frozenset(
    name for kind in (str, bytes, list, dict, set, tuple) for name in dir(kind) if not name.startswith("_")
)


class Index:
    """The functions and classes of a package by name, and the calls between them.

    Args:
        modules: The modules that were read.
        entries: Methods that do what their class is named after: a class that inherits one has it as its own.

    Attributes:
        functions: Every function.
        callers: Which functions call a function.
        callees: Which ones it calls.
        reached: What a function does outside its memory, by itself or by what it calls.
    """

    def __init__(self, modules: Iterable[Module], entries: frozenset[str] = frozenset()) -> None:
        self.modules = {module.source.module: module for module in modules}
        self.functions = [function for module in self.modules.values() for function in module.functions]
        self._classes: dict[str, list[Class]] = defaultdict(list)
        self._methods: dict[str, list[Function]] = defaultdict(list)
        self._plain: dict[str, Function] = {}
        self._read: dict[Class, set[str]] | None = None
        for module in self.modules.values():
            for owner in module.classes.values():
                self._classes[owner.name].append(owner)
        for function in self.functions:
            self._plain[f"{function.module.source.module}.{function.qualname}"] = function
            if function.owner is not None:
                self._methods[function.name].append(function)
        self.functions += list(self._inherited_entries(entries))
        for function in self.functions:
            function.within = function.within or self._made_into(function)
        self.callees: dict[Function, set[Function]] = {}
        self.callers: dict[Function, set[Function]] = defaultdict(set)
        for function in self.functions:
            called = {found for text in function.facts.calls for found in self._called(function, text)}
            self.callees[function] = called - {function}
            for other in self.callees[function]:
                self.callers[other].add(function)
        self.reached = self._reach()

    def class_named(self, name: str, module: Module) -> Class | None:
        """Return the class that a name means in a module; None where it is none of the package.

        Args:
            name: As it is written there, dotted or not.
            module: Where it is written.
        """
        if name in module.classes:
            return module.classes[name]
        head, _, rest = name.partition(".")
        meant = module.imports.get(head)
        if meant is not None:
            found = self._defined(f"{meant}.{rest}" if rest else meant)
            return found if isinstance(found, Class) else None
        alike = self._classes.get(name.rpartition(".")[2], [])
        return alike[0] if len(alike) == 1 else None

    def class_of(self, annotation: ast.expr | None, module: Module) -> Class | None:
        """Return the class of the package that an annotation names: `Doc`, `"Doc"`, `Doc | None`, `Optional[Doc]`."""
        for name in named(annotation):
            found = self.class_named(name, module)
            if found is not None:
                return found
        return None

    def lineage(self, owner: Class) -> Iterator[Class]:
        """Yield a class and those of the package that it inherits from, each once."""
        seen: set[int] = set()
        waiting = [owner]
        while waiting:
            current = waiting.pop(0)
            if id(current) in seen:
                continue
            seen.add(id(current))
            yield current
            for base in current.bases:
                found = self.class_named(base, current.module)
                if found is not None:
                    waiting.append(found)

    def method(self, owner: Class, name: str) -> Function | None:
        """Return a method of a class, its own or an inherited one."""
        return next((kind.methods[name] for kind in self.lineage(owner) if name in kind.methods), None)

    def fields(self, owner: Class) -> dict[str, tuple[ast.expr | None, Module]]:
        """Return the attributes of a class's instances, inherited ones too: annotation, and the module it stands in."""
        found: dict[str, tuple[ast.expr | None, Module]] = {}
        for kind in self.lineage(owner):
            for name, annotation in kind.fields.items():
                found.setdefault(name, (annotation, kind.module))
        return found

    def read_of(self, owner: Class) -> set[str]:
        """Return the attributes and keys that the package's functions read of parameters of a class."""
        if self._read is None:
            self._read = defaultdict(set)
            for function in self.functions:
                for parameter in function.parameters:
                    used = function.facts.uses.get(parameter.name)
                    kind = self.class_of(parameter.annotation, function.written_in) if used else None
                    if kind is not None and used:
                        self._read[kind] |= used
        return self._read[owner]

    def _made_into(self, function: Function) -> str:
        """Return the attribute that holds the function, where a decorator of the package makes an object of it."""
        for name in function.decorators:
            for maker in self._called(function, name):
                kinds = (self.class_named(made, maker.module) for made in _given_back(maker))
                fields = [field for kind in kinds if kind is not None for field in self.fields(kind)]
                held = next((field for field in fields if field.strip("_") in _HOLDERS), "")
                if held and maker is not function:
                    return held
        return ""

    def hidden_by(self, function: Function) -> str:
        """Return the decorator of the package that puts a function with other parameters in its place; or nothing."""
        for name in function.decorators:
            for maker in self._called(function, name):
                inner = [node for node in ast.walk(maker.node) if isinstance(node, ast.FunctionDef)]
                wraps = any(text.rpartition(".")[2] in ("wraps", "update_wrapper") for text in maker.facts.calls)
                if maker is not function and not wraps and any(node.args.vararg is not None for node in inner[1:]):
                    return name
        return ""

    def _inherited_entries(self, entries: frozenset[str]) -> Iterator[Function]:
        public = sorted(name for name in entries if not name.startswith("_") or name == "__call__")
        for module in self.modules.values():
            for owner in module.classes.values():
                if any(name in owner.methods for name in public):
                    continue
                for name in public:
                    found = self.method(owner, name)
                    if found is not None and not found.facts.abstract:
                        yield replace(found, module=module, owner=owner, inherited=found.module)
                        break

    def _defined(self, name: str, hops: int = _HOPS) -> Function | Class | None:
        """Return what a full dotted name means, re-exports followed."""
        if name in self._plain:
            return self._plain[name]
        module_name = name
        while "." in module_name:
            module_name = module_name.rpartition(".")[0]
            module = self.modules.get(module_name)
            if module is None:
                continue
            inside = name[len(module_name) + 1 :]
            if inside in module.classes:
                return module.classes[inside]
            head, _, rest = inside.partition(".")
            owner = module.classes.get(head)
            if owner is not None and rest:
                return self.method(owner, rest)
            meant = module.imports.get(head)
            if meant is None or hops == 0:
                return None
            return self._defined(f"{meant}.{rest}" if rest else meant, hops - 1)
        return None

    def _called(self, function: Function, text: str) -> Iterator[Function]:
        head, _, rest = text.partition(".")
        module = function.written_in
        if head in ("self", "cls", "super") and function.owner is not None and "." not in rest:
            kinds = list(self.lineage(function.owner))[1 if head == "super" else 0 :]
            found = next((kind.methods[rest] for kind in kinds if rest in kind.methods), None)
            if found is not None:
                yield found
                return
        if not rest:
            meant = self._plain.get(f"{module.source.module}.{head}") or self._defined(module.imports.get(head, ""))
            if isinstance(meant, Function):
                yield meant
            return
        if head in module.imports or head in module.classes:
            meant = self._defined(f"{module.imports.get(head) or module.source.module + '.' + head}.{rest}")
            if isinstance(meant, Function):
                yield meant
            return
        yield from self._on_object(function, head, rest)

    def _on_object(self, function: Function, head: str, rest: str) -> Iterator[Function]:
        """Yield the method that is called on a parameter or on an object of unknown class."""
        name = rest.rpartition(".")[2]
        for parameter in function.parameters:
            if parameter.name == head and "." not in rest:
                owner = self.class_of(parameter.annotation, function.written_in)
                found = self.method(owner, name) if owner is not None else None
                if found is not None:
                    yield found
                    return
        alike = self._methods.get(name, [])
        if len(alike) == 1 and name not in _OF_BUILT_INS:
            yield alike[0]

    def _reach(self) -> dict[Function, frozenset[str]]:
        reached = {function: function.facts.effects for function in self.functions}
        for _ in range(_DEPTH):
            reached = {
                function: effects.union(*(reached[other] for other in self.callees[function]))
                for function, effects in reached.items()
            }
        return reached


def _given_back(maker: Function) -> Iterator[str]:
    """Yield the names of what a decorator calls for its result: the classes of the objects it makes."""
    assigned: dict[str, ast.expr] = {}
    given: list[ast.expr] = []
    for node in ast.walk(maker.node):
        if isinstance(node, ast.Assign):
            assigned.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.Lambda):
            given.append(node.body)
        elif isinstance(node, ast.Return) and node.value is not None:
            given.append(node.value)
    for value in given:
        made = assigned.get(value.id) if isinstance(value, ast.Name) else value
        if isinstance(made, ast.Call):
            yield dotted(made.func)


def named(annotation: ast.expr | None) -> Iterator[str]:
    """Yield the names in an annotation, those written as text included, containers and their contents alike."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError):
            return
    if isinstance(annotation, ast.Name | ast.Attribute):
        yield dotted(annotation)
    elif isinstance(annotation, ast.BinOp):
        yield from named(annotation.left)
        yield from named(annotation.right)
    elif isinstance(annotation, ast.Subscript):
        yield dotted(annotation.value)
        yield from named(annotation.slice)
    elif isinstance(annotation, ast.Tuple | ast.List):
        for element in annotation.elts:
            yield from named(element)
