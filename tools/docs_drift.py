"""Keeps the documentation true to the code: regenerates what is generated, and checks links and forbidden texts.

A page holds generated text between ``<!-- generated: NAME -->`` and ``<!-- end generated -->``; between
``<!-- generated -->`` and ``<!-- /generated -->`` the name is the page's own. This module owns those blocks and the
rules for the repository's text; what stands around the blocks is written by people::

    python tools/docs_drift.py            # repair the pages
    python tools/docs_drift.py --check    # repair them, and exit with 1 where something had drifted
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tools")]

_BLOCK = re.compile(r"(<!-- generated(?:: ([\w-]+))? -->\n)(.*?)(<!-- (?:end |/)generated -->)", re.DOTALL)
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.*?)\s*$", re.MULTILINE)
# Hosts of package registries: which one a reader uses is set up on the reader's machine.
_REGISTRY = re.compile(
    # Written in two halves each, so that this file names none.
    r"\b(?:(?:py" r"pi|python" r"hosted|npm" r"js|ruby" r"gems)\.(?:org|com)|(?:static|index)\.cra" r"tes\.io)\b",
    re.IGNORECASE,
)
_SKIPPED_FOLDERS = frozenset({"site", "build", "dist", "node_modules", "__pycache__"})


# --- generated blocks --------------------------------------------------------------------------------------


def settings_block() -> str:
    """Return a table of every setting, from its declaration."""
    from usagetrace.config import declarations

    rows = []
    for declared in declarations():
        try:
            declared.parse(object())
            expected = "anything"
        except ValueError as error:
            expected = str(error).removeprefix("expected ").removeprefix("a ").removeprefix("an ")
        variables = "<br>".join(f"`{name}`" for name in declared.env)
        meaning = declared.help
        if not declared.project:
            only = "only name this machine" if declared.name.endswith("_endpoint") else "not set it"
            meaning += f" A project file may {only}."
        default = "" if declared.default in (None, "") else f"`{_toml(declared.default)}`"
        rows.append((f"`{declared.key}`", variables, f"`{declared.name}`", expected, default, meaning))
    return _table(("TOML key", "Environment variable", "`configure()`", "Takes", "Default", "Meaning"), rows)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def attributes_block(source: str | None = None) -> str:
    """Return the names on the wire: each constant of ``semconv.py`` with the comment that stands above it."""
    text = (ROOT / "src/usagetrace/semconv.py").read_text("utf-8") if source is None else source
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }
    titles = {line: comment.strip("- ") for line, comment in comments.items() if comment.startswith("---")}
    sections: dict[str, list[tuple[str, ...]]] = {}
    for node in ast.parse(text).body:
        if not isinstance(node, ast.AnnAssign) or node.value is None or not isinstance(node.target, ast.Name):
            continue
        title = next((titles[line] for line in sorted(titles, reverse=True) if line < node.lineno), "scope")
        value = ast.literal_eval(node.value)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else f"`{value}`"
        row = (shown, f"`{node.target.id}`", _comment_above(comments, node.lineno))
        sections.setdefault(title, []).append(row)
    parts = [f"### {title[0].upper()}{title[1:]}\n\n{_table(('Name', 'Constant', 'Meaning'), rows)}"
             for title, rows in sections.items()]  # fmt: skip
    return "\n\n".join(parts)


def _comment_above(comments: Mapping[int, str], line: int) -> str:
    lines: list[str] = []
    while (line := line - 1) in comments and not comments[line].startswith("---"):
        lines.insert(0, comments[line])
    return " ".join(lines)


def conventions_block() -> str:
    """Return the tables of what is found without being mapped."""
    from usagetrace.track import conventions

    fields = [
        (
            f"`{name}`",
            ", ".join(f"`{parameter}`" for parameter in found.parameters),
            ", ".join(f"`artifact.{attribute}`" for attribute in found.of_artifact),
            f"`{found.attribute}`",
        )
        for name, found in conventions.FIELDS.items()
    ]
    metadata = [
        (
            f"`{event}`",
            ", ".join(f"`{key}`" for key in keys),
            ", ".join(f"`{key}`" for key in conventions.ITEM_METADATA.get(event, ())),
        )
        for event, keys in conventions.METADATA.items()
    ]
    return (
        "### Fields\n\n"
        + _table(("Field", "Parameter", "Attribute of a parameter", "Attribute of instance or result"), fields)
        + "\n\n### Metadata keys\n\n"
        + _table(("Operation", "Keys of the call", "Keys of each artifact"), metadata)
    )


def entry_points_block() -> str:
    """Return a table of the entry points that the package declares."""
    project = _pyproject()["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    rows = [(f"`{group}`", f"`{name}`", f"`{target}`") for group in groups for name, target in groups[group].items()]
    return _table(("Group", "Name", "Object"), rows)


def _pyproject() -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    loaded: dict[str, Any] = toml.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return loaded


def api_block() -> str:
    """Return the reference of the public Python names."""
    import docs_api

    return docs_api.render()


def event_types_block() -> str:
    """Return the reference of event types."""
    import docs_event_types

    return docs_event_types.render()


def _described_by(module: str) -> Callable[[], str]:
    def describe() -> str:
        function: Callable[[], str] = importlib.import_module(module).describe
        return function()

    return describe


def generators() -> dict[str, Callable[[], str]]:
    """Return what makes each generated block, by its name."""
    return {
        "settings": settings_block,
        "attributes": attributes_block,
        "conventions": conventions_block,
        "entry-points": entry_points_block,
        "api": api_block,
        "event-types": event_types_block,
        "schema": _described_by("usagetrace.store.describe"),
        "cli": _described_by("usagetrace.cli.describe"),
    }


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def regenerate(text: str, makers: Mapping[str, Callable[[], str]], own_name: str = "") -> str:
    """Return a page with its generated blocks as the code says now.

    Args:
        text: The page.
        makers: What makes each block, by name; a block of another name is left as it is.
        own_name: Name of the blocks that have none.
    """

    def block(match: re.Match[str]) -> str:
        make = makers.get(match[2] or own_name)
        return match[0] if make is None else f"{match[1]}{make().strip()}\n{match[4]}"

    return _BLOCK.sub(block, text)


def repair(root: Path, makers: Mapping[str, Callable[[], str]]) -> Iterator[str]:
    """Rewrite the pages whose generated text has drifted; yield one sentence for each."""
    for page in _pages(root):
        before = page.read_text("utf-8")
        for match in _BLOCK.finditer(before):
            if (match[2] or page.stem) not in makers:
                yield f"{page.relative_to(root)}: nothing generates the block {match[2] or page.stem!r}"
        try:
            after = regenerate(before, makers, page.stem)
        except ImportError as error:
            yield f"{page.relative_to(root)}: its generated text can't be made: {error}"
            continue
        if after != before:
            page.write_text(after, "utf-8")
            yield f"{page.relative_to(root)}: generated text had drifted; it is repaired now, commit the page"


# --- links -------------------------------------------------------------------------------------------------


def broken_links(root: Path) -> Iterator[str]:
    """Yield one sentence for each link between the repository's pages that leads nowhere."""
    for page in _pages(root):
        text = _INLINE_CODE.sub("", _FENCE.sub("", page.read_text("utf-8")))
        for target in _LINK.findall(text):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            path, _, anchor = target.partition("#")
            goal = (page.parent / path).resolve() if path else page
            if not goal.exists():
                yield f"{page.relative_to(root)}: link to {target}: no such file"
            elif anchor and goal.suffix == ".md" and anchor not in anchors(goal.read_text("utf-8")):
                yield f"{page.relative_to(root)}: link to {target}: no such heading"


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip())
        name, number = slug, 0
        while name in found:
            number += 1
            name = f"{slug}_{number}"
        found.add(name)
    return found


def _pages(root: Path) -> list[Path]:
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])


# --- forbidden texts ---------------------------------------------------------------------------------------


def forbidden_texts(root: Path) -> Iterator[str]:
    """Yield one sentence for each place that names a package registry's host or a path of this machine."""
    machine = _machine_paths(root)
    for path in _tracked(root):
        try:
            text = path.read_text("utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if _REGISTRY.search(line):
                yield f"{path.relative_to(root)}:{number}: names the host of a package registry"
            if any(Path(found).exists() for found in machine.findall(line)):
                yield f"{path.relative_to(root)}:{number}: names a path that exists on this machine"


def _machine_paths(root: Path) -> re.Pattern[str]:
    # Examples may name /home/ada; what exists here below the checkout or the home was copied from here. The folder
    # above the checkout says nothing: it may be /tmp, which examples name as well.
    places = {str(root.resolve()), str(Path.home())} - {"/"}
    return re.compile("(?<![\\w/])(?:" + "|".join(re.escape(place) for place in sorted(places)) + r")[\\/][\w./\\-]*\w")


def _tracked(root: Path) -> list[Path]:
    """Return the files under version control and those that wait to be; without git, all that is no build product."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        every = (path for path in root.rglob("*") if path.is_file())
        parts = ((path, path.relative_to(root).parts) for path in every)
        return sorted(p for p, names in parts if not any(n.startswith(".") or n in _SKIPPED_FOLDERS for n in names))
    return sorted(path for name in listed.split("\0") if name and (path := root / name).is_file())


def main(arguments: list[str] | None = None) -> int:
    """Repair and report; return the exit code."""
    parser = argparse.ArgumentParser(description="Regenerate the generated parts of the documentation, and check it.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a page had drifted")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository; by default the one of this file")
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    drifted = list(repair(root, generators()))
    faults = [*broken_links(root), *forbidden_texts(root)]
    for line in [*drifted, *faults]:
        print(line, file=sys.stderr)
    return 1 if faults or (given.check and drifted) else 0


if __name__ == "__main__":
    sys.exit(main())
