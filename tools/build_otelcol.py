"""Builds the Collector distribution of `collector-config/builder.yaml` with the Collector's own builder, once.

What was built stands in the user's cache, outside the tree, under a hash of the manifest and of Go's version, so that
a second call only prints the path. A component that the module proxy does not have is left out, named on stderr and
in `dropped.txt` beside the binary. This module knows nothing of what the configurations do with the components::

    python tools/build_otelcol.py                                              # print the binary's path
    python tools/build_otelcol.py --manifest collector-config/builder-full.yaml
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import otelcol_mended  # noqa: E402 -- found only now, where this file is run as a program

MANIFEST = ROOT / "collector-config" / "builder.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
BINARY = "otelcol-usagetrace"
DROPPED = "dropped.txt"

_COMPONENT = re.compile(r"^\s*-\s*gomod:\s*(?P<path>\S+)\s+(?P<version>v\S+)\s*$", re.MULTILINE)
_OUTPUT = re.compile(r"^(?P<key>\s*output_path:).*$", re.MULTILINE)
# A build that another process does at the same time; on two cores one takes five minutes.
_PATIENCE_SECONDS = 1800


class BuildError(Exception):
    """The distribution can't be built; the text says why and what to do."""


class Module(NamedTuple):
    """One component of a manifest: its Go module and the version."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path}@{self.version}"


class Built(NamedTuple):
    """A distribution: its binary, and the components that it lacks."""

    binary: Path
    dropped: tuple[str, ...]


def components(manifest: str) -> tuple[Module, ...]:
    """Return the components that a manifest names, in its order."""
    return tuple(Module(found["path"], found["version"]) for found in _COMPONENT.finditer(manifest))


def builder_version(manifest: str) -> str:
    """Return the version of the builder that fits a manifest: that of the Collector's own components.

    Raises:
        BuildError: The manifest names none.
    """
    for module in components(manifest):
        if module.path.startswith("go.opentelemetry.io/collector/receiver/"):
            return module.version
    raise BuildError("the manifest names no receiver of go.opentelemetry.io/collector: its version is the builder's")


def without(manifest: str, dropped: Sequence[Module]) -> str:
    """Return a manifest without the lines of some components."""
    return _COMPONENT.sub(lambda line: "" if Module(line["path"], line["version"]) in dropped else line[0], manifest)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder that holds all builds: the user's cache, never the tree."""
    base = environment.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "usagetrace" / "otelcol"


def key_of(manifest: str, go_version: str) -> str:
    """Return the name of a build's folder. Comments of the manifest make no other build; what is mended does."""
    lines = (line for line in manifest.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    change = Path(otelcol_mended.__file__).read_text(encoding="utf-8")
    return hashlib.sha256("\n".join((go_version, change, *lines)).encode()).hexdigest()[:16]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(command: Sequence[str | Path], folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    # The toolchain that is there, not one that the manifest's modules would have downloaded.
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": flags, "GOWORK": "off", **extra}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


def _last_lines(ended: subprocess.CompletedProcess[str]) -> str:
    return "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-15:])


def go_version() -> str:
    """Return what `go version` says.

    Raises:
        BuildError: There is no Go.
    """
    if shutil.which("go") is None:
        raise BuildError("there is no `go` on the PATH: install Go 1.25 or newer (https://go.dev/dl/) and try again")
    return subprocess.run(["go", "version"], text=True, capture_output=True, check=True).stdout.strip()


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Hold a lock that the system releases when this process ends, however it ends."""
    with lock.open("w") as file:
        began, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - began > _PATIENCE_SECONDS:
                    raise BuildError(f"another process has been building for long: it holds {lock}") from None
                if not told:
                    _say("waiting for another build of the same Collector")
                    told = True
                time.sleep(0.5)
        yield


def unavailable(modules: Sequence[Module], folder: Path) -> dict[Module, str]:
    """Ask Go for components and return those that can't be had, each with the reason.

    Args:
        modules: What to ask for.
        folder: An empty folder to work in.
    """
    (folder / "go.mod").write_text("module example.invalid/probe\n\ngo 1.25\n", encoding="utf-8")
    ended = _run(["go", "mod", "download", "-json", *map(str, modules)], folder)
    answers, decoder, rest = [], json.JSONDecoder(), ended.stdout.strip()
    while rest:
        answer, end = decoder.raw_decode(rest)
        answers.append(answer)
        rest = rest[end:].lstrip()
    if not answers and modules:
        raise BuildError(f"Go can't look for the components:\n{_last_lines(ended)}")
    faults = {
        Module(answer["Path"], answer.get("Version") or ""): " ".join(answer["Error"].split())[:300]
        for answer in answers
        if answer.get("Error")
    }
    return {module: faults[module] for module in modules if module in faults}


def _builder(cache: Path, version: str) -> Path:
    """Return the Collector's builder, installed into the cache where it is not yet there."""
    folder = cache / f"builder-{version}"
    program = folder / "builder"
    if not program.is_file():
        _say(f"installing {BUILDER}@{version}")
        folder.mkdir(parents=True, exist_ok=True)
        ended = _run(["go", "install", f"{BUILDER}@{version}"], cache, GOBIN=str(folder))
        if ended.returncode != 0:
            raise BuildError(f"the Collector's builder can't be had:\n{_last_lines(ended)}")
    return program


def _attempt(builder: Path, manifest: str, work: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    text = _OUTPUT.sub(lambda found: f"{found['key']} {json.dumps(str(work / 'source'))}", manifest)
    (work / "manifest.yaml").write_text(text, encoding="utf-8")
    return _run([builder, "--config", work / "manifest.yaml", *flags], work)


def _resolved(builder: Path, manifest: str, work: Path) -> tuple[str, dict[Module, str]]:
    """Return a manifest that can be built, and what had to be left out of it."""
    dropped = unavailable(components(manifest), work)
    manifest = without(manifest, tuple(dropped))
    ended = _attempt(builder, manifest, work, "--skip-compilation")
    if ended.returncode == 0:
        return manifest, dropped
    # A component is there, but something that it needs is not: each is tried alone.
    left = components(manifest)
    for module in left:
        others = tuple(other for other in left if other != module and "/provider/" not in other.path)
        alone = _attempt(builder, without(manifest, others), work, "--skip-compilation")
        if alone.returncode != 0:
            dropped[module] = "what it needs can't be had: " + " ".join(_last_lines(alone).split())[-300:]
    manifest = without(manifest, tuple(dropped))
    ended = _attempt(builder, manifest, work, "--skip-compilation")
    if ended.returncode != 0 or not components(manifest):
        raise BuildError(f"the Collector's modules can't be had:\n{_last_lines(ended)}")
    return manifest, dropped


def _mended(version: str, work: Path) -> str:
    """Return the lines of a manifest that put a mended module in place; none where it can't be mended."""
    copy = otelcol_mended.replacement(version, work, lambda command: _run(command, work).stdout)
    if copy is None:
        _say(f"{otelcol_mended.MODULE}@{version} is not the one that was mended: see tools/otelcol_mended.py")
        return ""
    return f"replaces:\n  - {otelcol_mended.MODULE} => {copy}\n"


def _build(builder: Path, manifest: str, work: Path) -> Path:
    """Build into a folder of its own and return that folder, complete."""
    manifest, dropped = _resolved(builder, manifest, work)
    manifest += _mended(builder_version(manifest), work)
    for module, reason in dropped.items():
        _say(f"left out, because it can't be had: {module} ({reason})")
    began = time.monotonic()
    ended = _attempt(builder, manifest, work)
    binary = work / "source" / BINARY
    if ended.returncode != 0 or not binary.is_file():
        raise BuildError(f"the Collector can't be built:\n{_last_lines(ended)}")
    done = work / "done"
    done.mkdir()
    binary.replace(done / BINARY)
    (done / "manifest.yaml").write_text(manifest, encoding="utf-8")
    (done / DROPPED).write_text("".join(f"{module}\n" for module in dropped), encoding="utf-8")
    _say(f"built in {time.monotonic() - began:.0f} s")
    return done


def ensure(manifest_file: Path = MANIFEST, *, rebuild: bool = False) -> Built:
    """Return the distribution of a manifest, built if it is not yet there.

    Args:
        manifest_file: The builder's manifest.
        rebuild: Build also what is there, to get components that could not be had.

    Raises:
        BuildError: Go, the builder or the Collector can't be had, or don't compile.
    """
    manifest = manifest_file.read_text(encoding="utf-8")
    cache = cache_folder(os.environ)
    folder = cache / key_of(manifest, go_version())
    binary = folder / BINARY
    if rebuild or not binary.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"{folder.name}.lock"):
            # Another process may have built it meanwhile.
            if rebuild or not binary.is_file():
                _say(f"building the Collector of {manifest_file.name} (once; some minutes)")
                builder = _builder(cache, builder_version(manifest))
                prefix = f"building-{folder.name}-"
                # What a build left that was killed: nobody else works on this one now.
                for left in cache.glob(prefix + "*"):
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=cache, prefix=prefix) as work:
                    done = _build(builder, manifest, Path(work))
                    shutil.rmtree(folder, ignore_errors=True)
                    done.replace(folder)
    return Built(binary, tuple((folder / DROPPED).read_text(encoding="utf-8").split()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the binary's path, and on stderr what it lacks; exit with 1 where there is none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="the builder's manifest")
    parser.add_argument("--rebuild", action="store_true", help="build also what is there")
    options = parser.parse_args(arguments)
    try:
        built = ensure(options.manifest, rebuild=options.rebuild)
    except (BuildError, OSError) as error:
        _say(f"make otelcol: {error}")
        return 1
    for module in built.dropped:
        _say(f"without {module}, which could not be had")
    print(built.binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
