"""The wheel, built once and installed bare: what is missing is named with the command that installs it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.process import Ended, run

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
TOOL = """
from usagetrace import track

@track.deploy
def deploy(artifact_name, artifact_type):
    return "done"

print(deploy("canvas", "skill"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tracked files."""
    source = tmp_path_factory.mktemp("source")
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    subprocess.run(build, check=True, timeout=300)
    (built,) = out.glob("usagetrace-*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and what it requires, no extra."""
    place = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--constraint", str(ROOT / "constraints.txt"), str(wheel)], check=True, timeout=300)
    return python


def tool(python: Path, home: Path, env: dict[str, str] | None = None) -> Ended:
    home.mkdir(exist_ok=True)
    (home / "tool.py").write_text(TOOL)
    return run([python, home / "tool.py"], home, env)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Types, licence and code are in; tests, examples and databases are not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "usagetrace/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.partition("/")[0].partition("-")[0] for name in names}
    assert tops == {"usagetrace", "_usagetrace_pytest.py"}
    assert not [name for name in names if name.endswith((".db", ".pyc", ".log"))]


def test_tracking_works_bare(bare: Path, tmp_path: Path) -> None:
    """Without any extra a tracked call is in the local store."""
    ended = tool(bare, tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "done\n", "")
    database = tmp_path / ".local/share/usagetrace/tool/analytics.db"
    program = "import sys; from usagetrace.store.catchup import catch_up; print(catch_up(sys.argv[1]).events)"
    assert run([bare, "-c", program, database], tmp_path).out == "1\n"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT event_type, artifact_name FROM events").fetchall() == [("deploy", "canvas")]


def test_the_command_names_its_extra(bare: Path, tmp_path: Path) -> None:
    """Without click and rich the command says what to install, in one line."""
    ended = run([bare.parent / "usagetrace", "report"], tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert "pip install 'usagetrace[cli]'" in ended.err


def test_otlp_names_its_extra_and_the_tool_runs_on(bare: Path, tmp_path: Path) -> None:
    """An endpoint without the exporter is one warning with the command; the local store is filled all the same."""
    ended = tool(bare, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert (ended.code, ended.out) == (0, "done\n")
    assert len(ended.err.splitlines()) == 1
    assert "pip install 'usagetrace[otlp]'" in ended.err
    assert list((tmp_path / ".local/share/usagetrace/tool/spool").glob("*.seg"))
