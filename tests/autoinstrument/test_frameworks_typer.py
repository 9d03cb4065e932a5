"""Commands of Typer: applications before and after Typer has built them, and that the program is what it was."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from usagetrace.autoinstrument.active import ACTIVE, FAILED

from .conftest import Write
from .frameworks_kit import in_force, load, load_anew, recorded, told

TOOL = """
from pathlib import Path
from typing import Annotated, List, Optional
import typer

app = typer.Typer()
remote = typer.Typer()
Kind = Annotated[str, typer.Option("--type")]
app.add_typer(remote, name="remote", help="Places elsewhere.")

@app.callback()
def main(verbose: bool = False):
    '''A shelf of skills.'''

@app.command()
def deploy(ctx: typer.Context, skill: str, force: bool = False, type_: Kind = "skill"):
    '''Put a skill in its place.'''
    typer.echo(f"{ctx.info_name} {skill} {force} {type_}")
    if skill == "broken":
        raise ValueError(skill)
    if skill == "stops":
        raise typer.Exit(4)
    if skill == "ends":
        raise typer.Exit()
    if skill == "refused":
        raise typer.Abort()

@app.command("rm")
def discard(names: Annotated[Optional[List[str]], typer.Argument(help="What goes.")] = None):
    typer.echo(names)

@app.command()
def publish_all(folder: Path = typer.Argument(Path(".")), *, name: Annotated[Optional[str], typer.Option()] = None):
    typer.echo(folder)

@app.command()
def find(word: str = typer.Argument(...), limit: int = 3):
    typer.echo(limit)

@app.command()
def version():
    typer.echo("1.0")

@remote.command()
def add(name: str):
    typer.echo(name)
"""
BUILT = TOOL + "\nbuilt = typer.main.get_command(app)\n"

LINES = {
    "deploy canvas": [("deploy", "canvas", "ok")],
    "deploy canvas --force --type tool": [("deploy", "canvas", "ok")],
    "deploy broken": [("deploy", "broken", "ValueError")],
    "deploy stops": [("deploy", "stops", "Exit")],
    "deploy ends": [("deploy", "ends", "ok")],
    "deploy refused": [("deploy", "refused", "cancelled")],
    "rm a b": [("remove", "a", "ok"), ("remove", "b", "ok")],
    "rm": [("remove", "", "ok")],
    "publish-all here": [("deploy", "here", "ok")],
    "publish-all here --name canvas": [("deploy", "canvas", "ok")],
    "find fox": [("search", "", "ok")],
    "version": [],
    "remote add origin": [("deploy", "origin", "ok")],
    "remote": [],
    "--help": [],
    "deploy --help": [],
    "deploy": [],
    "deploy a --nonsense": [],
}


def run(app: Any, line: str) -> tuple[int, str, str]:
    """Run a command line of an application; return its exit code, its output and what it raised."""
    result = CliRunner().invoke(app, line.split())
    return result.exit_code, result.output, repr(result.exception)


def run_built(command: Any, line: str) -> object:
    """Run a command line of what Typer built, as a plain command; return its result or what it raised."""
    try:
        return command(line.split(), standalone_mode=False, prog_name="shelf")
    except Exception as error:
        return repr(error)


def test_a_command_line_does_what_it_did_and_is_recorded(write: Write) -> None:
    """Output, help, exit code and exception of each command line are those of the bare program; its events are told."""
    write(shelf_app=TOOL)
    bare = {line: run(load("shelf_app").app, line) for line in LINES}
    instrumented, events_of = {}, {}
    with in_force("typer", "shelf_app:app"):
        for line in LINES:
            with recorded() as events:
                instrumented[line] = run(load("shelf_app").app, line)
            # Typer has moved its exceptions between modules.
            events_of[line] = [(kind, name, ended.rpartition(".")[2]) for kind, name, ended in told(events)]
    assert instrumented == bare
    assert events_of == LINES


@pytest.mark.parametrize("named", ["app", "built"])
@pytest.mark.parametrize("line", ["deploy canvas", "deploy broken", "rm a b", "remote add origin", "version"])
def test_what_typer_has_built_already_is_tracked_as_well(write: Write, line: str, named: str) -> None:
    """A command that a module keeps, made from the application, is tracked, whichever of the two a target names."""
    write(shelf_app=BUILT)
    bare = run_built(load_anew("shelf_app").built, line)
    with in_force("typer", f"shelf_app:{named}"), recorded() as events:
        assert run_built(load("shelf_app").built, line) == bare
    assert told(events) == LINES[line]


def test_fields_are_parameters_of_the_command(write: Write) -> None:
    """Selectors name parameters; those that a command lacks are nothing there; what is searched for is the query."""
    write(shelf_app=TOOL)
    fields = {"artifact_type": "$type_ | tool", "metadata": {"forced": "$force"}}
    with in_force("typer", "shelf_app:app", **fields), recorded() as events:
        for line in ("deploy canvas --force", "rm canvas", "find fox"):
            run(load("shelf_app").app, line)
    assert [(e.artifact_type, *((e.metadata or {}).get(key) for key in ("forced", "query"))) for e in events] == [
        ("skill", True, None),
        ("tool", None, None),
        ("tool", None, "fox"),
    ]


def test_commands_that_are_added_later_are_tracked(write: Write) -> None:
    """Typer builds what was added after the module was executed, also to an inner application, tracked."""
    write(shelf_app=TOOL, other_app="import typer\napp = typer.Typer()\n@app.command()\ndef deploy(name: str): ...\n")
    with in_force("typer", "shelf_app:app") as instrumentation, recorded() as events:
        tool = load("shelf_app")

        @tool.app.command()
        def pull(name: str) -> None: ...

        @tool.remote.command()
        def prune(name: str) -> None: ...

        @tool.app.command()
        def status() -> None: ...

        lines = ("pull a", "remote prune b", "status", "deploy c", "pull d")
        assert [run(tool.app, line)[0] for line in lines] == [0] * 5
        # Another application, which no target names.
        assert run(load("other_app").app, "e")[0] == 0
        (state,) = instrumentation.states()
        assert state.calls == 4
    assert told(events) == [("sync", "a", "ok"), ("remove", "b", "ok"), ("deploy", "c", "ok"), ("sync", "d", "ok")]
    assert [info.callback for info in tool.app.registered_commands][-2:] == [pull, status]


def test_an_application_of_one_command_and_an_empty_one(write: Write) -> None:
    """One command is the whole program; an application without any waits for them."""
    write(
        single_app="import typer\napp = typer.Typer()\n@app.command()\ndef install(name: str): ...\n",
        empty_app="import typer\napp = typer.Typer()\n",
    )
    with in_force("typer", "single_app:app"), in_force("typer", "empty_app:app"), recorded() as events:
        assert run(load("single_app").app, "canvas")[0] == 0
        app = load("empty_app").app

        @app.command()
        def sync(name: str) -> None: ...

        assert run(app, "notes")[0] == 0
    assert told(events) == [("deploy", "canvas", "ok"), ("sync", "notes", "ok")]


def test_everything_is_given_back(write: Write) -> None:
    """What Typer keeps of each command, and Typer's own module, are what they were."""
    write(shelf_app=BUILT)
    tool = load("shelf_app")
    infos = [*tool.app.registered_commands, *tool.remote.registered_commands]
    kept = [info.callback for info in infos]
    built = {name: command.callback for name, command in tool.built.commands.items()}
    before = dict(vars(typer.main))
    with in_force("typer", "shelf_app:app") as instrumentation:
        (state,) = instrumentation.states()
        assert state.state == ACTIVE
        changed = [info.callback for info in infos]
        assert [a is b for a, b in zip(kept, changed, strict=True)] == [False, False, False, False, True, False]
        assert [(f.__name__, f.__doc__, inspect.signature(f)) for f in changed] == [
            (f.__name__, f.__doc__, inspect.signature(f)) for f in kept
        ]
    assert [info.callback for info in infos] == kept
    assert all(type(info.callback) is type(run) for info in infos)
    assert {name: command.callback for name, command in tool.built.commands.items()} == built
    assert dict(vars(typer.main)) == before


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("plain_app:app", "no command of it is an operation; there are version, remote status."),
        ("plain_app:run", "run is no Typer application: it is a function"),
    ],
)
def test_what_does_not_fit_is_told(write: Write, caplog: pytest.LogCaptureFixture, function: str, message: str) -> None:
    """A target that can't be applied says why, in one warning, and the program runs."""
    write(
        plain_app="""
        import typer
        app = typer.Typer()
        remote = typer.Typer(name="remote")
        app.add_typer(remote)
        @app.command()
        def version(): typer.echo("1.0")
        @remote.command()
        def status(): ...
        def run(): ...
        """
    )
    with caplog.at_level(logging.WARNING, "usagetrace"), in_force("typer", function) as instrumentation:
        assert run(load("plain_app").app, "version") == (0, "1.0\n", "None")
        (state,) = instrumentation.states()
    assert (state.state, message in state.message) == (FAILED, True), state.message
    assert len(caplog.records) == 1
