"""Which functions are proposed, in which order, and what is proposed for each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from usagetrace import track
from usagetrace.autoinstrument.suggest import Proposal, suggest
from usagetrace.autoinstrument.suggest.words import KINDS
from usagetrace.track import conventions

Write = Callable[..., Path]


def proposals(folder: Path, **files: str) -> dict[str, Proposal]:
    """Return what is proposed for a package of these files, by function, the best first."""
    package = folder / "shelf"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in files.items():
        path = package / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return {found.function: found for found in suggest("shelf", [str(folder)], everything=True).proposals}


def fields(folder: Path, signature: str, body: str = "open(str(1), 'w')", more: str = "") -> dict[str, Any]:
    """Return the fields that are proposed for one function."""
    text = f"{dedent(more)}\ndef {signature}:\n" + "".join(f"    {line}\n" for line in dedent(body).splitlines())
    (found,) = (
        each for each in proposals(folder, a=text).values() if each.function == f"shelf.a:{signature.split('(')[0]}"
    )
    return found.fields


def test_an_entry_is_told_by_its_class_or_its_module(tmp_path: Path) -> None:
    """`run` does what its class is named after, or its module; one that a class inherits is its own."""
    found = proposals(
        tmp_path,
        commands__add="def run(name):\n    open(name, 'w')\n",
        actions="""
            class Action:
                def run(self, name):
                    self.work(name)
            class Upload(Action):
                def work(self, name): ...
            class DeleteCommand:
                def execute(self, name):
                    open(name, 'w')
        """,
    )
    assert {name: each.event for name, each in found.items()} == {
        "shelf.commands.add:run": "deploy",
        "shelf.actions:Upload.run": "deploy",
        "shelf.actions:DeleteCommand.execute": "remove",
    }
    assert found["shelf.actions:Upload.run"].place == f"{Path('shelf/actions.py')}:3"


@pytest.mark.parametrize(
    "text",
    [
        "def is_installed(name):\n    return open(name, 'w')",
        "def get_update(name):\n    return open(name, 'w')",
        "class Store:\n    @property\n    def search(self):\n        return open('x')",
        "class Store:\n    def install(self, name):\n        raise NotImplementedError",
        "class Store:\n    def install(self, name):\n        ...",
        "import abc\nclass Store:\n    @abc.abstractmethod\n    def install(self, name):\n        return open(name)",
        "def run(name):\n    return open(name, 'w')",
        "def outer(name):\n    def install(name):\n        return open(name, 'w')",
        "class Store:\n    def __delete__(self, name):\n        return open(name, 'w')",
    ],
)
def test_what_is_never_proposed(tmp_path: Path, text: str) -> None:
    """What asks, prepares, is abstract, hidden in a function, or named after nothing is no candidate."""
    assert proposals(tmp_path, plain=text) == {}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("def install(name):\n    open(name, 'w')", "def install_quietly(thing):\n    return thing"),
        ("def delete_book(book):\n    open(book, 'w')", "def _delete_book(book):\n    open(book, 'w')"),
        ("def delete_book(book):\n    open(book, 'w')", "def book_delete(book):\n    open(book, 'w')"),
        ("def add_book(book):\n    open(book, 'w')", "def add_argument(parser):\n    parser.x = open('x', 'w')"),
        ("def update_book(book):\n    open(book, 'w')", "def update_path(book):\n    open(book, 'w')"),
        (
            "class BookStore:\n    def add(self, x):\n        self.x = x",
            "class Bag:\n    def add(self, x):\n        self.x = x",
        ),
        ("def find_books(query):\n    return [query, 1]", "def find_nothing(query):\n    print(query)"),
        (
            "import click\n@click.command()\ndef add(book):\n    open(book)",
            "def adds(book):\n    open(book)\nadd = adds",
        ),
    ],
)
def test_the_order(tmp_path: Path, better: str, worse: str) -> None:
    """What has effects, is public, acts by its first word, or is a command goes before what is not."""
    found = list(proposals(tmp_path, better=better, worse=worse))
    assert found[0].startswith("shelf.better:")


def test_a_handler_leaves_the_place_to_the_function_that_does_the_work(tmp_path: Path) -> None:
    """Of a command and the function that it hands its work to, the one that knows the artifact goes before."""
    found = proposals(
        tmp_path,
        commands__rm="""
            import click
            def run(document):
                open(document["ref"], "w")
            @click.command("rm")
            def cli(force, verbose):
                run(force)
        """,
    )
    assert list(found) == ["shelf.commands.rm:run", "shelf.commands.rm:cli.callback"]


def test_what_a_search_shows_is_found_by_another_function(tmp_path: Path) -> None:
    """Where a search only prints, the function whose result it prints is proposed as the search."""
    found = proposals(
        tmp_path,
        cli="""
            import click
            from shelf.core import books_of
            @click.command()
            def find(query):
                for book in books_of(query):
                    print(book)
        """,
        core="""
            def books_of(query) -> list[str]:
                return [query]
        """,
    )
    assert {name: each.event for name, each in found.items()} == {
        "shelf.cli:find.callback": "search",
        "shelf.core:books_of": "search",
    }


def test_sister_classes_take_one_place(tmp_path: Path) -> None:
    """The same method of several backends is proposed together, three of them at most, and counts once."""
    kinds = "".join(f"class Store{n}(Store):\n    def delete(self, name):\n        open(name, 'w')\n" for n in range(6))
    (tmp_path / "shelf.py").write_text(
        f"class Store:\n    def delete(self, name): ...\n{kinds}def install(name):\n    open(name, 'w')\n"
    )
    found = suggest("shelf", [str(tmp_path)], limit=2)
    assert sorted(each.function for each in found.proposals) == [
        "shelf:Store0.delete", "shelf:Store1.delete", "shelf:Store2.delete", "shelf:install",
    ]  # fmt: skip
    assert found.left_out == 3
    assert len(suggest("shelf", [str(tmp_path)], everything=True).proposals) == 7


def test_the_limit_keeps_the_best(tmp_path: Path) -> None:
    """A limit takes from the end, and says how many it left out."""
    text = "def install(name):\n    open(name, 'w')\ndef _set_thing(thing):\n    thing.x = 1\n    thing.y = 2\n"
    (tmp_path / "shelf.py").write_text(text)
    found = suggest("shelf", [str(tmp_path)], limit=1)
    assert [each.function for each in found.proposals] == ["shelf:install"]
    assert found.left_out == 1


NAME_AND_KIND = {"artifact_name": "$book.title", "artifact_type": "$book.kind"}
BOOKS = {"artifact_name": "$item.title", "artifact_type": "$item.kind"}
PACKAGES = {"each": "$packages", "artifact_name": "$item", "artifact_type": "package"}
KERNEL = {"artifact_name": "$kernel_name", "artifact_type": "kernel"}
DOCUMENT = {"artifact_name": "$document.ref", "artifact_type": "document"}
BOOK = """
    from dataclasses import dataclass
    @dataclass
    class Book:
        title: str
        kind: str
    @dataclass
    class Report:
        success: bool
"""


@pytest.mark.parametrize(
    ("signature", "body", "expected"),
    [
        ("install(name, version)", "open(name, 'w')", {}),
        ("install(skill_name)", "open(skill_name, 'w')", {}),
        (
            "install(kernel_name)",
            "open(kernel_name, 'w')",
            {"artifact_name": "$kernel_name", "artifact_type": "kernel"},
        ),
        ("install(book: Book)", "open('x', 'w')", NAME_AND_KIND),
        (
            "install(book: 'Book | None')",
            "open('x', 'w')",
            {"artifact_name": "$book.title", "artifact_type": "$book.kind"},
        ),
        (
            "install(books: list[Book])",
            "open('x', 'w')",
            {"each": "$books", **BOOKS},
        ),
        (
            "install(*packages: str)",
            "open('x', 'w')",
            {"each": "$packages", "artifact_name": "$item", "artifact_type": "package"},
        ),
        (
            "delete(document)",
            "open(document['ref'], 'w')",
            {"artifact_name": "$document.ref", "artifact_type": "document"},
        ),
        ("install(name, dry_run=False)", "open(name, 'w')", {"skip_if": "$dry_run"}),
        ("install(name) -> Report", "open(name, 'w')", {"outcome": "$result.success"}),
        ("install(name)", "open(name, 'w')\nreturn {'errors': []}", {"outcome": {"$result.errors": "error"}}),
        ("install(name)", "if open(name, 'w'):\n    return True\nreturn False", {"outcome": "$result"}),
        ("install(name) -> int", "if open(name, 'w'):\n    return 1\nreturn 0", {"outcome": {"$result": "error"}}),
        ("search(keywords) -> list[str]", "return []", {"metadata": {"query": "$keywords"}}),
        (
            "search(query) -> list[Book]",
            "return []",
            {"each": "$result", **BOOKS},
        ),
        ("install(name, registry)", "open(name, 'w')", {"collection_name": "$registry"}),
        ("install(name, output_dir)", "open(name, 'w')", {"project_path": "$output_dir"}),
    ],
)
def test_the_fields(tmp_path: Path, signature: str, body: str, expected: dict[str, Any]) -> None:
    """Selectors come from parameters, annotations and results; what conventions find is left to them."""
    assert fields(tmp_path, signature, body, BOOK) == expected


def test_the_object_itself_names_the_artifact(tmp_path: Path) -> None:
    """Where no parameter does, an attribute that the initialiser or a property sets is the name."""
    found = proposals(
        tmp_path,
        a="""
            class Upload:
                def __init__(self, item):
                    self.item = item
                    self.ident = item.ident
                def run(self, there):
                    open(there, "w")
            class KernelSpec:
                @property
                def name(self):
                    return "x"
                def install(self):
                    open("x", "w")
        """,
    )
    assert found["shelf.a:Upload.run"].fields == {"artifact_name": "$self.ident"}
    assert found["shelf.a:KernelSpec.install"].fields["artifact_name"] == "$self.name"


DECORATED = """
    import functools
    class Kept:
        def __init__(self, method):
            self._method = method
    def kept(group=None):
        return lambda method: Kept(method)
    def hides(function):
        def inner(*args):
            return function(*args)
        return inner
    def shows(function):
        @functools.wraps(function)
        def inner(*args):
            return function(*args)
        return inner
"""


@pytest.mark.parametrize(
    ("decorator", "function", "expected"),
    [
        ("@kept('g')", "shelf.a:install._method", {"artifact_name": "$document.ref", "artifact_type": "document"}),
        ("@hides", "shelf.a:install", {}),
        ("@shows", "shelf.a:install", {"artifact_name": "$document.ref", "artifact_type": "document"}),
    ],
)
def test_what_a_decorator_of_the_package_makes_of_a_function(
    tmp_path: Path, decorator: str, function: str, expected: dict[str, Any]
) -> None:
    """Where it makes an object, the attribute with the function is named; where it hides parameters, none is read."""
    text = f"{dedent(DECORATED)}\n{decorator}\ndef install(document):\n    open(document['ref'], 'w')\n"
    found = proposals(tmp_path, a=text)
    assert {name: each.fields for name, each in found.items()} == {function: expected}


def test_every_proposed_field_is_one_that_track_takes(write: Write) -> None:
    """Each proposal of a package of many shapes can be given to `track`, on the function it names."""
    folder = write(
        shapes__init="",
        shapes__core="""
            import os
            from dataclasses import dataclass
            from pathlib import Path

            @dataclass
            class Package:
                name: str
                version: str

            class Store:
                def __init__(self, name, path):
                    self.name = name
                async def add(self, package: Package, *, remote: str = "", dry_run: bool = False):
                    os.remove("x")
                @classmethod
                def remove(cls, *packages: str):
                    os.remove("x")
                @staticmethod
                def search(pattern) -> "list[Package]":
                    return []

            class UpdateCommand:
                def run(self, options, args):
                    os.remove(args[0])
                    if options.pretend:
                        return 1
                    return 0

            def sync(*, sources: list[str], destination: Path, **kwargs) -> bool:
                if sources:
                    return True
                return False

            def upload(venv_dir: Path, items=()):
                for item in items:
                    os.rename(item, venv_dir)

            def handle_query(q) -> dict:
                yield from q
        """,
    )
    found = suggest("shapes", [str(folder)], everything=True).proposals
    assert {each.function.partition(":")[2] for each in found} == {
        "Store.add", "Store.remove", "Store.search", "UpdateCommand.run", "sync", "upload", "handle_query",
    }  # fmt: skip
    module = importlib.import_module("shapes.core")
    for each in found:
        target: Any = module
        for name in each.function.partition(":")[2].split("."):
            target = target.__dict__[name]
        assert track(each.event, **each.fields)(target) is not None


def test_the_kinds_are_those_of_the_conventions() -> None:
    """What `KIND_name` means is told in one place and used here."""
    assert KINDS == conventions._KINDS
