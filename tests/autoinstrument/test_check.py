"""What is wrong with targets is told, all of it, and what a module does when it is imported harms nobody."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from usagetrace.autoinstrument.check import Finding, check
from usagetrace.autoinstrument.target import Target
from usagetrace.autoinstrument.verify import verify

Said = list[tuple[str, str]]
Verify = Callable[..., Said]

TOOL = """
    from __future__ import annotations
    import functools
    from dataclasses import dataclass
    from typing import Any, Optional

    LIMIT = 3

    def deploy(name, version="1", *, dry_run=False): ...

    def catch_all(name, **options): ...

    class Base:
        def inherited(self, name): ...

    class Shelf(Base):
        label: str
        def __init__(self, path):
            self.path = path
        @property
        def size(self): return 3
        @functools.cached_property
        def weight(self): return 3
        def deploy(self, name: Item, kind): ...
        @classmethod
        def opened(cls, path): ...
        @staticmethod
        def check(name): ...
        run = functools.partialmethod(deploy, kind="x")
        slots = None

    @dataclass
    class Item:
        title: str
        parts: list[str]

    class Open:
        def __getattr__(self, name): return 3

    class Options:
        def __init__(self, **options): self.__dict__.update(options)

    def typed(item: Item, maybe: Optional[Item], other: Item | None, either: Item | int, free: Any,
              table: dict[str, Item], shelf: Shelf, made: Open, options: Options) -> Item: ...
    async def later(item: Item) -> Item: ...
    def each(names): return []
    def stream() -> Item: yield 1
"""


@pytest.fixture
def told(write: Any) -> Verify:
    """Return a function that verifies one target of the module `checked_tool` in this process."""
    write(checked_tool=TOOL)

    def ask(qualname: str, event: Any = "deploy", *, optional: bool = False, **fields: Any) -> Said:
        ((said,), _) = verify([Target(f"checked_tool:{qualname}", event, fields, optional=optional)])
        return said

    return ask


@pytest.mark.parametrize(
    "qualname",
    ["deploy", "Shelf.deploy", "Shelf.opened", "Shelf.check", "Shelf.size", "Shelf.weight", "Shelf.run",
     "Shelf.inherited"],
)  # fmt: skip
def test_a_target_that_fits_has_nothing_said_of_it(told: Verify, qualname: str) -> None:
    """Functions, methods, class and static methods, properties, partial methods, inherited ones."""
    assert told(qualname, artifact_name="$self.path | $result", metadata={"n": 3}) == []


@pytest.mark.parametrize(
    ("qualname", "message"),
    [
        ("deplyo", "checked_tool has no deplyo; did you mean deploy?"),
        ("weight", "checked_tool has no weight; did you mean Shelf.weight?"),
        ("Shelf.nothing", "checked_tool has no Shelf.nothing: the class Shelf has no nothing"),
        ("Shlf.deploy", "checked_tool has no Shlf; did you mean Shelf?"),
        ("Shelf", "Shelf is a class; name a method of it, such as Shelf.__init__"),
        ("LIMIT", "LIMIT can't be called: it is an object of type int"),
        ("Shelf.slots", "Shelf.slots can't be called: it is an object of type NoneType"),
    ],
)
def test_a_function_that_is_not_there_or_is_none_is_a_fault(told: Verify, qualname: str, message: str) -> None:
    """An optional target is only warned of."""
    assert told(qualname) == [("fault", message)]
    assert told(qualname, optional=True) == [("warning", message)]


ROOTS = "there are $name, $version, $dry_run, $self, $cls, $result and $error"
FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "a parameter": (
        {"artifact_name": "$nam"}, f"artifact_name: no parameter 'nam'; {ROOTS}, at position 0 in '$nam'; did you mean "
        "$name?"),
    "a root": (
        {"artifact_name": "$reslt.x"}, f"artifact_name: no parameter 'reslt'; {ROOTS}, at position 0 in '$reslt.x'; "
        "did you mean $result?"),
    "no root": ({"collection_name": "$zzz"}, f"collection_name: no parameter 'zzz'; {ROOTS}, at position 0 in '$zzz'"),
    "an item": (
        {"artifact_name": "$item.name"}, "artifact_name: $item is only known where the field each is given, at "
        "position 0 in '$item.name'"),
    "a key of metadata": (
        {"metadata": {"v": "$vers"}}, f"metadata['v']: no parameter 'vers'; {ROOTS}, at position 0 in '$vers'; did you "
        "mean $version?"),
    "a selector": (
        {"artifact_name": "$name."}, "artifact_name: expected an attribute's name after the dot at position 6 in "
        "'$name.'"),
    "a condition": (
        {"skip_if": "$dry_run and"}, "skip_if: expected a selector, a number, true, false, none, or a text in quotes "
        "at position 12 in '$dry_run and'"),
    "an outcome": (
        {"outcome": {"$oops": "error"}}, f"outcome: no parameter 'oops'; {ROOTS}, at position 0 in '$oops'"),
    "a case": (
        {"metadata": {"how": {"$dry": "dry", "else": "wet"}}}, f"metadata['how']: no parameter 'dry'; {ROOTS}, at "
        "position 0 in '$dry'; did you mean $dry_run?"),
    "each": (
        {"each": "$reslt"}, f"each: no parameter 'reslt'; {ROOTS}, at position 0 in '$reslt'; did you mean $result?"),
    "requested": (
        {"requested": "$name", "artifact_name": "fixed"}, "requested: artifacts are compared by name, which the field "
        "artifact_name has to read of $item"),
    "a field": (
        {"artefact_name": "$name"}, "unknown field 'artefact_name'; did you mean 'artifact_name'? the fields are "),
}  # fmt: skip


@pytest.mark.parametrize("what", FIELDS)
def test_each_faulty_field_is_told_with_its_place(told: Verify, what: str) -> None:
    """As tracking tells it at run time, in one sentence, with what was probably meant."""
    fields, message = FIELDS[what]
    ((severity, said),) = told("deploy", **fields)
    assert (severity, said[: len(message)]) == ("fault", message)
    assert message.endswith("fields are ") or said == message


@pytest.mark.parametrize("qualname", ["Shelf.run", "Shelf.opened", "Shelf.check", "Shelf.size", "Shelf.weight"])
def test_fields_of_everything_that_can_be_tracked_are_held_against_its_parameters(told: Verify, qualname: str) -> None:
    """What is unwrapped for tracking is unwrapped here."""
    ((severity, said),) = told(qualname, artifact_name="$nothing_such")
    assert severity == "fault"
    assert said.startswith("artifact_name: no parameter 'nothing_such'; there are ")


def test_any_name_may_be_a_keyword(told: Verify) -> None:
    """A function with ** takes what its parameters don't name."""
    assert told("catch_all", artifact_type="$kind") == []


def test_all_faults_of_a_target_are_told(told: Verify) -> None:
    """A faulty `each` hides no other field, and each key of tables and cases is looked at by itself."""
    said = told(
        "deploy",
        {"$upgrade": "update", "$result": "sync", "else": "deploy"},
        each="$rsult",
        artifact_name="$itm.name",
        requested="$nmes",
        outcome={"$item.bad": "error", "$item.worse(": "error"},
        metadata={"good": "$item.good", "bad": "$bad", "cases": {"$one": "$two", "else": "$three"}},
    )
    assert [severity for severity, _ in said] == ["fault"] * 11
    starts = ["no parameter 'upgrade'", "'$result' names what is known after the call", "no parameter 'rsult'",
              "no parameter 'itm'", "'$item.worse('", "no parameter 'nmes'", "no parameter 'bad'",
              "no parameter 'two'", "no parameter 'one'", "no parameter 'three'"]  # fmt: skip
    assert [start for start in starts if not any(start in text for _, text in said)] == []


def test_what_was_asked_for_is_held_against_named_items(told: Verify) -> None:
    """`requested` fits where the artifacts of the call are named by `$item`."""
    fields = {"each": "$result", "requested": "$names", "artifact_name": "$item"}
    assert told("each", **fields) == []
    ((_, said),) = told("each", **{**fields, "artifact_name": "fixed"})
    assert said.startswith("requested: artifacts are compared by name")


@pytest.mark.parametrize(
    ("fields", "warnings"),
    [
        ({"artifact_name": "$item.title"}, []),
        ({"artifact_name": "$item.titel"},
         ["artifact_name: $item is a Item, which has no .titel; did you mean .title?"]),
        ({"artifact_name": "$maybe.nope"}, ["artifact_name: $maybe is a Item, which has no .nope"]),
        ({"artifact_name": "$other.nope"}, ["artifact_name: $other is a Item, which has no .nope"]),
        ({"metadata": {"a": {"$item.x": "$shelf.y"}}}, ["metadata.a: $item is a Item, which has no .x",
                                                        "metadata.a: $shelf is a Shelf, which has no .y"]),
        ({"skip_if": "not $item.parts and $result.nope == 'a.b $item.no'"},
         ["skip_if: $result is a Item, which has no .nope"]),
        ({"artifact_name": "$either.x", "artifact_type": "$free.x", "metadata": {"k": "$table.x", "m": "$made.x",
          "o": "$options.x"}}, []),
        ({"artifact_name": "$item.nope | $shelf.nope"}, []),
        ({"artifact_name": "$shelf.path", "artifact_type": "$shelf.label", "metadata": {"s": "$shelf.size"}}, []),
    ],
)  # fmt: skip
def test_an_attribute_that_an_annotation_rules_out_is_warned_of(
    told: Verify, fields: dict[str, Any], warnings: list[str]
) -> None:
    """Not where the class may make it, a method sets it, the annotation allows more, or there is an alternative."""
    # `item` is a parameter of this function, and there is no each.
    assert told("typed", **fields) == [("warning", warning) for warning in warnings]


def test_the_class_of_a_method_is_that_of_self(told: Verify) -> None:
    """Attributes of `$self` are looked for on the class that the target names."""
    assert told("Shelf.inherited", artifact_name="$self.path") == []
    assert told("Shelf.deploy", artifact_name="$self.pat") == [
        ("warning", "artifact_name: $self is a Shelf, which has no .pat")
    ]


def test_what_a_coroutine_returns_is_annotated_and_what_a_generator_yields_is_not(told: Verify) -> None:
    """The annotation of an async function is that of its result."""
    assert told("later", artifact_name="$result.nope") == [
        ("warning", "artifact_name: $result is a Item, which has no .nope")
    ]
    assert told("stream", artifact_name="$result.nope") == []


def test_a_module_of_what_records_is_a_fault(told: Verify) -> None:
    """What tracking itself calls can't be tracked."""
    ((said,), _) = verify([Target("usagetrace.events:timestamp_text", "deploy")])
    assert said == [("fault", "what records can't be recorded")]


@pytest.mark.parametrize("program", ["ring.good", "", "ring.nowhere", "other.good"])
def test_a_circle_of_imports_is_gone_around_as_the_packages_program_does(write: Any, program: str) -> None:
    """A module that can't be the first of its package is no fault: it is checked after the console script's imports.

    Where no script helps, that it was not checked is a warning.
    """
    folder = write(
        ring__init="",
        ring__first="import ring.second\ndef one(name): ...\nclass A: ...",
        ring__second="from ring.first import A\ndef two(name): ...",
        ring__good="import ring.second",
        other__init="",
        other__good="",
    )
    if program:
        (folder / "ring-1.0.dist-info").mkdir()
        (folder / "ring-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: ring\nVersion: 1.0\n")
        (folder / "ring-1.0.dist-info" / "entry_points.txt").write_text(f"[console_scripts]\nring = {program}:main\n")
    said, functions = verify([Target("ring.first:one", "deploy"), Target("ring.first:tow", "deploy")])
    if program == "ring.good":
        assert (said, functions) == ([[], [("fault", "ring.first has no tow")]], ["ring.first:one", None])
        return
    for ((severity, text),) in said:
        assert severity == "warning"
        assert text.startswith("not checked: its module can't be imported: ImportError: cannot import name 'A' from ")
        assert text.endswith("; a program that imports other modules before may well get it")


# --- in processes of their own ---------------------------------------------------------------------------------


@pytest.fixture
def environ() -> dict[str, str]:
    paths = [str(Path(usagetrace.__file__).parents[1]), *filter(None, sys.path)]
    return {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}


MODULES = {
    "good": "def f(name): ...\nalias = f",
    "package/__init__": "from package.core import f",
    "package/core": "def f(name): ...",
    "chatty": "import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint(input('?'))\ndef f(): ...",
    "exits": "raise SystemExit(3)",
    "leaves": "import os\nos._exit(7)",
    "killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "raises": "1 / 0",
    "needs": "import no_such_dependency",
    "threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef f(name): ...",
    "ends_badly": "import atexit, os\natexit.register(os._exit, 9)\ndef f(name): ...",
    "recording": "from usagetrace import track\n@track.deploy\ndef f(artifact_name): ...\nf('canvas')",
}


def test_modules_of_all_kinds_are_looked_at_and_only_their_targets_suffer(
    environ: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a module does when it is imported becomes a sentence; nothing is printed, recorded or left running."""
    for name, text in MODULES.items():
        path = Path(f"{name}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    functions = ["good:f", "good:alias", "package:f", "package.core:f", "chatty:f", "exits:f", "leaves:f", "killed:f",
                 "raises:f", "needs:f", "threads:f", "ends_badly:f", "recording:f", "goood:f", "package.cor:f",
                 "good.below:f", "good.__main__:f"]  # fmt: skip
    targets = [Target(function, "deploy", where=f"here ({function})") for function in functions]
    targets.append(Target("gone:f", "deploy", where="here (gone:f)", optional=True))
    found = check(targets, ["a fault before"], cwd=os.getcwd(), env=environ)
    assert found[0] == Finding("fault", "", "", "a fault before")
    assert [(each.severity, each.function, each.message) for each in found[1:]] == [
        ("fault", "good:alias", "two targets on one function, good:f; the other one is here (good:f)"),
        ("fault", "package.core:f", "two targets on one function, package.core:f; the other one is here (package:f)"),
        ("fault", "chatty:f", "its module can't be imported: EOFError: EOF when reading a line"),
        ("fault", "exits:f", "its module ends the program when it is imported, with 3"),
        ("fault", "leaves:f", "its module ended the process with exit code 7 when it was imported"),
        ("fault", "killed:f", "its module ended the process by signal 9 when it was imported"),
        ("fault", "raises:f", "its module can't be imported: ZeroDivisionError: division by zero"),
        ("fault", "needs:f", "its module can't be imported: No module named 'no_such_dependency'"),
        ("fault", "goood:f", "no module goood; did you mean good?"),
        ("fault", "package.cor:f", "no module package.cor; did you mean package.core?"),
        ("fault", "good.below:f", "no module good.below (good can't be looked at: AttributeError)"),
        ("warning", "good.__main__:f", "not checked: importing its module would run the program"),
        ("warning", "gone:f", f"no module gone; looked for by {sys.executable}, from {os.getcwd()}"),
    ]
    assert {each.where for each in found[1:]} <= {target.where for target in targets}
    assert capfd.readouterr() == ("", "")
    assert list(Path(environ["HOME"]).rglob("*.seg")) == []


def test_a_module_that_hangs_is_given_up(environ: dict[str, str]) -> None:
    """After the time limit, with what it started."""
    Path("hangs.py").write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pid', 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    (found,) = check([Target("hangs:f", "deploy", where="here")], cwd=os.getcwd(), env=environ, timeout_s=0.7)
    assert found == Finding("fault", "here", "hangs:f", "its module was not imported within 0.7 s")
    # Nothing to wait for where the time was over before it started anything.
    pid = int(Path("pid").read_text() or 0) if Path("pid").exists() else 0
    end = time.monotonic() + 10
    while pid and _runs(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not (pid and _runs(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    # Dead, and nobody has asked how it ended.
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] in "ZX")


@pytest.mark.parametrize("framework", ["click", "typer", "fastapi"])
def test_a_framework_that_is_not_installed_is_a_fault(monkeypatch: pytest.MonkeyPatch, framework: str) -> None:
    """The sentence names it, also where the module can't be imported for that reason."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ((said,), _) = verify([Target("no_such_tool:cli", "", framework=framework)])
    assert said == [("fault", f"{framework}: the package {framework} is not installed for this Python")]


CLICK = """
    import click

    @click.group()
    def cli(): ...

    @cli.command()
    @click.argument("name")
    def add(name): ...

    nothing = click.Group("empty", {"look": click.Command("look", callback=lambda: None)})
    text = "no group"
"""


def test_what_makes_commands_is_held_against_the_commands(write: Any) -> None:
    """It is put in force as at run time: fields, the names of `events`, and whether there are any operations."""
    write(checked_click=CLICK)
    targets = [
        Target("checked_click:cli", "", {"artifact_type": "note"}, framework="click"),
        Target("checked_click:cli", "", {"artifact_name": "$nam"}, framework="click"),
        Target("checked_click:cli", "", framework="click", events={"ad": "deploy"}),
        Target("checked_click:nothing", "", framework="click"),
        Target("checked_click:text", "", framework="click"),
        Target("checked_click:gone", "", framework="click"),
    ]
    said, functions = verify(targets)
    assert [[severity for severity, _ in about] for about in said] == [[], *[["fault"]] * 5]
    assert functions == [None] * 6
