"""OpenTelemetry's SDK for JavaScript, installed once and kept outside of the tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "node_sender"
# Before a test gives itself another home directory: npm has its settings and its cache there.
_ENVIRONMENT = dict(os.environ)


def sender() -> list[str]:
    """Return the command that sends spans by that SDK; what stands behind it is its arguments.

    Skips the test where there is no Node, which is a fault on CI.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        if _ENVIRONMENT.get("CI"):
            pytest.fail("node and npm are missing")
        pytest.skip("node and npm are missing")
    return [node, str(_installed(npm) / "send.mjs")]


def _installed(npm: str) -> Path:
    cache = Path(_ENVIRONMENT.get("XDG_CACHE_HOME") or Path(_ENVIRONMENT.get("HOME", "~")).expanduser() / ".cache")
    parts = b"".join(each.read_bytes() for each in sorted(FOLDER.iterdir()) if each.is_file())
    folder = cache / "usagetrace" / "node" / hashlib.sha256(parts).hexdigest()[:16]
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, and moved there as a whole: another run may do the same.
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        own = Path(made) / "sender"
        shutil.copytree(FOLDER, own, ignore=shutil.ignore_patterns("node_modules"))
        done = subprocess.run(
            [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            cwd=own, env=_ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        try:
            own.rename(folder)
        except OSError:
            assert folder.exists()
    return folder
