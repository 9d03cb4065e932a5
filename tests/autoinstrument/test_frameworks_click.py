"""Commands of click: which are operations, what is recorded of them, and that the program is what it was."""

from __future__ import annotations

import copy
import inspect
import logging
from typing import Any

import click
import pytest
from click.testing import CliRunner

from usagetrace.autoinstrument.active import ACTIVE, FAILED

from .conftest import Write
from .frameworks_kit import in_force, load, recorded, told

TOOL = """
import sys
import click

@click.group(invoke_without_command=True)
@click.pass_context
def cli(ctx):
    '''A shelf of skills.'''

@cli.command()
@click.argument("skill")
@click.option("--force/--no-force")
@click.option("--type", "type_", default="skill", show_default=True)
@click.pass_context
def deploy(ctx, skill, force, type_):
    '''Put a skill in its place.'''
    click.echo(f"{ctx.info_name} {skill} {force} {type_}")
    return skill

@cli.command("rm")
@click.argument("names", nargs=-1)
@click.option("--reason", default="old")
def discard(names, reason):
    if "broken" in names:
        raise click.ClickException("broken")
    if "pinned" in names:
        click.confirm("really?", abort=True)
    click.echo(" ".join(names))

@cli.command()
@click.argument("words", nargs=-1)
@click.option("--limit", default=3)
def find(**given):
    click.echo(given["limit"])

@cli.command()
@click.argument("path")
@click.option("--name")
@click.argument("code", type=int, default=0)
def upgrade(path, name, code):
    if code == 9:
        raise click.exceptions.Exit(0)
    if code == 8:
        raise ValueError(path)
    sys.exit(code)

@cli.command()
def version():
    click.echo("1.0")

@cli.group()
def remote():
    '''Places elsewhere.'''

@remote.command("add")
@click.argument("name")
def remote_add(name):
    click.echo(name)

@remote.command("status")
def remote_status():
    click.echo("fine")

cli.add_command(discard, "drop")
# What somebody may type for it, first; its own name says what it is.
shared = click.Command("sync", callback=lambda name: click.echo(name), params=[click.Argument(["name"])])
cli.add_command(shared, "install")
cli.add_command(shared)
# A name that says nothing itself.
cli.add_command(click.Command("main", callback=lambda: None), "publish")
"""


def run(tool: Any, *arguments: str, **options: Any) -> tuple[int, str, str]:
    """Run a command line; return its exit code, its output and what it raised."""
    result = CliRunner().invoke(tool.cli, arguments, **options)
    return result.exit_code, result.output, repr(result.exception)


# A command line, and the events that it makes: type, artifact, how it ended.
LINES = {
    "deploy canvas": [("deploy", "canvas", "ok")],
    "deploy canvas --force": [("deploy", "canvas", "ok")],
    "rm a b": [("remove", "a", "ok"), ("remove", "b", "ok")],
    "drop a": [("remove", "a", "ok")],
    "rm": [("remove", "", "ok")],
    "rm a broken": [("remove", n, "click.exceptions.ClickException") for n in ("a", "broken")],
    "rm pinned": [("remove", "pinned", "cancelled")],
    "find red fox": [("search", "", "ok")],
    "upgrade here": [("update", "here", "ok")],
    "upgrade here --name canvas": [("update", "canvas", "ok")],
    "upgrade here 9": [("update", "here", "ok")],
    "upgrade here 8": [("update", "here", "ValueError")],
    "upgrade here 3": [("update", "here", "SystemExit")],
    "sync canvas": [("sync", "canvas", "ok")],
    "install canvas": [("sync", "canvas", "ok")],
    "publish": [("deploy", "", "ok")],
    "version": [],
    "remote add origin": [("deploy", "origin", "ok")],
    "remote status": [],
    "": [],
    "--help": [],
    "deploy --help": [],
    "remote --help": [],
    "deploy": [],
    "deploy canvas --nonsense": [],
    "unknown": [],
}


def test_a_command_line_does_what_it_did_and_is_recorded(write: Write) -> None:
    """Output, exit code and exception of each command line are those of the bare program; its operations are events."""
    write(shelf_cli=TOOL)
    bare = {line: run(load("shelf_cli"), *line.split()) for line in LINES}
    instrumented, events_of = {}, {}
    with in_force("click", "shelf_cli:cli"):
        for line in LINES:
            with recorded() as events:
                instrumented[line] = run(load("shelf_cli"), *line.split())
            events_of[line] = told(events)
    assert instrumented == bare
    assert events_of == LINES


def test_fields_are_parameters_of_the_command(write: Write) -> None:
    """Selectors name parameters; those that a command lacks are nothing there; what is searched for is the query."""
    write(shelf_cli=TOOL)
    fields = {"artifact_type": "$type_ | tool", "metadata": {"why": "$reason", "forced": "$force"}}
    with in_force("click", "shelf_cli:cli", **fields), recorded() as events:
        tool = load("shelf_cli")
        run(tool, "deploy", "canvas", "--force")
        run(tool, "rm", "canvas")
        run(tool, "find", "red", "fox")
    shown = [
        (e.event_type, e.artifact_type, {k: (e.metadata or {}).get(k) for k in ("why", "forced", "query")})
        for e in events
    ]
    assert shown == [
        ("deploy", "skill", {"why": None, "forced": True, "query": None}),
        ("remove", "tool", {"why": "old", "forced": None, "query": None}),
        ("search", "tool", {"why": None, "forced": None, "query": "red fox"}),
    ]


def test_events_say_what_names_do_not(write: Write) -> None:
    """A command that ``events`` names is of that type, by the path that a user types; an empty one is no event."""
    write(shelf_cli=TOOL)
    events_by_name = {"version": "report", "remote status": "search", "rm": "cleanup", "remote add": ""}
    with in_force("click", "shelf_cli:cli", events_by_name), recorded() as events:
        tool = load("shelf_cli")
        for line in ("version", "remote status", "drop x", "remote add x", "deploy x"):
            assert run(tool, *line.split())[0] == 0
    assert [event.event_type for event in events] == ["report", "search", "cleanup", "deploy"]


@pytest.mark.parametrize("name", ["deploy", "discard", "find", "remote_add"])
def test_a_callback_looks_as_before_and_is_given_back(write: Write, name: str) -> None:
    """Signature, name, docstring and what click keeps at a callback stay; afterwards it is the same object again."""
    write(shelf_cli=TOOL)
    tool = load("shelf_cli")
    command, callback = getattr(tool, name), getattr(tool, name).callback
    before = dict(vars(click.Group))
    tables = [vars(one).keys() for one in (tool.cli, tool.remote, command)]
    with in_force("click", "shelf_cli:cli") as instrumentation:
        (state,) = instrumentation.states()
        assert state.state == ACTIVE
        tracked = command.callback
        assert tracked is not callback
        assert inspect.signature(tracked) == inspect.signature(callback)
        assert (tracked.__name__, tracked.__doc__, tracked.__module__) == (
            callback.__name__, callback.__doc__, callback.__module__,
        )  # fmt: skip
        assert vars(tracked) == vars(callback)
    assert command.callback is callback
    assert dict(vars(click.Group)) == before
    assert [vars(one).keys() for one in (tool.cli, tool.remote, command)] == tables


def test_calls_are_counted_also_of_what_came_later(write: Write) -> None:
    """A target's count is that of all its commands."""
    write(shelf_cli=TOOL)
    with in_force("click", "shelf_cli:cli") as instrumentation, recorded() as events:
        tool = load("shelf_cli")
        run(tool, "deploy", "a")
        run(tool, "rm", "a")

        @tool.cli.command()
        @click.argument("name")
        def publish(name: str) -> None: ...

        run(tool, "publish", "late")
        (state,) = instrumentation.states()
        assert state.calls == 3
    assert told(events)[-1] == ("deploy", "late", "ok")
    # It is given back as well.
    assert inspect.isfunction(tool.cli.commands["publish"].callback)
    assert type(tool.cli.commands["publish"].callback) is type(run)


LAZY = """
import importlib
import click

class Lazy(click.Group):
    def list_commands(self, ctx):
        return ["deploy", "nested"]
    def get_command(self, ctx, cmd_name):
        if cmd_name == "nested":
            return Lazy("nested")
        if cmd_name not in ("deploy", "install", "version"):
            return None
        return getattr(importlib.import_module("lazy_commands"), "deploy" if cmd_name == "install" else cmd_name)

cli = Lazy()
"""


def test_lazy_groups_load_when_they_did(write: Write) -> None:
    """Nothing of a lazy group is asked for before the program does; what it finds is tracked and given back."""
    write(
        lazy_cli=LAZY,
        lazy_commands="""
        import click
        @click.command()
        @click.argument("name")
        def deploy(name): click.echo(name)
        @click.command()
        def version(): click.echo("1")
        """,
    )
    import sys

    with in_force("click", "lazy_cli:cli"), recorded() as events:
        tool = load("lazy_cli")
        assert "lazy_commands" not in sys.modules
        assert run(tool, "version") == (0, "1\n", "None")
        for line in ("deploy a", "install b", "nested deploy c"):
            assert run(tool, *line.split()) == (0, f"{line.split()[-1]}\n", "None")
        assert run(tool, "unknown")[0] == 2
    assert told(events) == [("deploy", name, "ok") for name in "abc"]
    assert type(sys.modules["lazy_commands"].deploy.callback) is type(run)
    assert "get_command" in vars(tool.Lazy)
    assert not hasattr(tool.Lazy.get_command, "__wrapped__")


def test_groups_of_every_shape(write: Write) -> None:
    """Chained groups, collections and copies of groups run as they did, and each command counts once."""
    write(
        shape_cli="""
        import click
        @click.group(chain=True)
        def chain(): ...
        @chain.command()
        @click.argument("name")
        def pull(name): click.echo("pulled " + name)
        @chain.command()
        @click.argument("name")
        def push(name): click.echo("pushed " + name)

        cli = click.CommandCollection(sources=[chain])
        """
    )
    with in_force("click", "shape_cli:cli"), recorded() as events:
        tool = load("shape_cli")
        assert CliRunner().invoke(tool.chain, ["pull", "a", "push", "b"]).output == "pulled a\npushed b\n"
        assert CliRunner().invoke(tool.cli, ["pull", "c"]).output == "pulled c\n"
        other = copy.copy(tool.chain)
        other.commands = {"get": tool.pull}
        assert CliRunner().invoke(other, ["get", "d"]).output == "pulled d\n"
        assert CliRunner().invoke(other, ["push", "d"]).exit_code == 2
    assert told(events) == [("sync", name, "ok") for name in "abcd"]


def test_one_command_and_its_result(write: Write) -> None:
    """A target may be a single command; without standalone mode its result is returned as it was."""
    write(shelf_cli=TOOL)
    with in_force("click", "shelf_cli:deploy", metadata={"gave": "$result"}), recorded() as events:
        tool = load("shelf_cli")
        assert tool.deploy(["canvas"], standalone_mode=False) == "canvas"
        with pytest.raises(click.ClickException, match="broken"):
            tool.discard(["broken"], standalone_mode=False)
    assert [(event.event_type, (event.metadata or {})["gave"]) for event in events] == [("deploy", "canvas")]


def test_a_command_that_a_target_of_its_own_names_is_left_to_that(write: Write) -> None:
    """Whichever comes first in the file, a command's own target says what it is, and it counts once."""
    from usagetrace.autoinstrument.active import Instrumentation
    from usagetrace.autoinstrument.target import Target

    write(shelf_cli=TOOL)
    instrumentation = Instrumentation()
    instrumentation.begin(
        [Target("shelf_cli:cli", "", framework="click"), Target("shelf_cli:deploy.callback", "publish")]
    )
    try:
        with recorded() as events:
            run(load("shelf_cli"), "deploy", "canvas")
        assert [state.state for state in instrumentation.states()] == [ACTIVE, ACTIVE]
        assert [event.event_type for event in events] == ["publish"]
    finally:
        instrumentation.end()


@pytest.mark.parametrize(
    ("function", "events", "fields", "message"),
    [
        ("shelf_cli:version", {}, {}, "no command of it is an operation; there are version"),
        ("shelf_cli:run_it", {}, {}, "shelf_cli has no run_it"),
        ("shelf_cli:TOOL", {}, {}, "TOOL can't be called"),
        ("shelf_cli:plain", {}, {}, "plain is no click command or group: it is a function"),
        ("shelf_cli:cli", {}, {"artifact_name": "$skil"}, "no parameter 'skil'; there are $code, $force"),
        ("shelf_cli:cli", {}, {"skip_if": "$force and"}, "field skip_if: expected"),
        ("shelf_cli:cli", {"rm": "x" * 600}, {}, "expected the name of an event type"),
    ],
)
def test_what_does_not_fit_is_told(
    write: Write, caplog: pytest.LogCaptureFixture, function: str, events: Any, fields: Any, message: str
) -> None:
    """A target that can't be applied says why, in one warning, and the program runs."""
    write(shelf_cli=TOOL + "\nTOOL = 3\ndef plain(): ...\n")
    with (
        caplog.at_level(logging.WARNING, "usagetrace"),
        in_force("click", function, events, **fields) as instrumentation,
    ):
        assert run(load("shelf_cli"), "deploy", "canvas") == (0, "deploy canvas False skill\n", "None")
        (state,) = instrumentation.states()
    assert (state.state, message in state.message) == (FAILED, True), state.message
    assert len(caplog.records) == 1


def test_a_name_that_no_command_has_is_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake among ``events`` is one warning with what was meant; all other commands are recorded."""
    write(shelf_cli=TOOL)
    put = in_force("click", "shelf_cli:cli", {"versoin": "report"})
    with caplog.at_level(logging.WARNING, "usagetrace"), put, recorded() as events:
        run(load("shelf_cli"), "deploy", "canvas")
    assert told(events) == [("deploy", "canvas", "ok")]
    assert [record.getMessage() for record in caplog.records] == [
        "usagetrace: here: events: no command 'versoin' in shelf_cli:cli; did you mean 'version'?"
    ]


def test_a_group_that_is_empty_yet_waits(write: Write) -> None:
    """Commands that another module adds to a group are operations of the target that names the group."""
    write(
        split__init="",
        split__base="import click\ncli = click.Group()\n",
        split__more="""
        import click
        from split.base import cli
        @cli.command()
        @click.argument("name")
        def sync(name): ...
        """,
    )
    with in_force("click", "split.base:cli"), recorded() as events:
        load("split.more")
        assert CliRunner().invoke(load("split.base").cli, ["sync", "canvas"]).exit_code == 0
    assert told(events) == [("sync", "canvas", "ok")]


def test_faults_are_told_before_the_program_runs(write: Write) -> None:
    """The check of targets finds, in the modules themselves, what would be told at run time."""
    from usagetrace.autoinstrument.check import check
    from usagetrace.autoinstrument.target import Target

    folder = write(shelf_cli=TOOL)
    fields = ({}, {"artifact_name": "$skil"})
    targets = [Target("shelf_cli:cli", "", given, where="here", framework="click") for given in fields]
    targets.append(Target("shelf_cli:version", "", where="here", framework="click"))
    found = [(finding.function, finding.message) for finding in check(targets, cwd=str(folder))]
    assert [function for function, _message in found] == ["shelf_cli:cli", "shelf_cli:version"]
    assert "no parameter 'skil'" in found[0][1]
    assert found[1][1].startswith("no command of it is an operation")
