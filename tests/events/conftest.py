"""For tests of event types: none registered before or after, and packages that are installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from usagetrace import event_types

Install = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_types() -> Iterator[None]:
    """Forget registered types before and after a test."""
    event_types.forget()
    yield
    event_types.forget()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that puts a package with entry points of our group on the path.

    Its arguments: the package's name, its module's source, and its entry points as ``name="attribute"``.
    """
    place = tmp_path / "packages"
    place.mkdir()
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    before = set(sys.modules)

    def put(package: str, source: str, **points: str) -> Path:
        module = package.replace("-", "_")
        (place / f"{module}.py").write_text(source, "utf-8")
        info = place / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", "utf-8")
        lines = ["[console_scripts]", f"{package} = {module}:main", "", "[usagetrace.event_types]"]
        lines += [f"{name} = {module}:{attribute}" for name, attribute in points.items()]
        (info / "entry_points.txt").write_text("\n".join([*lines, "", "[other]", "x = y:z", ""]), "utf-8")
        return place

    yield put
    for name in set(sys.modules) - before:
        if str(place) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
