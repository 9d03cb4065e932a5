"""The pure parts of the example tool: front matter, trees and hashes, the three-way merge, the scoring."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.examples.skillshelf_kit  # noqa: F401  # isort: skip -- makes the package importable

from skillshelf import frontmatter
from skillshelf.artifact import Artifact, Kind, check_name, from_tree, load
from skillshelf.errors import InvalidArtifactError, InvalidNameError
from skillshelf.merge import marked_files, merge_text, merge_trees
from skillshelf.searching import search
from skillshelf.tree import File, digest, read_folder, replacing

LABELS = ("mine", "other")
BASE = "one\ntwo\nthree\nfour\nfive\n"
LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "e\n"]), max_size=12).map("".join)


def skill(name: str, *, tags: str = "", description: str = "Does it", body: str = "Text.") -> Artifact:
    text = f"---\nname: {name}\ndescription: {description}\nversion: 1.0.0\ntags: [{tags}]\n---\n\n{body}\n"
    return from_tree(Kind.SKILL, {"SKILL.md": File(text.encode())}, name)


# --- merge ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        (BASE, BASE, BASE),
        ("ONE\ntwo\nthree\nfour\nfive\n", BASE, "ONE\ntwo\nthree\nfour\nfive\n"),
        (BASE, "one\ntwo\nthree\nfour\n", "one\ntwo\nthree\nfour\n"),
        ("ONE\ntwo\nthree\nfour\nfive\n", "one\ntwo\nthree\nfour\nFIVE\n", "ONE\ntwo\nthree\nfour\nFIVE\n"),
        ("zero\n" + BASE, BASE + "six\n", "zero\n" + BASE + "six\n"),
        ("one\nthree\nfour\nfive\n", "one\ntwo\nthree\nfour\nfive", "one\nthree\nfour\nfive"),
        ("one\nX\nthree\nfour\nfive\n", "one\nX\nthree\nfour\nfive\n", "one\nX\nthree\nfour\nfive\n"),
        ("", "", ""),
    ],
    ids=[
        "unchanged",
        "ours",
        "theirs",
        "both apart",
        "both ends",
        "deletion and lost newline",
        "same change",
        "emptied",
    ],
)
def test_changes_that_do_not_touch_are_combined(ours: str, theirs: str, merged: str) -> None:
    """A merge takes the changes of both sides, and a change that both made once."""
    assert merge_text(BASE, ours, theirs, LABELS) == (merged, 0)


@pytest.mark.parametrize(
    ("ours", "theirs", "count"),
    [
        ("one\nX\nthree\nfour\nfive\n", "one\nY\nthree\nfour\nfive\n", 1),
        ("X\ntwo\nthree\nfour\nP\n", "Y\ntwo\nthree\nfour\nQ\n", 2),
        ("one\nX\nthree\nfour\nfive\n", "one\nthree\nfour\nfive\n", 1),
        ("one\nX\nthree\nfour\nfive\n", "one\ntwo\nY\nfour\nfive\n", 1),
        ("one\nX\ntwo\nthree\nfour\nfive\n", "one\nY\ntwo\nthree\nfour\nfive\n", 1),
        ("one\ntwo\nthree\nfour\nX", "one\ntwo\nthree\nfour\nY", 1),
    ],
    ids=["same line", "two places", "change and deletion", "adjacent", "two insertions", "no newline at the end"],
)
def test_changes_that_touch_are_conflicts(ours: str, theirs: str, count: int) -> None:
    """Each place where both sides changed the same or adjacent lines is counted, and marked on lines of its own."""
    merged, conflicts = merge_text(BASE, ours, theirs, LABELS)
    lines = merged.splitlines()
    assert conflicts == count
    assert [lines.count(mark) for mark in ("<<<<<<< mine", "=======", ">>>>>>> other")] == [count] * 3


def test_a_conflict_shows_both_sides_in_order() -> None:
    """Ours comes first, theirs second, and what neither changed stays outside of the markers."""
    merged, _ = merge_text("a\nb\nc\n", "a\nX\nc\n", "a\nY\nc\n", LABELS)
    assert merged == "a\n<<<<<<< mine\nX\n=======\nY\n>>>>>>> other\nc\n"


@given(base=LINES, side=LINES)
def test_one_side_alone_always_wins(base: str, side: str) -> None:
    """Where one side changed nothing, the merge is the other side, whichever it is."""
    assert merge_text(base, side, base, LABELS) == (side, 0)
    assert merge_text(base, base, side, LABELS) == (side, 0)
    assert merge_text(base, side, side, LABELS) == (side, 0)


@given(base=LINES, ours=LINES, theirs=LINES)
def test_the_number_of_conflicts_does_not_depend_on_the_order(base: str, ours: str, theirs: str) -> None:
    """Merging is symmetric: exchanging the sides finds the same conflicts, and without any the same text."""
    there, count = merge_text(base, ours, theirs, LABELS)
    back, again = merge_text(base, theirs, ours, LABELS)
    assert count == again
    assert count > 0 or there == back


BINARY, OTHER_BINARY, TEXT = File(b"\0\1"), File(b"\0\2"), File(b"x\n")


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged", "count"),
    [
        (None, TEXT, None, TEXT, 0),
        (TEXT, None, TEXT, None, 0),
        (TEXT, TEXT, None, None, 0),
        (TEXT, None, File(b"y\n"), File(b"y\n"), 1),
        (TEXT, File(b"y\n"), None, File(b"y\n"), 1),
        (BINARY, OTHER_BINARY, BINARY, OTHER_BINARY, 0),
        (BINARY, OTHER_BINARY, File(b"\0\3"), OTHER_BINARY, 1),
        (None, File(b"new\n"), File(b"new\n"), File(b"new\n"), 0),
        (File(b"x"), File(b"x", True), File(b"y"), File(b"y", True), 0),
        (File(b"\xff\xfe"), File(b"a\n"), File(b"b\n"), File(b"a\n"), 1),
    ],
    ids=[
        "added", "we deleted", "they deleted", "deleted and changed", "changed and deleted", "binary, one side",
        "binary, both sides", "both added the same", "mode and content", "text that was binary",
    ],
)  # fmt: skip
def test_files_are_merged_as_a_whole_where_lines_say_nothing(
    base: File | None, ours: File | None, theirs: File | None, merged: File | None, count: int
) -> None:
    """Added, deleted, binary and executable files follow the same three-way rule, and disagreements are counted."""
    before, mine, other = ({} if side is None else {"f": side} for side in (base, ours, theirs))
    done = merge_trees(before, mine, other, LABELS)
    assert (done.tree.get("f"), done.count) == (merged, count)


def test_files_added_differently_on_both_sides_conflict() -> None:
    """Two new files of one name have no common ancestor: their whole texts stand against one another."""
    done = merge_trees({}, {"f": File(b"a\n")}, {"f": File(b"b\n")}, LABELS)
    assert (done.count, marked_files(done.tree)) == (1, ("f",))


def test_a_horizontal_rule_is_no_conflict_marker() -> None:
    """Only a complete set of markers in order counts as an unresolved conflict."""
    tree = {"a": File(b"Title\n=======\n"), "b": File(b"<<<<<<< x\n"), "c": File(b"\0")}
    assert marked_files(tree) == ()


# --- trees ---------------------------------------------------------------------------------------------------


def test_the_hash_is_what_the_readme_says() -> None:
    """The content hash can be recomputed from the documented lines."""
    inner = hashlib.sha256
    lines = f"{inner(b'1').hexdigest()}  -  a\n{inner(b'2').hexdigest()}  x  b/c\n"
    assert digest({"b/c": File(b"2", True), "a": File(b"1")}) == inner(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [{"a": File(b"2")}, {"b": File(b"1")}, {"a": File(b"1", True)}, {"a": File(b"1"), "b": File(b"")}, {}],
    ids=["content", "path", "mode", "one more", "none"],
)
def test_the_hash_sees_every_change(changed: dict[str, File]) -> None:
    """Content, path, executable bit and number of files each change the hash."""
    assert digest(changed) != digest({"a": File(b"1")})


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_a_failed_replacement_leaves_what_was_there(tmp_path: Path, existing: bool, single: bool) -> None:
    """What a block inside `replacing` raises comes through, and the disk is as it was, without leftovers."""
    target = tmp_path / "thing"
    if existing:
        with replacing(target, {"f": File(b"old")}, single=single):
            pass
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="half-way"), replacing(target, {"f": File(b"new")}, single=single):
        raise ValueError("half-way")
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert not existing or (target if single else target / "f").read_bytes() == b"old"


def test_a_replacement_that_can_not_be_written_changes_nothing(tmp_path: Path) -> None:
    """A tree whose parts contradict each other (a file that is a folder too) never takes the old one's place."""
    target = tmp_path / "thing"
    with replacing(target, {"f": File(b"old")}, single=False):
        pass
    with pytest.raises(OSError, match="f"), replacing(target, {"f": File(b"1"), "f/g": File(b"2")}, single=False):
        pytest.fail("the block must not run")
    assert read_folder(target) == {"f": File(b"old")}


def test_a_run_killed_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    """A backup without its original is put back before anything else happens."""
    target = tmp_path / "thing"
    (tmp_path / ".thing.old").write_bytes(b"old")
    with pytest.raises(ValueError, match="again"), replacing(target, {"f": File(b"new")}, single=True):
        raise ValueError("again")
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "gone", "sub"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    """Links out of an artifact, to nothing, or to a folder are errors: they would be followed on another machine."""
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "skill"
    (folder / "sub").mkdir(parents=True)
    (folder / "link").symlink_to(target)
    with pytest.raises(InvalidArtifactError, match="link"):
        read_folder(folder)


def test_a_link_inside_the_folder_counts_as_its_file(tmp_path: Path) -> None:
    """A link to a file of the same artifact is read as a copy of that file, and leftovers are not read."""
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"2")
    assert read_folder(tmp_path) == {"a": File(b"1"), "b": File(b"1")}


# --- front matter, names -------------------------------------------------------------------------------------


def test_front_matter_is_read() -> None:
    """Plain and quoted values, inline and indented lists, comments and empty lines are understood."""
    text = "---\nname: 'a-b'\n# note\nTags:\n  - x\n  - \"y z\"\n\nmore: [p, q]\nempty:\nurl: http://h:1/x\n---\nBody\n"
    front = frontmatter.parse(text)
    expected = {"name": "a-b", "tags": ["x", "y z"], "more": ["p", "q"], "empty": "", "url": "http://h:1/x"}
    assert (front.fields, front.body, front.faults) == (expected, "Body", ())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "missing"),
        ("# Title\n", "missing"),
        ("---\nname: x\n", "no end"),
        ("---\nname x\n---\n", "line 2"),
        ("---\nname: x\nname: y\n---\n", "repeats"),
        ("---\n- x\n---\n", "line 2"),
    ],
)
def test_faults_in_front_matter_say_where(text: str, fault: str) -> None:
    """What can't be understood is named with its line."""
    assert fault in frontmatter.parse(text).faults[0]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_one_field_changes_and_nothing_else(ending: str) -> None:
    """Setting a field keeps every other line, the line ends too."""
    text = ending.join(["---", "name: old", "version: 1", "---", "name: body", "---", ""])
    assert frontmatter.with_field(text, "name", r"new\1") == text.replace("name: old", r"name: new\1")


@pytest.mark.parametrize("name", ["a", "token-counter", "x.y_z", "0", "a" * 64])
def test_good_names_pass(name: str) -> None:
    """Names of lower case letters, digits, dots, dashes and underscores are taken."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "a..b",
        ".hidden",
        "x-",
        "A",
        "ä",
        "a b",
        "a\n",
        "a\0",
        "con",
        "nul.md",
        "a" * 65,
    ],
)
def test_names_that_could_leave_the_shelf_are_refused(name: str) -> None:
    """Separators, `..`, control characters, reserved and too long names are errors."""
    with pytest.raises(InvalidNameError):
        check_name(name)


def test_every_fault_of_an_artifact_is_reported_at_once(tmp_path: Path) -> None:
    """Missing and wrong fields come in one error."""
    path = tmp_path / "x.md"
    path.write_text("---\nname: Bad Name\nversion: one\ntype: command\n---\n")
    with pytest.raises(InvalidArtifactError) as caught:
        load(path)
    assert [word in str(caught.value) for word in ("'Bad Name'", "version 'one'", "description is missing")] == [
        True
    ] * 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_artifact(tmp_path: Path) -> None:
    """A named pipe is refused instead of waited for."""
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(InvalidArtifactError, match="regular file"):
        load(tmp_path / "pipe.md", Kind.COMMAND)


# --- search --------------------------------------------------------------------------------------------------


def found(query: str, *artifacts: Artifact, where: str = "both", limit: int = 20) -> list[tuple[str, float]]:
    result = search([("default", artifact) for artifact in artifacts], query, where, limit)  # type: ignore[arg-type]  # from parametrize
    return [(match.name, match.score) for match in result.matches]


def test_metadata_weighs_more_than_content() -> None:
    """A name beats a tag, a tag a description, a description any number of words in the text."""
    named, tagged = skill("zebra"), skill("b", tags="zebra")
    described, told = skill("c", description="A zebra"), skill("d", body="zebra " * 500)
    assert [name for name, _ in found("Zebra", told, described, tagged, named)] == ["zebra", "b", "c", "d"]


def test_one_artifact_is_one_result_with_its_best_score() -> None:
    """An artifact that matches in several fields, or lies in several collections, is found once."""
    both = skill("zebra", tags="zebra", description="A zebra", body="zebra")
    result = search([("one", both), ("two", both)], "zebra")
    assert [(m.name, m.score, m.field) for m in result.matches] == [("zebra", 11.0, "name")]
    assert result.total == 1


def test_every_word_must_be_found() -> None:
    """Words may be spread over fields, but none may be missing; a query without words finds nothing."""
    artifact = skill("token-counter", body="cost")
    assert [found(query, artifact) for query in ("token cost", "token price", "!?", "")] == [
        [("token-counter", 5.0)],
        [],
        [],
        [],
    ]


@pytest.mark.parametrize(("where", "names"), [("metadata", ["a"]), ("content", ["b"]), ("both", ["a", "b"])])
def test_the_search_looks_only_where_it_is_told(where: str, names: list[str]) -> None:
    """Front matter is metadata and no content."""
    artifacts = skill("a", description="A zebra"), skill("b", body="zebra")
    assert [name for name, _ in found("zebra", *artifacts, where=where)] == names


def test_the_limit_cuts_the_matches_and_not_the_total() -> None:
    """`total` counts everything; ties are ordered by name."""
    artifacts = [skill(name, tags="zebra") for name in "cab"]
    result = search([("default", artifact) for artifact in artifacts], "zebra", limit=2)
    assert ([match.name for match in result.matches], result.total) == (["a", "b"], 3)
