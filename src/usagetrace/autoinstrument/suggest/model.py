"""What was read of a package: modules, classes, functions, and what is proposed of them.

Pure records; they know neither where files are nor how a proposal is written.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a package.

    Attributes:
        module: Its dotted name.
        path: Where it is.
        shown: The path as it is shown: from the folder that the package is imported from.
        is_package: Whether it is an ``__init__.py``.
    """

    module: str
    path: Path
    shown: str
    is_package: bool = False


@dataclass(frozen=True, slots=True)
class Located:
    """The files of a package, and what had to be left out, one sentence each."""

    name: str
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: Its name.
        annotation: What its annotation says; None without one.
        many: Whether it is ``*args``.
        flag: Whether it is a switch, by its annotation or default.
        keywords: Whether it is ``**kwargs``.
    """

    name: str
    annotation: ast.expr | None = None
    many: bool = False
    flag: bool = False
    keywords: bool = False


@dataclass(slots=True)
class Facts:
    """What a function's body shows.

    Attributes:
        statements: Number of statements, the docstring left out.
        effects: What it does outside its own memory, one word each: ``write``, ``process``, ``database``, ``network``.
        raises: Whether it raises.
        abstract: Whether it does nothing by itself: ``pass``, ``...``, ``raise NotImplementedError``.
        calls: What it calls, as dotted texts: ``save``, ``self.add``, ``shutil.rmtree``.
        looped: Those of the calls that stand in a loop.
        uses: Attributes (and text keys) that are read of each name in it.
        returns: What it returns.
        yields: Whether it is a generator.
    """

    statements: int = 0
    effects: frozenset[str] = frozenset()
    raises: bool = False
    abstract: bool = False
    calls: frozenset[str] = frozenset()
    looped: frozenset[str] = frozenset()
    uses: dict[str, set[str]] = field(default_factory=dict)
    returns: list[ast.expr] = field(default_factory=list)
    yields: bool = False


@dataclass(slots=True, eq=False)
class Function:
    """One function or method of the package.

    Attributes:
        module: Module that it is in.
        name: Its own name.
        node: Its syntax tree.
        owner: Class that it is a method of.
        parameters: Those that a caller gives: neither ``self`` nor ``cls``.
        first: ``self`` or ``cls``, where it takes one.
        decorators: Dotted names of its decorators.
        facts: What its body shows.
        inherited: Module that it is written in, where its class takes it from a base.
        within: Attribute that holds the function, where a decorator made an object of it: ``callback`` for click.
        command: Whether it is a handler of a command line: ``click``, ``typer``, another word, or empty.
    """

    module: Module
    name: str
    node: FunctionNode
    owner: Class | None
    parameters: tuple[Parameter, ...]
    first: str
    decorators: tuple[str, ...]
    facts: Facts
    command: str = ""
    within: str = ""
    inherited: Module | None = None

    @property
    def written_in(self) -> Module:
        """The module that its text stands in."""
        return self.inherited or self.module

    @property
    def qualname(self) -> str:
        """The name within its module."""
        return f"{self.owner.qualname}.{self.name}" if self.owner is not None else self.name

    @property
    def target(self) -> str:
        """How a target file names it."""
        return f"{self.module.source.module}:{self.qualname}" + (f".{self.within}" if self.within else "")

    @property
    def place(self) -> str:
        """File and line, as they are shown."""
        return f"{self.written_in.source.shown}:{self.node.lineno}"

    @property
    def handled(self) -> bool:
        """Whether a command line calls it: by a decorator, or by a table of commands."""
        return bool(self.command) or self.name in self.module.handlers


@dataclass(slots=True, eq=False)
class Class:
    """One class of the package.

    Attributes:
        module: Module that it is in.
        qualname: Its name within the module.
        bases: Dotted names of its bases.
        fields: Attributes that an instance has, with their annotation where there is one, in the order of the text.
        methods: Its methods by name.
    """

    module: Module
    qualname: str
    bases: tuple[str, ...]
    fields: dict[str, ast.expr | None] = field(default_factory=dict)
    methods: dict[str, Function] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its own name."""
        return self.qualname.rpartition(".")[2]


@dataclass(slots=True, eq=False)
class Module:
    """One module of the package.

    Attributes:
        source: Its file.
        imports: What each imported name means: ``np`` is ``numpy``, ``run`` is ``papis.commands.add.run``.
        functions: Every function and method of it, in the order of the text.
        classes: Its classes by qualified name.
        handlers: Functions that are handed to a command line's dispatcher (``set_defaults(func=run)``,
            ``{"list": self.show_all}``), each with the command's word where one is told.
        groups: Names that hold a command line's group: ``click`` or ``typer``.
    """

    source: Source
    imports: dict[str, str] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    classes: dict[str, Class] = field(default_factory=dict)
    handlers: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Candidate:
    """A function whose name tells an operation.

    Attributes:
        function: The function.
        event: The operation.
        told_by: What tells it: ``name``, ``class``, ``module``, ``command``, or ``caller``: a search that shows what
            this function returns.
        score: How likely its author would want to see it; only the order matters.
        reasons: What made the score, each with its part.
    """

    function: Function
    event: str
    told_by: str
    score: float = 0.0
    reasons: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One function that is proposed as a target.

    Attributes:
        function: ``module:qualname``.
        event: The operation.
        fields: What ``track`` is told, beyond what conventions find.
        unsure: What its author should look at, one clause each.
        place: File and line of the function.
        score: How likely it is wanted; only the order matters.
        sure: How sure its fields are, 0 to 1.
    """

    function: str
    event: str
    fields: dict[str, Any]
    unsure: tuple[str, ...]
    place: str
    score: float
    sure: float = 1.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What is proposed for a package.

    Attributes:
        package: The package.
        proposals: The best first.
        left_out: Number of further functions whose names tell an operation, but which rank lower.
        modules: Number of modules that were read.
        notes: What could not be read or was left out, one sentence each.
    """

    package: str
    proposals: tuple[Proposal, ...]
    left_out: int
    modules: int
    notes: tuple[str, ...] = ()
