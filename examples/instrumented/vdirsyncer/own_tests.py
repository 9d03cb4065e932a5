"""vdirsyncer's own tests, bare and instrumented: ``python own_tests.py [FOLDER]``.

Makes an environment in FOLDER (by default a temporary one), downloads vdirsyncer's source distribution, runs the tests
in it twice, and prints every test that does not end alike, then how many ended how. It needs a package index; some of
vdirsyncer's tests need a network too, and fail without one both times.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import venv
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
VERSION = "0.21.0"
# What its tests need besides vdirsyncer: the extra "test" of its pyproject.toml.
NEEDS = ("aioresponses", "hypothesis", "pytest", "pytest-asyncio", "pytest-cov", "pytest-httpserver", "trustme")
# How a test did not pass, in the report's words and in ours.
WORDS = {"failure": "failed", "error": "error", "pytest.skip": "skipped", "pytest.xfail": "xfailed"}


def prepare(folder: Path) -> tuple[str, Path]:
    """Make the environment and unpack the tests.

    Args:
        folder: Where both go.

    Returns:
        The environment's Python, and the folder that holds ``tests``.
    """
    builder = venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt")
    builder.create(folder / "environment")
    python = builder.ensure_directories(folder / "environment").env_exe
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    limits = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "install", *limits, f"{ROOT}[cli]", f"vdirsyncer=={VERSION}", *NEEDS], check=True)
    source = ["--no-binary", "vdirsyncer", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, "download", *source, f"vdirsyncer=={VERSION}"], check=True)
    with tarfile.open(folder / f"vdirsyncer-{VERSION}.tar.gz") as archive:
        for member in archive.getmembers():
            if member.isfile() and member.name.split("/")[1] == "tests":
                target = folder / "source" / Path(*member.name.split("/")[1:])
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                target.write_bytes(content.read() if content else b"")
    return python, folder / "source"


def outcomes(report: Path, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Run the tests and return how each ended: passed, failed, error, skipped or xfailed."""
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-seed=1", "--junitxml", str(report), "tests"]
    options += ["-o", "asyncio_default_fixture_loop_scope=function"]
    subprocess.run([*command, *options], cwd=folder, env=env, check=False, stdout=subprocess.DEVNULL)
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = [child.get("type") or "" if child.tag == "skipped" else child.tag for child in case]
        words = [WORDS[kind] for kind in kinds if kind in WORDS]
        found[f"{case.get('classname')}::{case.get('name')}"] = words[0] if words else "passed"
    return found


def compare(folder: Path) -> int:
    """Run the tests both ways in a folder; return 0 where they end alike and something was recorded."""
    python, source = prepare(folder)
    store = folder / "analytics.db"
    env = {**os.environ, "HOME": str(folder), "USAGETRACE_DB_PATH": str(store)}
    pytest = [python, "-m", "pytest"]
    run = [python, "-m", "usagetrace", "run", "--config", str(HERE / "usagetrace.toml"), "--"]
    bare = outcomes(folder / "bare.xml", pytest, source, env)
    watched = outcomes(folder / "watched.xml", [*run, *pytest], source, env)
    differing = sorted(name for name in bare.keys() | watched.keys() if bare.get(name) != watched.get(name))
    for name in differing:
        print(f"{name}: {bare.get(name)} bare, {watched.get(name)} instrumented")
    for title, ended in (("bare", bare), ("instrumented", watched)):
        print(f"{title}: {', '.join(f'{count} {word}' for word, count in sorted(Counter(ended.values()).items()))}")
    subprocess.run(
        [python, "-m", "usagetrace", "--db", str(store), "db", "drain"], env=env, check=True, stdout=subprocess.DEVNULL
    )
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute("SELECT event_type, COUNT(*) FROM events GROUP BY event_type ORDER BY event_type")
        events = dict(rows.fetchall())
    print(f"recorded meanwhile: {', '.join(f'{count} {kind}' for kind, count in events.items())}")
    return 1 if differing or not events else 0


def main() -> int:
    """Compare in the folder that the command line names, or in a temporary one."""
    if len(sys.argv) > 1:
        return compare(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
