"""The command line of the example tool: exit codes, messages, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.examples.skillshelf_kit import BODY, change, command_file, copy_of, everything, front, skill  # isort: skip -- makes the package importable

from skillshelf import cli

import usagetrace


class Ran(NamedTuple):
    """What one command did."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run the tool alone, in an empty home that is the working directory, with nobody at the terminal."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SHELF_HOME", str(tmp_path / "shelf"))
    monkeypatch.chdir(tmp_path)
    with open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        usagetrace.configure(service_name="skillshelf")
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[[str], Ran]:
    """Run one command line; `PROJECT` is an empty project."""

    def command(line: str) -> Ran:
        try:
            code = cli.main(line.split())
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Ran(code, *capsys.readouterr())

    return command


@pytest.fixture
def world(run: Callable[[str], Ran], tmp_path: Path) -> Path:
    """A shelf with a skill, a command and a pair of one name; a project; things that are no artifacts."""
    (tmp_path / "project").mkdir()
    skill(tmp_path / "in")
    for kind in ("command", "agent"):
        command_file(tmp_path / f"{kind}s", "twin", kind)
    command_file(tmp_path / "in", "go")
    lines = "init", "add in/note", "add in/go.md", "add commands/twin.md", "add agents/twin.md"
    assert [run(line).code for line in lines] == [0] * 5
    (tmp_path / "plain.md").write_text("# No front matter\n")
    (tmp_path / "untyped.md").write_text(front("untyped") + BODY)
    (tmp_path / "binary.md").write_bytes(b"---\n\0\1\2\n---\n")
    (tmp_path / "escape.md").write_text(front("../../etc", more="type: command\n"))
    (tmp_path / "empty").mkdir()
    skill(tmp_path / "linked")
    (tmp_path / "linked" / "note" / "link").symlink_to(tmp_path / "plain.md")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("deploy nope --project project", 1, "no artifact 'nope' in collection 'default'"),
        ("deploy not --project project", 1, "did you mean note?"),
        ("deploy note --type agent --project project", 1, "no agent 'note'"),
        ("deploy twin --project project", 1, "as command and as agent: say which with --type"),
        ("deploy ../note --project project", 1, "'../note' can't be the name of an artifact"),
        ("deploy note --project nowhere", 1, "nowhere: there is no such project folder"),
        ("deploy note --project plain.md", 1, "there is no such project folder"),
        ("deploy note --project project --collection nope", 1, "no collection 'nope'"),
        ("deploy note --project project --collection ../x", 1, "can't be the name of a collection"),
        ("deploy note", 2, "--project"),
        ("add nothing.md", 1, "there is no such file or folder"),
        ("add plain.md --type command", 1, "front matter is missing"),
        ("add untyped.md", 1, "command or agent?"),
        ("add binary.md", 1, "binary, not UTF-8 text"),
        ("add binary.md --type agent", 1, "binary, not UTF-8 text"),
        ("add escape.md", 1, "'../../etc' can't be the name"),
        ("add empty", 1, "a skill needs a file SKILL.md"),
        ("add in/note/SKILL.md", 1, "give the folder"),
        ("add in/note --type agent", 1, "this is a folder"),
        ("add linked/note --replace", 1, "the link leaves the artifact's folder"),
        ("add in/note", 1, "is in collection 'default' already"),
        ("add in/note --collection nope", 1, "there is: default"),
        ("update note --from nothing", 1, "there is no such file or folder"),
        ("update note --from in/go.md", 1, "a skill is a folder"),
        ("update note --from in/note --strategy prompt", 1, "answer with --yes or --no"),
        ("update note --from in/note --yes", 2, "--strategy prompt"),
        ("update note --from in/note --strategy guess", 2, "invalid choice"),
        ("sync note --project project", 1, "no artifact 'note' is deployed"),
        ("sync note --project project --no", 2, "--mode overwrite"),
        ("sync note --project project --as x", 2, "--mode fork"),
        ("remove", 2, "name what to remove"),
        ("remove note --cleanup --project project", 2, "--cleanup takes"),
        ("remove note --force", 2, "needs --project"),
        ("remove note --project project --collection default", 2, "exclude each other"),
        ("remove nope", 1, "no artifact 'nope'"),
        ("search x --limit 0", 2, "invalid"),
        ("search x --collection nope", 1, "no collection 'nope'"),
        ("--shelf nowhere list", 1, "there is no shelf here"),
        ("show nope", 1, "no artifact 'nope'"),
        ("frobnicate", 2, "invalid choice"),
        ("batch nothing.txt", 1, "nothing.txt: No such file"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    world: Path, run: Callable[[str], Ran], line: str, code: int, message: str
) -> None:
    """Each error has its exit code, names the thing, and leaves every file as it was."""
    before = everything(world)
    done = run(line)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert everything(world) == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("list", ["note", "go", "twin", "default"]),
        ("list --type agent", ["agent", "twin"]),
        ("show note", ["Keeps notes", "SKILL.md", "middle"]),
        ("search notes", ["4 found", "description"]),
        ("search zebra", ["0 found"]),
        ("search notes --limit 1", ["4 found, 1 shown"]),
        ("deploy note go --project project", ["deployed skill note 1.0.0", "deployed command go"]),
        ("remove twin --type agent", ["removed agent twin from collection default"]),
        ("init --starter", ["starter library"]),
        ("update note --from in/note", ["nothing to change"]),
        ("--version", ["skillshelf 1."]),
    ],
)
def test_what_works_says_what_it_did(world: Path, run: Callable[[str], Ran], line: str, words: list[str]) -> None:
    """Success is exit code 0, an empty standard error, and words about the thing."""
    done = run(line)
    assert (done.code, done.err) == (0, "")
    assert [word in done.out for word in words] == [True] * len(words)


def test_one_name_that_fails_does_not_stop_the_others(world: Path, run: Callable[[str], Ran]) -> None:
    """Several names are several deployments; one that fails makes the exit code 1."""
    done = run("deploy note nope go --project project")
    assert (done.code, done.out.count("deployed"), done.err.count("error")) == (1, 2, 1)


def test_the_state_of_copies_is_listed(world: Path, run: Callable[[str], Ran]) -> None:
    """Clean, edited, behind, both, missing, orphaned and conflicting copies are told apart."""
    run("deploy note go --project project")
    run("deploy twin --type agent --project project")

    def states() -> dict[str, str]:
        return {row["name"]: row["state"] for row in json.loads(run("list --project project --json").out)}

    assert states() == {"note": "clean", "go": "clean", "twin": "clean"}
    change(copy_of(world / "project"), "middle", "HERE")
    skill(world / "in", version="1.1.0", body=BODY.replace("middle", "THERE"))
    (world / "project" / ".shelf" / "commands" / "go.md").unlink()
    run("remove twin --type agent")
    assert states() == {"note": "edited", "go": "missing", "twin": "orphan"}
    run("update note --from in/note")
    assert states()["note"] == "edited, behind"
    assert run("sync note --project project").code == 1
    assert states()["note"] == "conflict"


def test_questions_are_answered_on_the_command_line(world: Path, run: Callable[[str], Ran]) -> None:
    """--no is a clean end that changes nothing; --yes goes ahead."""
    run("deploy note --project project")
    change(copy_of(world / "project"), "middle", "HERE")
    no, yes = (run(f"sync note --project project --mode overwrite --{answer}") for answer in ("no", "yes"))
    assert (no.code, yes.code) == (0, 0)
    assert ("cancelled" in no.out, "synced" in yes.out) == (True, True)


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"format": 9}', '{"format": 1, "artifacts": [{"type": "x"}]}', "\udcff"]
)
def test_a_broken_manifest_is_an_error(world: Path, run: Callable[[str], Ran], text: str) -> None:
    """A manifest that can't be understood is named and left alone."""
    manifest = world / "project" / ".shelf" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_bytes(text.encode("utf-8", "surrogateescape"))
    for line in ("deploy note --project project", "list --project project", "remove --cleanup --project project"):
        done = run(line)
        assert (done.code, "manifest.json" in done.err) == (1, True)
    assert manifest.read_bytes() == text.encode("utf-8", "surrogateescape")


def test_no_artifact_can_speak_to_the_terminal(world: Path, run: Callable[[str], Ran]) -> None:
    """Control characters of a description or a text are shown as replacements."""
    path = world / "evil.md"
    path.write_text("---\nname: evil\ndescription: a\x1b[2Jb\nversion: 1\ntype: command\n---\n\x1b]0;t\x07\n")
    assert run("add evil.md").code == 0
    assert [
        character in run(line).out for line in ("list", "show evil", "search evil") for character in "\x1b\x07"
    ] == [False] * 6


def test_an_invalid_artifact_on_the_shelf_does_not_hide_the_others(world: Path, run: Callable[[str], Ran]) -> None:
    """Damage is reported beside what is well; the damaged one can still be removed."""
    collection = world / "shelf" / "collections" / "default"
    (collection / "commands" / "go.md").write_text("damaged")
    (collection / "skills" / "Bad Name").mkdir()
    done = run("list")
    assert (done.code, "note" in done.out, "go.md" in done.err, "'Bad Name'" in done.err) == (1, True, True, True)
    (collection / "skills" / "Bad Name").rmdir()
    assert (run("search notes").code, run("remove go").code, run("list").code) == (0, 0, 0)


def test_a_batch_goes_on_after_a_failure(world: Path, run: Callable[[str], Ran]) -> None:
    """Each line is a command; lines that fail are named with their exit codes at the end."""
    (world / "batch.txt").write_text("# note\n\ndeploy note --project project\nremove\nshow nope\n'\nbatch x\nlist\n")
    done = run("batch batch.txt")
    failed = [line.rsplit(": ", 1)[1] for line in done.err.splitlines() if "failed with" in line]
    codes = [(4, 2), (5, 1), (6, 2), (7, 2)]
    assert failed == [f"line {number} failed with exit code {code}" for number, code in codes]
    assert (done.code, copy_of(world / "project").exists()) == (1, True)


def test_a_reader_that_leaves_early_is_no_crash(world: Path) -> None:
    """Output into a closed pipe ends quietly, with exit code 1."""
    packages = [str(Path(module.__file__ or "").parents[1]) for module in (cli, usagetrace)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(packages)}
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "skillshelf", "list"]
    done = subprocess.run(command, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
