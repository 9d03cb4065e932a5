"""Modules that a test writes, imports and forgets again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from usagetrace.autoinstrument import active

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into a folder of ``sys.path``: ``write(pk__init="...", pk__sub="...")`` writes a package.

    Afterwards none of them is in ``sys.modules``, and the import system is as it was.
    """
    folder = tmp_path / "modules"
    folder.mkdir()
    before = set(sys.modules)
    # Modules of the same names that other tests imported from elsewhere: put back afterwards.
    aside: dict[str, ModuleType] = {}
    monkeypatch.syspath_prepend(str(folder))

    def put(**sources: str) -> Path:
        for name, source in sources.items():
            path = folder / (name.replace("__", "/") + ".py")
            if path.name == "init.py":
                path = path.with_name("__init__.py")
            top = name.partition("__")[0]
            for known in [known for known in before if known.partition(".")[0] == top and known in sys.modules]:
                aside[known] = sys.modules.pop(known)
                before.discard(known)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source), encoding="utf-8")
        return folder

    yield put
    active.end()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and file.startswith(str(folder)):
            del sys.modules[name]
    sys.modules.update(aside)
    assert [finder for finder in sys.meta_path if type(finder).__module__.startswith("usagetrace")] == []
