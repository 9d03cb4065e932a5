"""`make otelcol`'s program with the real builder: what can't be had is named, and two at once build once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.otelcol import CONFIGURATIONS, ENVIRONMENT, ROOT

pytestmark = pytest.mark.e2e

# A component that nobody ever published.
UNKNOWN = "go.opentelemetry.io/collector/receiver/nosuchthingreceiver"


def small_manifest(folder: Path) -> Path:
    """Write a manifest of few components, one of which can't be had."""
    kept = ("dist:", "  ", "receivers:", "exporters:", "providers:")
    wanted = ("otlpreceiver", "debugexporter", "provider/")
    lines = [
        line
        for line in (CONFIGURATIONS / "builder.yaml").read_text(encoding="utf-8").splitlines()
        if line.startswith(kept) and ("gomod" not in line or any(name in line for name in wanted))
    ]
    lines.insert(lines.index("receivers:") + 1, f"  - gomod: {UNKNOWN} v0.159.0")
    manifest = folder / "small.yaml"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def test_two_builds_at_once_make_one_and_name_what_is_missing(tmp_path: Path) -> None:
    """Both print the same binary, one of them built it; it lacks what could not be had, and says so at every call."""
    manifest = small_manifest(tmp_path)
    go_cache = subprocess.run(["go", "env", "GOCACHE"], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    cache = tmp_path / "cache"
    # The distribution's cache is a new one, and Go's own stays the one it was: compiling all anew takes minutes.
    env = {**ENVIRONMENT, "XDG_CACHE_HOME": str(cache), "GOCACHE": go_cache.stdout.strip()}
    command = [sys.executable, str(ROOT / "tools" / "build_otelcol.py"), "--manifest", str(manifest)]
    both = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [process.communicate(timeout=900) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    (first, errors), (second, more_errors) = told
    assert first == second
    binary = Path(first.strip())
    assert binary.is_relative_to(cache)
    assert sum("building the Collector" in text for text in (errors, more_errors)) == 1
    assert all(f"without {UNKNOWN}@v0.159.0, which could not be had" in text for text in (errors, more_errors))
    assert (binary.parent / "dropped.txt").read_text(encoding="utf-8") == f"{UNKNOWN}@v0.159.0\n"
    assert not list(cache.rglob("building-*"))
    components = subprocess.run([binary, "components"], capture_output=True, text=True, check=True).stdout
    assert "name: otlp\n" in components
    assert "nosuchthing" not in components


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine: it expands the manifests")
def test_the_kubernetes_manifests_expand() -> None:
    """`kubectl kustomize` makes of the folder every object, with the configurations as they are in their files."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(CONFIGURATIONS)], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    kinds = sorted(line.removeprefix("kind: ") for line in done.stdout.splitlines() if line.startswith("kind: "))
    assert kinds == ["ConfigMap"] * 2 + ["DaemonSet"] + ["Service"] * 2 + ["StatefulSet"] * 2
    for role in ("agent", "gateway"):
        text = (CONFIGURATIONS / f"{role}.yaml").read_text(encoding="utf-8")
        assert "".join(f"    {line}\n" if line else "\n" for line in text.splitlines()) in done.stdout
