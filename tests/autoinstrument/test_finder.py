"""The import hooks: what is told, when, and that nobody else notices."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import traceback
import zipfile
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from usagetrace.autoinstrument import finder

from .conftest import Write

Told = list[tuple[str, bool]]


@pytest.fixture
def told() -> Iterator[Any]:
    """Watch modules; ``told.seen`` has what came of it: the module's name, and whether it was there before."""

    class Seen:
        def __init__(self) -> None:
            self.seen: Told = []
            self.names: list[str] = []

        def __call__(self, module: ModuleType, imported_before: bool) -> None:
            self.seen.append((module.__name__, imported_before))

        def watch(self, *names: str) -> None:
            for name in names:
                self.names.append(name)
                finder.watch(name, self)

    made = Seen()
    yield made
    for name in made.names:
        finder.unwatch(name, made)


def test_a_module_is_told_of_when_it_has_been_executed(write: Write, told: Any) -> None:
    """What is told of holds everything that its source defines, and was not imported by the watcher."""
    write(plain="def f(): return 1")
    told.watch("plain")
    assert told.seen == []
    assert "plain" not in sys.modules
    module = importlib.import_module("plain")
    assert told.seen == [("plain", False)]
    assert module.f() == 1


def test_a_module_keeps_its_own_loader(write: Write, told: Any) -> None:
    """While it is executed and afterwards, a module's loader and spec are those that it has unwatched."""
    write(plain="during = (type(__loader__), type(__spec__.loader), type(__spec__))")
    told.watch("plain")
    module = importlib.import_module("plain")
    assert module.during == (SourceFileLoader, SourceFileLoader, ModuleSpec)
    assert type(module.__spec__.loader) is SourceFileLoader
    assert module.__loader__ is module.__spec__.loader


def test_a_module_that_is_there_is_told_of_at_once(write: Write, told: Any) -> None:
    """Who watches late is told, and told that it is late."""
    write(plain="")
    importlib.import_module("plain")
    told.watch("plain")
    assert told.seen == [("plain", True)]


def test_a_reload_is_told_of(write: Write, told: Any) -> None:
    """Each execution counts: a reloaded module has new functions."""
    write(plain="def f(): pass")
    told.watch("plain")
    module = importlib.import_module("plain")
    importlib.reload(module)
    assert told.seen == [("plain", False)] * 2


def test_a_module_that_is_being_imported_is_told_of_when_it_is_whole(write: Write, told: Any) -> None:
    """A package whose first line asks to be watched has its functions when it is told of, once."""
    write(
        pk__init="""
        import sys
        sys.modules["test_finder_watch"].watch()
        from . import sub
        def g(): pass
        """,
        pk__sub="import pk",
    )
    found: list[bool] = []

    def look(module: ModuleType, imported_before: bool) -> None:
        found.append(hasattr(module, "g"))

    hook = ModuleType("test_finder_watch")
    hook.watch = lambda: [finder.watch("pk", look), finder.watch("pk", told)]  # type: ignore[attr-defined]
    told.names.append("pk")
    sys.modules["test_finder_watch"] = hook
    try:
        module = importlib.import_module("pk")
    finally:
        del sys.modules["test_finder_watch"]
        finder.unwatch("pk", look)
    assert found == [True]
    assert told.seen == [("pk", False)]
    assert type(module.__spec__) is ModuleSpec


def test_an_import_that_fails_is_not_told_of(write: Write, told: Any) -> None:
    """The exception is the program's own, its traceback has no line of ours, and a second try is told of."""
    folder = write(broken="import sys\nif not hasattr(sys, 'mended_for_test'):\n    1 / 0\n")
    told.watch("broken")
    with pytest.raises(ZeroDivisionError) as caught:
        importlib.import_module("broken")
    lines = "".join(traceback.format_exception(caught.value))
    assert "autoinstrument/finder.py" not in lines
    assert told.seen == []
    (folder / "broken.py").write_text("x = 1")
    importlib.invalidate_caches()
    importlib.import_module("broken")
    assert told.seen == [("broken", False)]


def test_the_traceback_of_a_failed_import_is_the_one_without_us(write: Write, told: Any) -> None:
    """Byte for byte, for an exception in the module and for one deeper down, for ImportError and others."""
    write(deep="1 / 0", outer="import deep", gone="import not_there_at_all", odd="def f(:")

    def failing(name: str) -> str:
        for module in ("deep", "outer", "gone", "odd"):
            sys.modules.pop(module, None)
        try:
            __import__(name)
        except Exception:
            return traceback.format_exc()
        raise AssertionError(name)

    names = ("deep", "outer", "gone", "odd")
    bare = [failing(name) for name in names]
    told.watch(*names)
    assert [failing(name) for name in names] == bare


def test_a_callback_that_raises_does_not_touch_the_import(write: Write, told: Any) -> None:
    """The import succeeds, and who else watches is told."""

    def fail(module: ModuleType, imported_before: bool) -> None:
        raise RuntimeError("a fault of the watcher")

    write(plain="x = 1")
    finder.watch("plain", fail)
    told.watch("plain")
    try:
        assert importlib.import_module("plain").x == 1
    finally:
        finder.unwatch("plain", fail)
    assert told.seen == [("plain", False)]


def test_an_unknown_module_stays_unknown(told: Any) -> None:
    """Watching what does not exist changes nothing."""
    told.watch("no_such_module_here")
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module_here'"):
        importlib.import_module("no_such_module_here")


def test_a_lazy_module_is_told_of_when_it_is_used(write: Write, told: Any) -> None:
    """Neither watching nor setting up executes it, whichever comes first."""
    for name in ("before", "after"):
        write(**{name: "import sys\nsys.lazy_for_test = __name__\ndef h(): return 2"})

    def set_up(name: str) -> ModuleType:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    late = set_up("after")
    told.watch("before", "after")
    early = set_up("before")
    assert told.seen == []
    assert not hasattr(sys, "lazy_for_test")
    assert early.h() == late.h() == 2
    assert told.seen == [("before", False), ("after", False)]
    del sys.lazy_for_test


def test_a_module_that_puts_something_in_its_place_is_told_of_as_that(write: Write) -> None:
    """What the program will see counts."""
    write(swapped="import sys, types\nnew = types.ModuleType('swapped')\nnew.f = 1\nsys.modules['swapped'] = new")
    seen: list[ModuleType] = []

    def look(module: ModuleType, imported_before: bool) -> None:
        seen.append(module)

    finder.watch("swapped", look)
    try:
        module = importlib.import_module("swapped")
    finally:
        finder.unwatch("swapped", look)
    assert seen == [module]
    assert module.f == 1


def test_extension_modules_and_modules_in_a_zip_are_told_of(tmp_path: Path, told: Any) -> None:
    """Whatever loader finds them."""
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_one.py", "x = 1")
        file.writestr("zipped_two.py", "x = 2")
    extension = next(
        name
        for name in ("_json", "_bisect", "_heapq", "_csv", "audioop", "_elementtree", "_testcapi")
        if isinstance(getattr(importlib.util.find_spec(name), "loader", None), ExtensionFileLoader)
    )
    before = sys.modules.pop(extension, None)
    sys.path.insert(0, str(archive))
    try:
        told.watch("zipped_one", extension)
        assert importlib.import_module("zipped_one").x == 1
        assert importlib.import_module("zipped_two").x == 2
        importlib.import_module(extension)
    finally:
        sys.path.remove(str(archive))
        for name in ("zipped_one", "zipped_two"):
            sys.modules.pop(name, None)
        if before is not None:
            sys.modules[extension] = before
    assert told.seen == [("zipped_one", False), (extension, False)]


def test_hooks_of_others_see_the_import_as_well(write: Write, told: Any) -> None:
    """A hook of wrapt's on the same module is called, set up before or after."""
    import wrapt

    write(plain="")
    seen: list[str] = []
    wrapt.register_post_import_hook(lambda module: seen.append("first"), "plain")
    told.watch("plain")
    wrapt.register_post_import_hook(lambda module: seen.append("second"), "plain")
    importlib.import_module("plain")
    assert seen == ["first", "second"]
    assert told.seen == [("plain", False)]


def test_many_threads_import_one_module(write: Write, told: Any) -> None:
    """It is told of once."""
    write(slow="import time\ntime.sleep(0.05)")
    told.watch("slow")
    threads = [threading.Thread(target=importlib.import_module, args=("slow",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.seen == [("slow", False)]


def test_the_last_watcher_takes_the_finder_with_it(write: Write) -> None:
    """The import system is as it was."""
    before = list(sys.meta_path)

    def look(module: ModuleType, imported_before: bool) -> None:
        raise AssertionError

    finder.watch("never_imported_a", look)
    finder.watch("never_imported_b", look)
    assert len(sys.meta_path) == len(before) + 1
    finder.unwatch("never_imported_a", look)
    finder.unwatch("never_imported_b", look)
    assert sys.meta_path == before
