"""The operations of the example tool, through its methods and its command line, on real folders."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.skillshelf_kit import BODY, change, copy_of, everything, front, skill, source_of  # isort: skip -- makes the package importable

from skillshelf import library
from skillshelf.artifact import Kind
from skillshelf.errors import (
    AlreadyThereError,
    EditedCopyError,
    InvalidArtifactError,
    NoAnswerError,
    UnknownArtifactError,
    UpdateFailedError,
)
from skillshelf.rack import Rack
from skillshelf.shelf import Shelf

import usagetrace


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run the tool alone: telemetry is off, the home is empty, nobody sits at the terminal."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SHELF_HOME", str(tmp_path / "shelf"))
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 -- closed below
    usagetrace.configure(service_name="skillshelf")
    yield
    sys.stdin.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A shelf with the skill `note` in it."""
    made = Shelf.create(tmp_path / "shelf")
    made.add(skill(tmp_path / "in"))
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def answering(asked: list[str], answer: bool) -> Callable[[str], bool]:
    def confirm(question: str) -> bool:
        asked.append(question)
        return answer

    return confirm


# --- add, deploy ---------------------------------------------------------------------------------------------


def test_adding_twice_needs_to_be_asked_for(shelf: Shelf, tmp_path: Path) -> None:
    """A name that is taken is refused, and replaced on request."""
    newer = skill(tmp_path / "newer", version="2.0.0")
    with pytest.raises(AlreadyThereError):
        shelf.add(newer)
    assert (shelf.add(newer, replace=True).replaced, shelf.collection().find("note").version) == (True, "2.0.0")


def test_a_deployed_copy_is_the_artifact(shelf: Shelf, project: Path) -> None:
    """Every file arrives; the manifest records version, collection and hash; doing it again changes nothing."""
    done = shelf.deploy("note", project)
    manifest = json.loads((project / ".shelf" / "manifest.json").read_text())
    assert everything(copy_of(project).parent) == everything(source_of(shelf).parent)
    assert manifest["artifacts"] == [
        {"type": "skill", "name": "note", "collection": "default", "version": "1.0.0", "base_sha": done.sha,
         "conflicted": False}
    ]  # fmt: skip
    assert (done.changed, shelf.deploy("note", project).changed) == (True, False)


def test_executable_files_stay_executable(shelf: Shelf, project: Path, tmp_path: Path) -> None:
    """A script of a skill can be run in the project."""
    folder = skill(tmp_path / "x", "runner")
    (folder / "go.sh").write_text("#!/bin/sh\n")
    (folder / "go.sh").chmod(0o755)
    shelf.add(folder)
    shelf.deploy("runner", project)
    assert copy_of(project, "runner").with_name("go.sh").stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("deployed", [True, False], ids=["edited copy", "foreign folder"])
def test_a_persons_files_are_not_overwritten(shelf: Shelf, project: Path, deployed: bool) -> None:
    """Deploying over an edited copy, or over something that this tool did not put there, needs --force."""
    if deployed:
        shelf.deploy("note", project)
        change(copy_of(project), "middle", "MIDDLE")
    else:
        skill(project / ".shelf" / "skills", body="mine")
    before = everything(project)
    with pytest.raises((EditedCopyError, AlreadyThereError), match="--force"):
        shelf.deploy("note", project)
    assert everything(project) == before
    assert shelf.deploy("note", project, force=True).changed
    assert copy_of(project).read_bytes() == source_of(shelf).read_bytes()


def test_a_link_out_of_the_project_is_not_followed(shelf: Shelf, project: Path, tmp_path: Path) -> None:
    """Where `.shelf` leads elsewhere, nothing is read or written there."""
    (tmp_path / "elsewhere").mkdir()
    (project / ".shelf").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="leads out of"):
        shelf.deploy("note", project)
    assert everything(tmp_path / "elsewhere") == {}


# --- update --------------------------------------------------------------------------------------------------


def test_overwrite_takes_the_new_version_and_counts_what_is_lost(shelf: Shelf, tmp_path: Path) -> None:
    """Local edits that disagree with the new version are detected, and overwritten."""
    change(source_of(shelf), "middle", "edited here")
    new = skill(tmp_path / "new", version="1.1.0", body=BODY.replace("middle", "edited there"))
    done = shelf.update("note", new)
    assert (done.version_before, done.version_after, done.conflicts_detected) == ("1.0.0", "1.1.0", 1)
    assert source_of(shelf).read_bytes() == (new / "SKILL.md").read_bytes()


def test_merge_keeps_local_edits(shelf: Shelf, tmp_path: Path) -> None:
    """Edits of the collection and of the author are combined; a second update knows what the first one brought."""
    change(source_of(shelf), "first", "local")
    first = shelf.update("note", skill(tmp_path / "a", version="1.1.0", body=BODY.replace("last", "new")), "merge")
    second = shelf.update("note", skill(tmp_path / "b", version="1.2.0", body=BODY.replace("last", "newer")), "merge")
    assert (first.conflicts_detected, second.conflicts_detected, second.version_after) == (0, 0, "1.2.0")
    assert source_of(shelf).read_text().endswith("local\n\nmiddle\n\nnewer\n")


def test_merge_marks_what_disagrees(shelf: Shelf, tmp_path: Path) -> None:
    """A conflict in the text is marked in the collection, where a person can edit it."""
    change(source_of(shelf), "middle", "here")
    new = skill(tmp_path / "new", version="1.1.0", body=BODY.replace("middle", "there"))
    done = shelf.update("note", new, "merge")
    assert (done.conflicts_detected, [c.path for c in done.conflicts]) == (1, ["SKILL.md"])
    assert "<<<<<<< collection\nhere\n=======\nthere\n>>>>>>> update\n" in source_of(shelf).read_text()


def test_an_update_without_a_usable_result_is_rolled_back(shelf: Shelf, tmp_path: Path) -> None:
    """Where the merged front matter is in conflict, every file is as it was, and the error says so."""
    change(source_of(shelf), "version: 1.0.0", "version: 1.0.1")
    before = everything(shelf.root)
    with pytest.raises(UpdateFailedError, match="rolled back") as caught:
        shelf.update("note", skill(tmp_path / "new", version="1.1.0"), "merge")
    assert everything(shelf.root) == before
    error = caught.value
    assert (error.rollback, error.version_before, error.conflicts_detected) == (True, "1.0.1", 1)


def test_an_update_that_fails_half_way_is_rolled_back(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk after the new files are in place brings the old ones back."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = everything(shelf.root)
    monkeypatch.setattr(Rack, "put", full)
    with pytest.raises(UpdateFailedError, match=r"rolled back.*No space left") as caught:
        shelf.update("note", skill(tmp_path / "new", version="1.1.0"))
    assert (caught.value.rollback, everything(shelf.root)) == (True, before)


@pytest.mark.parametrize(("answer", "choice", "version"), [(True, "proceed", "1.1.0"), (False, "cancel", "1.0.0")])
def test_prompt_asks_first(shelf: Shelf, tmp_path: Path, answer: bool, choice: str, version: str) -> None:
    """The question names versions and files; a no changes nothing."""
    asked: list[str] = []
    new = skill(tmp_path / "new", version="1.1.0")
    done = shelf.update("note", new, "prompt", confirm=answering(asked, answer))
    assert (done.user_choice, done.version_after, shelf.collection().find("note").version) == (choice, version, version)
    assert asked == ["note: 1.0.0 -> 1.1.0\n  ~ SKILL.md"]


def test_a_question_that_nobody_can_answer_changes_nothing(shelf: Shelf, tmp_path: Path) -> None:
    """Without a terminal and without --yes or --no, the tool refuses to guess."""
    before = everything(shelf.root)
    with pytest.raises(NoAnswerError, match="--yes or --no"):
        shelf.update("note", skill(tmp_path / "new", version="2.0.0"), "prompt")
    assert everything(shelf.root) == before


def test_an_update_must_be_of_the_same_artifact(shelf: Shelf, tmp_path: Path) -> None:
    """A new version of another name is refused."""
    with pytest.raises(InvalidArtifactError, match="expected note"):
        shelf.update("note", skill(tmp_path / "new", "other"))


# --- sync ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "here", "there", "result", "text", "changed"),
    [
        ("merge", "", "", "success", BODY, ()),
        ("merge", "first", "", "success", BODY.replace("first", "HERE"), ("collection",)),
        ("merge", "", "last", "success", BODY.replace("last", "THERE"), ("project",)),
        (
            "merge",
            "first",
            "last",
            "success",
            BODY.replace("first", "HERE").replace("last", "THERE"),
            ("project", "collection"),
        ),
        ("overwrite", "first", "last", "success", BODY.replace("last", "THERE"), ("project",)),
        ("overwrite", "", "", "success", BODY, ()),
        ("overwrite", "", "last", "success", BODY.replace("last", "THERE"), ("project",)),
    ],
)
def test_a_sync_leaves_both_sides_equal(
    shelf: Shelf, project: Path, mode: str, here: str, there: str, result: str, text: str, changed: tuple[str, ...]
) -> None:
    """Whoever changed what, afterwards project, collection and base agree, and a second sync has nothing to do."""
    before = shelf.deploy("note", project).sha
    if here:
        change(copy_of(project), here, "HERE")
    if there:
        change(source_of(shelf), there, "THERE")
    done = shelf.sync("note", project, mode, confirm=lambda _: True)  # type: ignore[arg-type]  # from parametrize
    assert (done.result, done.changed, done.conflicts_detected, done.error_message) == (result, changed, 0, None)
    assert copy_of(project).read_text() == source_of(shelf).read_text() == front() + text
    assert (done.sha_before == before) == (not here)
    assert done.sha_after == shelf.collection().find("note").sha
    again = shelf.sync("note", project)
    assert (again.changed, again.sha_before) == ((), done.sha_after)


def test_a_conflict_is_marked_in_the_project_until_it_is_edited(shelf: Shelf, project: Path) -> None:
    """Markers go to the project alone; syncing before they are gone is an error; afterwards the edit is what counts."""
    shelf.deploy("note", project)
    change(copy_of(project), "middle", "HERE")
    change(source_of(shelf), "middle", "THERE")
    untouched = source_of(shelf).read_bytes()
    done = shelf.sync("note", project)
    assert (done.result, done.conflicts_detected, source_of(shelf).read_bytes()) == ("conflict", 1, untouched)
    marked = "<<<<<<< project\nHERE\n=======\nTHERE\n>>>>>>> collection\n"
    assert marked in copy_of(project).read_text()
    early = shelf.sync("note", project)
    assert (early.result, early.sha_before == early.sha_after) == ("error", True)
    assert "conflict markers are left in SKILL.md" in str(early.error_message)
    change(copy_of(project), marked, "BOTH\n")
    assert shelf.sync("note", project).result == "success"
    assert source_of(shelf).read_text() == front() + BODY.replace("middle", "BOTH")


def test_a_declined_overwrite_is_cancelled(shelf: Shelf, project: Path) -> None:
    """Edits are lost only after a yes; the question names the project."""
    shelf.deploy("note", project)
    change(copy_of(project), "middle", "HERE")
    asked: list[str] = []
    done = shelf.sync("note", project, "overwrite", confirm=answering(asked, False))
    assert (done.result, done.sha_before == done.sha_after) == ("cancelled", True)
    assert "HERE" in copy_of(project).read_text()
    assert str(project) in asked[0]


def test_a_fork_becomes_an_artifact_of_its_own(shelf: Shelf, project: Path) -> None:
    """The project's copy is kept under another name, and the project uses it from then on."""
    shelf.deploy("note", project)
    change(copy_of(project), "middle", "HERE")
    done = shelf.sync("note", project, "fork")
    fork = shelf.collection().find("note-project")
    assert (done.forked_as, done.sha_after, fork.sha) == ("note-project", fork.sha, fork.sha)
    assert "HERE" not in source_of(shelf).read_text()
    assert not copy_of(project).exists()
    assert shelf.sync("note-project", project).changed == ()


def break_front(shelf: Shelf, project: Path) -> None:
    change(copy_of(project), "version: 1.0.0", "version 1.0.0")


def rename(shelf: Shelf, project: Path) -> None:
    change(copy_of(project), "name: note", "name: other")


def drop_source(shelf: Shelf, project: Path) -> None:
    shelf.remove("note")


def drop_base(shelf: Shelf, project: Path) -> None:
    (project / ".shelf" / "base" / "skills" / "note" / "SKILL.md").unlink()
    (project / ".shelf" / "base" / "skills" / "note" / "data.bin").unlink()
    (project / ".shelf" / "base" / "skills" / "note").rmdir()


def drop_copy(shelf: Shelf, project: Path) -> None:
    copy_of(project).parent.rename(project / "moved")


def link_out(shelf: Shelf, project: Path) -> None:
    copy_of(project).with_name("link").symlink_to(shelf.root)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_front, "line 4 of the front matter"),
        (rename, "expected note"),
        (drop_source, "no skill 'note' in collection"),
        (drop_base, "no such file or folder"),
        (drop_copy, "no such file or folder"),
        (link_out, "link leaves"),
    ],
)
def test_a_sync_that_can_not_be_done_is_an_outcome(
    shelf: Shelf, project: Path, damage: Callable[[Shelf, Path], None], message: str
) -> None:
    """What stops a sync is told in its result, and neither side is changed."""
    shelf.deploy("note", project)
    damage(shelf, project)
    before = everything(shelf.root), everything(project)
    done = shelf.sync("note", project)
    assert (done.result, done.sha_before == done.sha_after) == ("error", True)
    assert message in str(done.error_message)
    assert (everything(shelf.root), everything(project)) == before


# --- remove --------------------------------------------------------------------------------------------------


def test_removing_from_a_collection_leaves_copies_alone(shelf: Shelf, project: Path) -> None:
    """The source goes, with its origin; the copy stays until it is cleaned up."""
    shelf.deploy("note", project)
    done = shelf.remove("note")
    assert (done.reason, done.from_project, list(shelf.collection().entries())) == ("user_action", False, [])
    assert copy_of(project).exists()
    cleaned = shelf.cleanup(project)
    assert [(each.artifact_name, each.reason, each.from_project) for each in cleaned.removed] == [
        ("note", "cleanup", True)
    ]
    assert list(everything(project)) == [".shelf/manifest.json"]


def test_cleaning_up_keeps_what_has_a_source_and_what_was_edited(shelf: Shelf, project: Path, tmp_path: Path) -> None:
    """Only untouched copies without a source go."""
    for name in ("gone", "edited"):
        shelf.add(skill(tmp_path / "more", name))
    for name in ("note", "gone", "edited"):
        shelf.deploy(name, project)
    change(copy_of(project, "edited"), "middle", "HERE")
    shelf.remove("gone")
    shelf.remove("edited")
    done = shelf.cleanup(project)
    assert ([each.artifact_name for each in done.removed], done.kept) == (["gone"], ("edited",))


def test_an_edited_copy_is_removed_only_by_force(shelf: Shelf, project: Path) -> None:
    """Removing from a project protects edits as deploying does."""
    shelf.deploy("note", project)
    change(copy_of(project), "middle", "HERE")
    with pytest.raises(EditedCopyError):
        shelf.remove_from_project("note", project)
    assert shelf.remove_from_project("note", project, force=True).from_project
    with pytest.raises(UnknownArtifactError):
        shelf.remove_from_project("note", project)


# --- starter library -----------------------------------------------------------------------------------------


def test_the_starter_library_is_worth_having(tmp_path: Path) -> None:
    """At least 45 valid artifacts of all three types, no two alike, written the same each time."""
    first, second = library.write_starter(tmp_path / "a"), library.write_starter(tmp_path / "b")
    artifacts = library.starter_artifacts()
    assert len(artifacts) == len(first) == len(second) >= 45
    assert {artifact.kind for artifact in artifacts} == set(Kind)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    for texts in ([a.description for a in artifacts], [a.main_text().split("---")[2] for a in artifacts]):
        assert len(set(texts)) == len(artifacts)
