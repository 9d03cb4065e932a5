"""The documentation is true: its examples run and print what it says, and what is public is documented.

Marks in the pages, each above a block: ``<!-- not run -->`` leaves the block out, ``<!-- file: NAME -->`` writes it
to a file, ``<!-- prints -->`` compares it with what the Python block before it printed, ``<!-- exit code: N -->`` is
what the commands of a console block end with. Console blocks are run in the tutorial, elsewhere below ``<!-- run -->``.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import usagetrace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import docs_api  # noqa: E402 -- a tool of the repository, not a package
import docs_drift  # noqa: E402 -- as above

PAGES = [
    ROOT / "README.md",
    ROOT / "docs/index.md",
    *sorted((ROOT / "docs/tutorial").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
    ROOT / "docs/reference/event-types.md",
]
_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n+)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)

# Runs the blocks of one page in one namespace and reports what each printed.
_RUNNER = """
import contextlib, io, json, sys
blocks = json.load(sys.stdin)
sys.argv = ["shelf"]
namespace = {"__name__": "__main__"}
printed = []
for place, text in blocks:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(text, place, "exec"), namespace)
    printed.append(out.getvalue())
json.dump(printed, sys.stdout)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    mark: str
    text: str
    place: str

    def marked(self, name: str) -> str | None:
        """Return what stands after a mark's name, or None."""
        return self.mark[len(name) + 1 :].strip() if self.mark.startswith(f"{name}:") else None


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            match["language"],
            match["mark"] or "",
            match["text"],
            f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start('text'))}",
        )
        for match in _BLOCK.finditer(text)
    ]


def environment(home: Path) -> dict[str, str]:
    """Return an environment with a home of its own, in which nobody has said anything about telemetry."""
    kept = ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    scripts = str(Path(sys.executable).parent)
    source = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {
        **env,
        "PATH": os.pathsep.join([scripts, env.get("PATH", "")]),
        "HOME": str(home),
        "USERPROFILE": str(home),
        "LOCALAPPDATA": str(home / "local"),
        "APPDATA": str(home / "roaming"),
        "PYTHONPATH": source,
        "PYTHONWARNINGS": "error",
        # Nobody listens there: an example that names an endpoint must not wait for it for long, nor print of it.
        "USAGETRACE_EXIT_TIMEOUT": "0.2",
    }


def run(command: list[str], home: Path, env: Mapping[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a home directory, for a minute at most."""
    return subprocess.run(
        command, cwd=home, env=dict(env), input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def python_of(page: Path) -> list[Block]:
    """Return the Python blocks of a page that are run, and the outputs that stand below them."""
    return [b for b in blocks_of(page) if b.mark == "prints" or (b.language == "python" and b.mark == "")]


@pytest.mark.parametrize("page", [p for p in PAGES if python_of(p)], ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_run_and_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """Every Python block of a page runs after those before it, and prints the block that is marked so."""
    steps = python_of(page)
    code = [b for b in steps if b.language == "python"]
    done = run(
        [sys.executable, "-c", _RUNNER], tmp_path, environment(tmp_path), json.dumps([(b.place, b.text) for b in code])
    )
    assert done.returncode == 0, done.stderr
    printed = dict(zip((b.place for b in code), json.loads(done.stdout), strict=True))
    expected = {b.place: "" for b in code}
    for before, block in itertools.pairwise(steps):
        if block.mark == "prints":
            expected[before.place] = block.text
    said = {place: expected[place] for place in printed if expected[place] or printed[place]}
    assert said == {place: printed[place] for place in said}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_mark_is_one_that_means_something(page: Path) -> None:
    """A misspelt mark would leave a block out, or not compare it, in silence."""
    unknown = [
        (block.place, block.mark)
        for block in blocks_of(page)
        if not re.fullmatch(r"|not run|run|prints|file: \S+|exit code: \d+|generated: .*|end generated", block.mark)
    ]
    assert unknown == []


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a console block with the lines that follow it."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"{block.place}: a console block begins with '$ '"
    for part in parts[1:]:
        command, *lines = part.splitlines()
        yield command, lines


TUTORIAL = ROOT / "docs/tutorial/first-steps.md"


def consoles_of(page: Path) -> list[Block]:
    """Return the blocks whose commands are run: in the tutorial unless marked otherwise, elsewhere where marked so."""
    blocks = [block for block in blocks_of(page) if block.language == "console"]
    return [block for block in blocks if (block.mark != "not run" if page == TUTORIAL else block.mark == "run")]


def plain(text: str) -> str:
    """Return an output without what differs from run to run: times, how long something took, widths of columns."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\b\d+(?:\.\d+)? (?:us|ms|s)\b", "TOOK", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def shown_as(lines: list[str]) -> re.Pattern[str]:
    """Return what an output has to look like; ``...`` stands for any text, also for several lines of it."""
    return re.compile(re.escape(plain("\n".join(lines))).replace(re.escape("..."), ".*"), re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if consoles_of(p)], ids=lambda page: str(page.relative_to(ROOT)))
def test_console_examples_run_and_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """Every file and command of a page, in order, in an empty home: output and exit code are those shown."""
    pytest.importorskip("rich")
    env = environment(tmp_path)
    consoles = consoles_of(page)
    for block in blocks_of(page):
        name = block.marked("file")
        if name is not None:
            (tmp_path / name).write_text(block.text, "utf-8")
        for command, shown in commands_of(block) if block in consoles else ():
            words = shlex.split(command)
            extra = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
            done = run([w for w in words if w.split("=", 1)[0] not in extra], tmp_path, {**env, **extra})
            assert (command, done.returncode) == (command, int(block.marked("exit code") or 0)), done.stderr
            printed = done.stdout + done.stderr
            assert shown_as(shown).fullmatch(plain(printed)), f"{block.place}: $ {command}\n{printed}"
    if page == TUTORIAL:
        check_tutorial_events(tmp_path, env)


def check_tutorial_events(home: Path, env: Mapping[str, str]) -> None:
    """The tutorial's words about its six events are true."""
    script = (
        "from usagetrace.analytics import AnalyticsDB; from usagetrace.config import load_settings; import json\n"
        "with AnalyticsDB(load_settings({'service_name': 'shelf'}).store_path()) as db:\n"
        "    print(json.dumps([[e['event_type'], e['artifact_name'], e['error_type'], json.loads(e['metadata'])]"
        " for e in sorted(db.get_events(), key=lambda e: e['id'])]))"
    )
    done = run([sys.executable, "-c", script], home, env)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row[:3] for row in rows] == [
        ["deploy", "milk", None],
        ["deploy", "tea", None],
        ["search", "milk", None],
        ["search", "tea", None],
        ["remove", "milk", None],
        ["remove", "milk", "FileNotFoundError"],
    ]
    assert rows[3][3] == {"query": "buy", "rank": 2, "total_results": 2}


def test_every_file_that_a_tool_leaves_is_on_the_page_of_privacy(tmp_path: Path) -> None:
    """What recording, searching, a backup, a restore and a repair leave is in the table of the page, all private."""
    pytest.importorskip("click")
    page = (ROOT / "docs/explanation/privacy-and-consent.md").read_text("utf-8")
    table = page.partition("| In the tool's folder |")[2].partition("\n\n")[0]
    patterns = {
        name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1] if row else "")
    }
    env = {**environment(tmp_path), "USAGETRACE_DB_PATH": str(tmp_path / "shelf" / "analytics.db")}
    database = Path(env["USAGETRACE_DB_PATH"])
    tool = [sys.executable, "-c", "import usagetrace; usagetrace.record_event('deploy', 'canvas', 'skill')"]
    command = [sys.executable, "-m", "usagetrace", "db"]

    def step(*arguments: str) -> set[Path]:
        done = run([*(arguments or tool)], tmp_path, env)
        assert done.returncode == 0, done.stderr
        return {path for path in database.parent.rglob("*") if path.is_file()}

    left = step()
    left |= step(sys.executable, "-m", "usagetrace", "skills", "search", "quick")
    left |= step(*command, "backup")
    (copy,) = (database.parent / "backups").iterdir()
    left |= step(*command, "restore", "--from", str(copy))
    database.write_bytes(b"noise" * 3000)
    left |= step(*command, "drain") | step() | step(*command, "stats")
    names = {path.relative_to(database.parent).as_posix() for path in left}
    found = {pattern: [name for name in names if fnmatch.fnmatchcase(name, pattern)] for pattern in patterns}
    assert sorted(names - {name for each in found.values() for name in each}) == []
    # The note of a repair, and the lock for making the database, are there while it lasts.
    missing = sorted(pattern for pattern, each in found.items() if not each)
    assert missing == [".analytics.db.making", "spool/recovery"]
    if os.name == "posix":
        there = [database.parent, *database.parent.rglob("*")]
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in there if path.stat().st_mode & 0o077} == {}


def test_every_public_name_is_documented() -> None:
    """Each name of ``usagetrace.__all__`` stands in the reference of the Python API."""
    text = (ROOT / "docs/reference/python-api.md").read_text("utf-8")
    assert [name for name in usagetrace.__all__ if not re.search(rf"^#+ .*\.{re.escape(name)}\b", text, re.M)] == []


def test_every_setting_is_documented() -> None:
    """Each setting stands in the reference with its key, its variables and its argument."""
    from usagetrace.config import declarations

    text = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    words = [word for declared in declarations() for word in (declared.key, declared.name, *declared.env)]
    assert [word for word in words if f"`{word}`" not in text] == []


def test_every_command_is_documented() -> None:
    """Each console command, at any depth, stands in the reference of the command line."""
    click = pytest.importorskip("click")
    from usagetrace.cli.app import app

    def names(group: Any, prefix: str) -> Iterator[str]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            yield f"{prefix} {name}"
            if isinstance(command, click.Group):
                yield from names(command, f"{prefix} {name}")

    text = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    found = list(names(app, "usagetrace"))
    assert len(found) >= 11
    assert [name for name in found if name not in text] == []


def test_documentation_is_in_step_with_the_code() -> None:
    """Generated text is as the code says now, links lead somewhere, nothing forbidden is named; drift is repaired."""
    pytest.importorskip("click")
    done = run([sys.executable, str(ROOT / "tools/docs_drift.py"), "--check"], ROOT, {**os.environ})
    assert (done.returncode, done.stderr) == (0, "")


def test_site_builds_without_a_warning_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    """The built site loads no script, style, font or image from another host."""
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = run(command, ROOT, {**environment(tmp_path), "PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr
    loads = re.compile(r"""(?:<(?:script|img|iframe)\b[^>]*\bsrc=|<link\b[^>]*\bhref=|url\()["']?(?:https?:)?//""")
    pages = [path for path in (tmp_path / "site").rglob("*") if path.suffix in (".html", ".css")]
    assert len(pages) > 20
    assert [str(path) for path in pages if loads.search(path.read_text("utf-8"))] == []


# --- the drift check itself --------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one page."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text("# Page\n\n## Part `one`\n\n## Part `one`\n", "utf-8")
    return tmp_path


def test_drifted_block_is_repaired_then_reported(tree: Path) -> None:
    """The first run repairs and names the page, the second finds nothing; the text around the block stays."""
    page = tree / "docs/page.md"
    page.write_text("before\n<!-- generated: x -->\nold\n<!-- end generated -->\nafter\n", "utf-8")
    first = list(docs_drift.repair(tree, {"x": lambda: "new\\1"}))
    assert page.read_text("utf-8") == "before\n<!-- generated: x -->\nnew\\1\n<!-- end generated -->\nafter\n"
    assert [line.partition(":")[0] for line in first] == [str(Path("docs/page.md"))]
    assert list(docs_drift.repair(tree, {"x": lambda: "new\\1"})) == []


def test_block_that_nothing_generates_is_reported(tree: Path) -> None:
    """A misspelt name does not leave a page's text to grow old."""
    (tree / "docs/page.md").write_text("<!-- generated: nobody -->\n<!-- end generated -->\n", "utf-8")
    assert ["nothing generates the block" in line for line in docs_drift.repair(tree, {})] == [True]


def test_block_without_a_name_has_that_of_its_page(tree: Path) -> None:
    """``<!-- generated -->`` in ``page.md`` is the block ``page``."""
    page = tree / "docs/page.md"
    page.write_text("<!-- generated -->\nold\n<!-- /generated -->\n", "utf-8")
    assert len(list(docs_drift.repair(tree, {"page": lambda: "new"}))) == 1
    assert page.read_text("utf-8") == "<!-- generated -->\nnew\n<!-- /generated -->\n"


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("page.md", ""),
        ("page.md#part-one", ""),
        ("#part-one_1", ""),
        ("https://example.com/nothing.md", ""),
        ("missing.md", "no such file"),
        ("page.md#part-two", "no such heading"),
        ("#part-one_2", "no such heading"),
    ],
)
def test_internal_links_resolve(tree: Path, link: str, fault: str) -> None:
    """A link to a missing page or heading is reported; a link elsewhere is not looked at."""
    page = tree / "docs/page.md"
    page.write_text(f"{page.read_text('utf-8')}\n[x]({link})\n\n```text\n[not a link](nowhere.md)\n```\n", "utf-8")
    found = list(docs_drift.broken_links(tree))
    assert [line.endswith(fault) for line in found] == ([True] if fault else [])


@pytest.mark.parametrize("host", ["py" + "pi.org", "files.python" + "hosted.org", "registry.npm" + "js.org"])
def test_registry_host_is_reported_with_its_place(tree: Path, host: str) -> None:
    """Where packages come from is the reader's set-up, not the repository's."""
    (tree / "notes.txt").write_text(f"first\nsee https://{host}/simple\n", "utf-8")
    assert [line.split(": ")[0] for line in docs_drift.forbidden_texts(tree)] == ["notes.txt:2"]


def test_path_of_this_machine_is_reported_and_an_example_is_not(tree: Path) -> None:
    """A path that exists here below the checkout's folder was copied from here; ``/home/ada/app`` was made up."""
    (tree / "notes.txt").write_text(f"{tree / 'docs'}/page.md\n/home/ada/app\n", "utf-8")
    assert [line.split(": ")[0] for line in docs_drift.forbidden_texts(tree)] == ["notes.txt:1"]


def test_comment_above_a_constant_becomes_its_meaning() -> None:
    """Several lines of comment are one meaning; a heading is none."""
    source = "# --- parts ---\n\n# First line,\n# second line.\nNAME: Final = 'a.b'\nBARE: Final = (1, 2)\n"
    assert docs_drift.attributes_block(source) == (
        "### Parts\n\n| Name | Constant | Meaning |\n| --- | --- | --- |\n"
        "| `a.b` | `NAME` | First line, second line. |\n| 1, 2 | `BARE` |  |"
    )


def test_signature_is_spelt_as_in_the_source() -> None:
    """Every kind of parameter with its star or slash; ``self`` is left out; a long one gets a line a parameter."""

    def method(self, a, /, b: int | None = None, *rest: str, c=1, **more: object) -> bool: ...  # type: ignore[no-untyped-def]

    def only(a: int, *, b: str = "x") -> None: ...

    assert docs_api.signature(method, "method") == (
        "method(a, /, b: int | None = None, *rest: str, c=1, **more: object) -> bool"
    )
    assert docs_api.signature(only, "only") == "only(a: int, *, b: str = 'x') -> None"
    assert docs_api.signature(only, "n" * 80) == "n" * 80 + "(\n    a: int,\n    *,\n    b: str = 'x',\n) -> None"


def test_docstring_becomes_markdown() -> None:
    """Sections become lists, roles and double backticks code, ``::`` a block; text after a section stands alone."""
    doc = (
        "Do it.\n\n::\n\n    do(``x``)\n\nArgs:\n    one: The :class:`Thing`\n        that goes on.\n\n"
        "Afterwards ``text``.\n\nReturns:\n    A thing.\n"
    )
    assert docs_api.markdown(doc) == (
        "Do it.\n\n```text\ndo(``x``)\n```\n\n*Arguments*\n\n- `one`: The `Thing`\n  that goes on.\n\n"
        "Afterwards `text`.\n\n*Returns*\n\nA thing."
    )
