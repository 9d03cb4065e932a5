"""A package is found and read without being imported, and what can't be read is named."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from usagetrace.autoinstrument.suggest import PackageNotFoundError, suggest
from usagetrace.autoinstrument.suggest.locate import locate

FUNCTION = "def install(name):\n    open(name, 'w')\n"


def lay(folder: Path, *files: str, text: str = FUNCTION) -> Path:
    """Write files of one text, and return the folder."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def modules(package: str, *path: Path) -> list[str]:
    """Return the modules that are found for a package."""
    return sorted(source.module for source in locate(package, [str(folder) for folder in path]).sources)


def test_nothing_of_the_package_is_imported_or_executed(tmp_path: Path) -> None:
    """The interpreter's own audit of a whole run names neither an import nor an execution of the package."""
    lay(tmp_path, "shelf/__init__.py", "shelf/deep/add.py", text=f"raise SystemExit('imported')\n{FUNCTION}")
    lay(tmp_path, "shelf_extra-1.0.dist-info/top_level.txt", text="shelf\n")
    lay(tmp_path, "shelf_extra-1.0.dist-info/METADATA", text="Metadata-Version: 2.1\nName: shelf-extra\nVersion: 1.0\n")
    script = """
import json, sys
seen = []
def hook(event, args):
    if event == "import":
        seen.append(str(args[0]))
    elif event == "exec":
        seen.append(getattr(args[0], "co_filename", ""))
sys.addaudithook(hook)
from usagetrace.autoinstrument.suggest import suggest, to_toml
names = ("shelf", "shelf.deep", "shelf-extra")
found = {name: [p.function for p in suggest(name, [sys.argv[1]]).proposals] for name in names}
to_toml(suggest("shelf", [sys.argv[1]]))
print(json.dumps({"found": found, "seen": seen, "loaded": [m for m in sys.modules if m.startswith("shelf")]}))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    said = json.loads(ran.stdout)
    both = ["shelf.deep.add:install", "shelf:install"]
    assert {name: sorted(found) for name, found in said["found"].items()} == {
        "shelf": both, "shelf.deep": both[:1], "shelf-extra": both,
    }  # fmt: skip
    assert "usagetrace.autoinstrument.suggest" in said["seen"]
    assert [name for name in said["seen"] if "shelf" in name] == []
    assert said["loaded"] == []


def test_packages_sub_packages_and_modules(tmp_path: Path) -> None:
    """A name is a package with all below it, a part of one, or a single module."""
    lay(tmp_path, "shelf/__init__.py", "shelf/a/__init__.py", "shelf/a/add.py", "shelf/b.py", "single.py")
    assert modules("shelf", tmp_path) == ["shelf", "shelf.a", "shelf.a.add", "shelf.b"]
    assert modules("shelf.a", tmp_path) == ["shelf.a", "shelf.a.add"]
    assert modules("shelf.b", tmp_path) == ["shelf.b"]
    assert modules("single", tmp_path) == ["single"]


def test_a_namespace_package_is_all_its_folders(tmp_path: Path) -> None:
    """Parts of a package without `__init__` lie in several folders of the path."""
    one, two = lay(tmp_path / "one", "space/add.py"), lay(tmp_path / "two", "space/rm.py")
    assert modules("space", one, two) == ["space.add", "space.rm"]


def test_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is a package, a project with `src`, or several modules; a file knows the package it is in."""
    lay(tmp_path / "project", "src/shelf/__init__.py", "src/shelf/add.py", "setup.py", "tests/test_shelf.py")
    assert modules(str(tmp_path / "project")) == ["shelf", "shelf.add"]
    assert modules(str(tmp_path / "project/src/shelf")) == ["shelf", "shelf.add"]
    assert modules(str(tmp_path / "project/src/shelf/add.py")) == ["shelf.add"]
    assert modules(str(tmp_path / "project/src/shelf/__init__.py")) == ["shelf"]
    monkeypatch.chdir(tmp_path)
    assert modules("project") == ["shelf", "shelf.add"]


@pytest.mark.parametrize("listed", ["top_level.txt", "RECORD"])
def test_a_distribution_whose_module_is_named_otherwise(tmp_path: Path, listed: str) -> None:
    """What a distribution installed is known from its metadata."""
    lay(tmp_path, "shelf/__init__.py")
    info = tmp_path / "Shelf_Tool-1.0.dist-info"
    lay(info, "METADATA", text="Metadata-Version: 2.1\nName: Shelf-Tool\nVersion: 1.0\n")
    lay(info, listed, text="shelf\n" if listed == "top_level.txt" else "shelf/__init__.py,,\n../bin/shelf.py,,\n")
    assert modules("shelf-tool", tmp_path) == ["shelf"]


def test_what_is_not_the_program_is_left_out(tmp_path: Path) -> None:
    """Tests, documentation, examples, vendored copies and what no import could name are not read."""
    lay(
        tmp_path, "shelf/__init__.py", "shelf/build.py", "shelf/tests/a.py", "shelf/_vendor/b.py", "shelf/docs/c.py",
        "shelf/test_d.py", "shelf/e_test.py", "shelf/conftest.py", "shelf/not-a-module.py", "shelf/.hidden/f.py",
        "shelf/venv/pyvenv.cfg", "shelf/venv/g.py",
    )  # fmt: skip
    assert modules("shelf", tmp_path) == ["shelf", "shelf.build"]


@pytest.mark.parametrize("name", ["no_such_package", "shelf.nowhere", "./nowhere", "nowhere.py", ".hidden"])
def test_an_unknown_name(tmp_path: Path, name: str) -> None:
    """The error names what was looked for."""
    lay(tmp_path, "shelf/__init__.py")
    with pytest.raises(PackageNotFoundError, match=name.replace(".", r"\.")):
        locate(name, [str(tmp_path)])


def test_an_archive_is_named_as_what_is_not_read(tmp_path: Path) -> None:
    """A package inside a zip file is found, and said not to be read."""
    with zipfile.ZipFile(tmp_path / "shelf.zip", "w") as archive:
        archive.writestr("shelf/__init__.py", FUNCTION)
    said = suggest("shelf", [str(tmp_path / "shelf.zip")])
    assert said.proposals == ()
    assert [note for note in said.notes if "archives are not read" in note] == list(said.notes) != []


def test_a_module_without_source_text() -> None:
    """Compiled modules can't be read; that is said, and is no error."""
    said = suggest("sys")
    assert said.proposals == ()
    assert said.notes == ("sys has no source text (built-in)",)


@pytest.mark.parametrize(
    ("bytes_", "said"),
    [
        (b"def broken(:\n", "line 1: "),
        (b"# -*- coding: no-such-code -*-\nx = 1\n", "unknown encoding"),
        ("name = 'Zoë'".encode("latin-1"), "can't decode|codec|Non-UTF-8"),
        (b"x = 1\x00", "null bytes"),
        (b"x = " + b"(" * 400 + b")" * 400, "nested|parenthes"),
    ],
)
def test_a_file_that_cannot_be_read_costs_no_other(tmp_path: Path, bytes_: bytes, said: str) -> None:
    """It is named, with the reason, and the rest of the package is read."""
    lay(tmp_path, "shelf/__init__.py")
    (tmp_path / "shelf/broken.py").write_bytes(bytes_)
    found = suggest("shelf", [str(tmp_path)])
    assert [proposal.function for proposal in found.proposals] == ["shelf:install"]
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"{Path('shelf/broken.py')}: ")
    assert re.search(said, found.notes[0])


def test_other_encodings_are_read(tmp_path: Path) -> None:
    """A file's own declaration of its encoding holds, and so does a byte order mark."""
    lay(tmp_path, "shelf/__init__.py")
    (tmp_path / "shelf/latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xeb'\n" + FUNCTION.encode())
    (tmp_path / "shelf/bom.py").write_bytes(b"\xef\xbb\xbf" + FUNCTION.encode())
    found = suggest("shelf", [str(tmp_path)])
    assert sorted(p.function for p in found.proposals) == ["shelf.bom:install", "shelf.latin:install", "shelf:install"]
    assert found.notes == ()


def test_large_packages_and_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beyond the bounds is named, not silently left out."""
    monkeypatch.setattr(import_module("usagetrace.autoinstrument.suggest.locate"), "MOST_FILES", 2)
    monkeypatch.setattr(import_module("usagetrace.autoinstrument.suggest.read"), "MOST_BYTES", 100)
    lay(tmp_path, "shelf/__init__.py", "shelf/b.py", "shelf/c.py")
    lay(tmp_path, "shelf/b.py", text="# " + "x" * 200)
    found = suggest("shelf", [str(tmp_path)])
    assert found.modules == 1
    assert len(found.notes) == 2
    assert "only the first 2 files" in found.notes[0]
    assert "202 bytes" in found.notes[1]
