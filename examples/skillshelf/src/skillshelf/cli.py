"""The command line: arguments in, one operation, text out. Exit codes: 0 done, 1 failed, 2 wrong usage.

This module owns the arguments and the entry point. What the commands do is in :mod:`skillshelf.commands`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import usagetrace
from skillshelf import __version__, commands
from skillshelf.artifact import Kind
from skillshelf.errors import ShelfError
from skillshelf.shelf import DEFAULT_COLLECTION, default_root
from skillshelf.show import fail

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed. Wrong usage exits with 2.
    """
    usagetrace.configure(service_name="skillshelf", service_version=__version__)
    return dispatch(sys.argv[1:] if argv is None else argv)


def dispatch(argv: Sequence[str]) -> int:
    """Run one command line in a process whose telemetry is set up; see :func:`main`."""
    parser = build_parser()
    options = parser.parse_args(argv)
    _check(parser, options)
    command: Command = options.run
    try:
        code = command(options)
        # Here, not at exit: a reader that is gone must not become an error message of the interpreter.
        sys.stdout.flush()
        return code
    except ShelfError as error:
        return fail(str(error))
    except BrokenPipeError:
        # The reader of our output is gone: point the stream elsewhere, or its flush at exit fails too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return fail(f"{error.filename or 'the system'}: {error.strerror or error}")


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse combinations of options of which one would have no effect."""
    name = options.command
    if name == "update" and options.answer is not None and options.strategy != "prompt":
        parser.error("--yes and --no answer the question of --strategy prompt; no other strategy asks one")
    if name == "sync" and options.answer is not None and options.mode != "overwrite":
        parser.error("--yes and --no answer the question of --mode overwrite; no other mode asks one")
    if name == "sync" and options.fork_name and options.mode != "fork":
        parser.error("--as names the new artifact of --mode fork")
    if name == "remove":
        if options.cleanup and (options.names or options.project is None or options.force):
            parser.error("--cleanup takes --project DIR, no names, and no --force")
        if not options.cleanup and not options.names:
            parser.error("name what to remove, or use --cleanup --project DIR")
        if options.force and options.project is None:
            parser.error("--force is about edited copies in a project: it needs --project DIR")
        if options.project is not None and options.collection is not None:
            parser.error("--collection and --project exclude each other: a copy is in its project once")
    if name == "list" and options.project is not None and options.collection is not None:
        parser.error("--collection and --project exclude each other")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="skillshelf", description="Keep skills, commands and agents on a shelf; deploy them into projects."
    )
    parser.add_argument("--version", action="version", version=f"skillshelf {__version__}")
    parser.add_argument(
        "--shelf", type=Path, default=None, metavar="DIR", help="the shelf; default $SHELF_HOME, else ~/.skillshelf"
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _look(subparsers)
    _take(subparsers)
    _copy(subparsers)
    batch = _command(subparsers, "batch", run_batch, "run one command a line from a file, in one process")
    batch.add_argument("file", metavar="FILE", help="the file; - for standard input; # starts a comment")
    return parser


_Subparsers = argparse._SubParsersAction  # argparse has no public name for it


def _command(
    subparsers: _Subparsers[argparse.ArgumentParser], name: str, run: Command, help_text: str
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def _look(subparsers: _Subparsers[argparse.ArgumentParser]) -> None:
    init = _command(subparsers, "init", commands.init, "make a shelf, or another collection on it")
    init.add_argument("--collection", default=DEFAULT_COLLECTION, metavar="C", help="collection to make")
    init.add_argument("--starter", action="store_true", help="put the starter library into it")
    listing = _command(subparsers, "list", commands.list_artifacts, "list what is on the shelf or in a project")
    listing.add_argument("--collection", metavar="C", help="only this collection")
    listing.add_argument("--project", type=_folder, metavar="DIR", help="what is deployed there, and how it stands")
    _type(listing)
    _json(listing)
    show = _command(subparsers, "show", commands.show, "show one artifact")
    show.add_argument("name", metavar="NAME")
    _type(show)
    _collection(show)
    _json(show)
    search = _command(subparsers, "search", commands.search, "find artifacts by words")
    search.add_argument("query", metavar="QUERY")
    search.add_argument("--in", dest="search_type", choices=("metadata", "content", "both"), default="both")
    search.add_argument("--collection", metavar="C", help="only this collection")
    search.add_argument("--limit", type=_positive, default=20, metavar="N", help="most results to show (20)")
    _type(search)
    _json(search)


def _take(subparsers: _Subparsers[argparse.ArgumentParser]) -> None:
    add = _command(subparsers, "add", commands.add, "take an artifact into a collection")
    add.add_argument("path", type=Path, metavar="PATH", help="a skill's folder, or a command's or agent's file")
    add.add_argument("--replace", action="store_true", help="remove what has its name there")
    _type(add)
    _collection(add)
    update = _command(subparsers, "update", commands.update, "bring a new version into a collection")
    update.add_argument("name", metavar="NAME")
    update.add_argument("--from", dest="source", type=Path, required=True, metavar="PATH", help="the new version")
    update.add_argument("--strategy", choices=("overwrite", "merge", "prompt"), default="overwrite")
    _answer(update)
    _type(update)
    _collection(update)


def _copy(subparsers: _Subparsers[argparse.ArgumentParser]) -> None:
    deploy = _command(subparsers, "deploy", commands.deploy, "copy artifacts into a project")
    deploy.add_argument("names", nargs="+", metavar="NAME")
    deploy.add_argument("--project", type=_folder, required=True, metavar="DIR")
    deploy.add_argument("--force", action="store_true", help="overwrite edited copies and foreign files")
    _type(deploy)
    _collection(deploy)
    sync = _command(subparsers, "sync", commands.sync, "bring a project's copy and its collection together")
    sync.add_argument("name", metavar="NAME")
    sync.add_argument("--project", type=_folder, required=True, metavar="DIR")
    sync.add_argument("--mode", choices=("overwrite", "merge", "fork"), default="merge")
    sync.add_argument("--as", dest="fork_name", metavar="NEW", help="name of the new artifact, for --mode fork")
    _answer(sync)
    _type(sync)
    remove = _command(subparsers, "remove", commands.remove, "remove artifacts from a collection or a project")
    remove.add_argument("names", nargs="*", metavar="NAME")
    remove.add_argument("--project", type=_folder, metavar="DIR", help="remove the copy there, not the source")
    remove.add_argument("--cleanup", action="store_true", help="remove copies whose source is no longer on the shelf")
    remove.add_argument("--force", action="store_true", help="remove a copy even if it was edited")
    remove.add_argument("--collection", metavar="C", help=f"collection to remove from ({DEFAULT_COLLECTION})")
    _type(remove)


def _type(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--type", dest="kind", type=Kind, choices=list(Kind), metavar="T", help="skill, command or agent"
    )


def _collection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--collection", default=DEFAULT_COLLECTION, metavar="C", help=f"the collection ({DEFAULT_COLLECTION})"
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _answer(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--yes", dest="answer", action="store_const", const=True, help="answer yes")
    group.add_argument("--no", dest="answer", action="store_const", const=False, help="answer no")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _folder(text: str) -> Path:
    return Path(os.path.abspath(Path(text).expanduser()))


def run_batch(options: argparse.Namespace) -> int:
    """Run the command on each line of a file; go on after a failure, and say at the end which lines failed."""
    text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
    failed = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            argv = shlex.split(line, comments=True)
        except ValueError as error:
            failed.append((number, fail(f"line {number}: {error}", code=2)))
            continue
        code = _run_line(options, argv, number) if argv else 0
        if code:
            failed.append((number, code))
    for number, code in failed:
        print(f"skillshelf: batch: line {number} failed with exit code {code}", file=sys.stderr)
    return 1 if failed else 0


def _run_line(options: argparse.Namespace, argv: list[str], number: int) -> int:
    if "batch" in argv[:1]:
        return fail(f"line {number}: a batch can't hold another", code=2)
    shelf = options.shelf or default_root()
    try:
        return dispatch(["--shelf", str(shelf), *argv])
    except SystemExit as error:
        # argparse ends the process for wrong usage and for --help; a batch goes on.
        return error.code if isinstance(error.code, int) else 1
