"""Event types from real installed packages: the good one's are recorded, the broken one is named once."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.process import Ended, run
from usagetrace.store.catchup import catch_up

pytestmark = pytest.mark.e2e

GOOD = """
    from dataclasses import dataclass
    from usagetrace.event_types import EventType, Sampling

    @dataclass(frozen=True)
    class PageOpened:
        title: str
        words: int = 0

    def types():
        yield EventType("page_opened", "usage", "high", payload=PageOpened)
        yield EventType("page_scrolled", "performance", "low", Sampling(0.5, minimum=100))
"""
BROKEN = """
    import a_dependency_that_nobody_installed
    TYPES = ()
"""
# A tool that registers nothing: what it knows of its types, the packages beside it say.
TOOL = """
    import json
    from concurrent.futures import ThreadPoolExecutor
    from usagetrace import track
    from usagetrace.event_types import lookup
    from usagetrace.validation import validate

    @track("page_opened", artifact_name="$title", artifact_type="page")
    def open_page(title):
        return title

    @track("page_torn", artifact_name="$title", artifact_type="page")
    def tear(title):
        return title

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_page, ["intro"] * 20))
    tear("intro")
    found = lookup("page_scrolled")
    print(json.dumps([found.category, found.priority, found.sampling, lookup("page_torn"),
                      validate("page_opened", {"title": 3}, now_ms=0).warnings]))
"""


def wheel(folder: Path, package: str, source: str, point: str) -> Path:
    """Build a wheel with one module and one entry point of our group; no tool and no network is needed for it."""
    module = package.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    files = {
        f"{module}.py": textwrap.dedent(source),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[usagetrace.event_types]\npages = {module}:{point}\n",
    }
    record = [f"{name},sha256={digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def digest(text: str) -> str:
    """Return the hash of a file as a wheel's record has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with what this one has, and the two packages installed by pip."""
    place = tmp_path_factory.mktemp("plugins")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = place / scripts / Path(sys.executable).name
    wheels = [wheel(place, "good-pages", GOOD, "types"), wheel(place, "broken-pages", BROKEN, "TYPES")]
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--disable-pip-version-check", *map(str, wheels)], check=True, timeout=300)
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    assert (packages / "good_pages-1.0.dist-info" / "entry_points.txt").is_file()
    # This package and what it needs, from here: a file of paths that have none themselves.
    (packages / "here.pth").write_text("".join(f"{entry}\n" for entry in sys.path if os.path.isdir(entry)), "utf-8")
    return python


def use(python: Path, home: Path, program: str) -> Ended:
    """Run a tool in the environment, recording into its home."""
    home.mkdir()
    (home / "tool.py").write_text(textwrap.dedent(program), "utf-8")
    return run([python, home / "tool.py"], home, {"USAGETRACE_DB_PATH": str(home / "analytics.db")})


def test_the_good_plugin_works_and_the_broken_one_is_named_once(python: Path, tmp_path: Path) -> None:
    """Events have the category and priority of the package's type; one line names the broken package, and why."""
    home = tmp_path / "user"
    ended = use(python, home, TOOL)
    assert ended.code == 0
    assert json.loads(ended.out) == [
        "performance", "low", [0.5, 100, 60.0], None, ["page_opened: title: expected text, got int"],
    ]  # fmt: skip
    (line,) = ended.err.splitlines()
    assert "the plugin pages of the package broken-pages brings no event types (ModuleNotFoundError" in line
    assert "a_dependency_that_nobody_installed" in line
    catch_up(home / "analytics.db", budget=None)
    with closing(sqlite3.connect(home / "analytics.db")) as connection:
        rows = connection.execute(
            "SELECT event_type, category, priority, count(*) FROM events GROUP BY 1, 2, 3 ORDER BY 1"
        ).fetchall()
    assert rows == [("page_opened", "usage", "high", 20), ("page_torn", "custom", "normal", 1)]


def test_who_registers_its_types_loads_no_plugin(python: Path, tmp_path: Path) -> None:
    """A tool whose types are all known never looks for packages: nothing is said of the broken one."""
    program = """
        import sys
        from usagetrace import track
        from usagetrace.event_types import EventType, register

        register(EventType("page_opened"))

        @track("page_opened", artifact_name="$title", artifact_type="page")
        def open_page(title): ...

        @track.deploy
        def deploy(artifact_name, artifact_type): ...

        open_page("intro")
        deploy("canvas", "skill")
        print([name for name in ("good_pages", "broken_pages", "usagetrace.event_plugins") if name in sys.modules])
    """
    ended = use(python, tmp_path / "user", program)
    assert (ended.code, ended.out, ended.err) == (0, "[]\n", "")
