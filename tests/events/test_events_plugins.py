"""Event types that installed packages bring: which are found, when they are loaded, and what becomes of broken ones."""

from __future__ import annotations

import logging
import os
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import run_python
from usagetrace import event_types, events
from usagetrace.event_types import EventType, all_types, lookup, register
from usagetrace.events import Category, Priority, category_of, priority_of
from usagetrace.track import track

from .conftest import Install  # isort: skip

GOOD = """
from usagetrace.event_types import EventType, Sampling

LOADED = []
LOADED.append(1)
ONE = EventType("page_opened", "usage", "high", Sampling(0.5, 5, 30))
SEVERAL = [ONE, EventType("page_closed")]

def made():
    LOADED.append("called")
    yield EventType("page_printed", "system", "critical")

class holder:
    types = (EventType("page_torn", "error"),)
"""


def loaded(module: str) -> list[Any]:
    """Return how often a package of these tests was imported, and its callable called."""
    found: list[Any] = sys.modules[module].LOADED if module in sys.modules else []
    return found


@pytest.mark.parametrize(
    ("attribute", "name", "expected"),
    [
        ("ONE", "page_opened", (Category.USAGE, Priority.HIGH)),
        ("SEVERAL", "page_closed", (Category.CUSTOM, Priority.NORMAL)),
        ("made", "page_printed", (Category.SYSTEM, Priority.CRITICAL)),
        ("holder.types", "page_torn", (Category.ERROR, Priority.NORMAL)),
        ("ONE [some, extras]", "page_opened", (Category.USAGE, Priority.HIGH)),
    ],
)
def test_a_plugin_gives_one_type_or_several_or_a_callable(
    install: Install, attribute: str, name: str, expected: tuple[Category, Priority]
) -> None:
    """An entry point may name an event type, a collection of them, or a callable that returns those."""
    install("good-pages", GOOD, pages=attribute)
    assert (category_of(name), priority_of(name)) == expected
    found = lookup(name)
    assert found is not None
    assert found in all_types()


def test_plugins_are_loaded_once_and_only_for_an_unknown_type(install: Install) -> None:
    """Built-in types and registered ones load no plugin; the first unknown one loads them, the next ones nothing."""
    install("good-pages", GOOD, pages="made")
    register(EventType("mine"))
    assert {category_of(name) for name in ("deploy", "mine", "cpu_usage")} == {
        Category.USAGE, Category.CUSTOM, Category.PERFORMANCE,
    }  # fmt: skip
    assert loaded("good_pages") == []
    assert category_of("nobody_knows") is Category.CUSTOM
    assert loaded("good_pages") == [1, "called"]
    install("late", GOOD.replace("page_", "late_"), pages="ONE")
    assert (lookup("late_opened"), loaded("late"), loaded("good_pages")) == (None, [], [1, "called"])


BROKEN = {
    "a module that is not there": ("import not_there_at_all", "TYPES", "ModuleNotFoundError"),
    "an attribute that is not there": ("", "TYPES", "AttributeError"),
    "a module that raises": ("raise RuntimeError('out of order')", "TYPES", "RuntimeError"),
    "a module that ends the program": ("raise SystemExit(3)", "TYPES", "SystemExit"),
    "a callable that raises": ("def TYPES(): raise OSError", "TYPES", "OSError"),
    "a callable that ends the program": ("import sys\ndef TYPES(): sys.exit()", "TYPES", "SystemExit"),
    "a text": ("TYPES = 'page'", "TYPES", "EventError"),
    "a number": ("TYPES = 1", "TYPES", "TypeError"),
    "the class itself": ("from usagetrace.event_types import EventType as TYPES", "TYPES", "TypeError"),
    "one that is none, among others": (
        "from usagetrace.event_types import EventType\nTYPES = [EventType('half_there'), None]", "TYPES", "EventError",
    ),
    "an invalid name": ("from usagetrace.event_types import EventType\nTYPES = EventType('1 page')", "TYPES",
                        "EventError"),
    "a built-in name": ("from usagetrace.event_types import EventType\nTYPES = EventType('deploy')", "TYPES",
                        "EventError"),
    "syntax": ("def", "TYPES", "SyntaxError"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_named_once_and_the_others_work(
    install: Install, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning names the plugin, its package and what is wrong; nothing of it counts, all of the others does."""
    source, attribute, error = BROKEN[kind]
    install("broken-pages", source, torn=attribute)
    install("good-pages", GOOD, pages="ONE")
    with caplog.at_level(logging.WARNING, "usagetrace"):
        for _ in range(3):
            assert category_of("page_opened") is Category.USAGE
            assert (lookup("half_there"), lookup("nobody_knows")) == (None, None)
        event_types.forget()
        assert category_of("page_opened") is Category.USAGE
    (said,) = [record.getMessage() for record in caplog.records]
    assert "the plugin torn of the package broken-pages brings no event types" in said
    assert error in said
    deploy = lookup("deploy")
    assert deploy is not None
    assert deploy.category is Category.USAGE


def test_the_program_s_own_types_go_before_a_plugin_s(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """Of a type that code registered, a plugin's other definition is left aside, with one warning; its others count."""
    install("good-pages", GOOD, pages="SEVERAL")
    register(EventType("page_opened", "business"))
    with caplog.at_level(logging.WARNING, "usagetrace"):
        assert category_of("page_closed") is Category.CUSTOM
    assert category_of("page_opened") is Category.BUSINESS
    assert lookup("page_closed") is not None
    (said,) = [record.getMessage() for record in caplog.records]
    assert "good-pages" in said
    assert "page_opened" in said


def test_the_first_package_of_a_name_on_the_path_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A package that lies twice on the path is the one that an import would find, as for any other entry point."""
    install("good-pages", GOOD, pages="ONE")
    behind = tmp_path / "behind" / "Good.Pages-0.9.dist-info"
    behind.mkdir(parents=True)
    (behind / "entry_points.txt").write_text("[usagetrace.event_types]\nold = not_there:at_all\n", "utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(behind.parent)])
    assert [found.name for found in all_types() if found.name.startswith("page_")] == ["page_opened"]
    assert caplog.records == []


def test_a_long_file_is_read_to_its_end(install: Install) -> None:
    """Our group is found behind any number of other entry points."""
    place = install("good-pages", GOOD, pages="ONE")
    file = place / "good_pages-1.0.dist-info" / "entry_points.txt"
    ours = file.read_text("utf-8")
    for length in (16384, 40000, 32768 - len(ours)):
        file.write_text(f"[console_scripts]\n{'#' * length}\n{ours}", "utf-8")
        event_types.forget()
        assert category_of("page_opened") is Category.USAGE


@pytest.mark.parametrize("kind", ["egg-info", "EGG-INFO"])
def test_eggs_are_packages_too(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A package that was installed in the older form, as a folder beside it or an egg, brings its types as well."""
    place = install("good-pages", GOOD, pages="ONE")
    info = place / "good_pages-1.0.dist-info"
    if kind == "egg-info":
        info.rename(place / "good_pages-1.0-py3.egg-info")
    else:
        egg = tmp_path / "good_pages-1.0-py3.egg"
        egg.mkdir()
        info.rename(egg / "EGG-INFO")
        monkeypatch.setattr(sys, "path", [str(egg), *sys.path])
    assert category_of("page_opened") is Category.USAGE


def test_packages_in_an_archive_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package inside an archive on the path, as of a zipped application, brings its types as well."""
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("zipped_pages.py", GOOD)
        inside.writestr("zipped_pages-1.0.dist-info/METADATA", "Name: zipped-pages\nVersion: 1.0\n")
        inside.writestr(
            "zipped_pages-1.0.dist-info/entry_points.txt", "[usagetrace.event_types]\npages = zipped_pages:ONE\n"
        )
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path])
    try:
        assert category_of("page_opened") is Category.USAGE
    finally:
        sys.modules.pop("zipped_pages", None)


def test_a_finder_of_somebody_s_own_is_asked(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a finder on ``sys.meta_path`` knows distributions, the standard library's search is used."""

    class Finder:
        asked = 0

        def find_distributions(self, context: object) -> list[Any]:
            Finder.asked += 1
            return []

        def find_spec(self, *args: object) -> None:
            return None

    install("good-pages", GOOD, pages="ONE")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert category_of("page_opened") is Category.USAGE
    assert Finder.asked > 0


def test_files_that_make_no_sense_are_passed_over(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no text, lines that are no entry, and folders that can't be listed cost nothing else."""
    place = install("good-pages", GOOD, pages="ONE")
    (place / "odd-1.dist-info").mkdir()
    (place / "odd-1.dist-info" / "entry_points.txt").write_bytes(
        b"\xff\xfe[usagetrace.event_types]\n[usagetrace.event_types\nno entry\n# a = b:c\n[usagetrace.event_types]\n\0"
    )
    (place / "empty-1.dist-info").mkdir()
    # A path that is no text is passed over by imports as well.
    monkeypatch.setattr(sys, "path", ["", "not/there", place, b"bytes", *sys.path])
    assert category_of("page_opened") is Category.USAGE


RECORDS = """
from usagetrace.event_types import EventType
from usagetrace.track import track

with track("while_loading", artifact_name="early", artifact_type="page"):
    TYPES = EventType("while_loading", "usage")
with track("while_loading", artifact_name="late", artifact_type="page"):
    pass
"""


def test_a_plugin_may_record_events_while_it_is_loaded(install: Install, spans: Any) -> None:
    """Its events are recorded, as custom ones, and the one that it is loaded for is right."""
    install("eager-pages", RECORDS, pages="TYPES")
    with track("while_loading", artifact_name="outer", artifact_type="page"):
        pass
    found = [(span.attributes["usage.artifact.name"], span.attributes["usage.event.category"])
             for span in spans.exporter.get_finished_spans()]  # fmt: skip
    assert sorted(found) == [("early", "custom"), ("late", "custom"), ("outer", "usage")]


def test_a_plugin_that_the_program_imports_itself_is_loaded_afterwards(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose module asks for an unknown type while the program imports it is not broken: it is loaded later."""
    source = "from usagetrace.events import category_of\nFIRST = category_of('page_opened')\n" + GOOD
    place = install("good-pages", source, pages="ONE")
    assert place.is_dir()
    module = __import__("good_pages")
    assert (module.FIRST, category_of("page_opened")) == (Category.CUSTOM, Category.USAGE)
    assert caplog.records == []


def test_threads_that_ask_at_once_all_get_the_answer(install: Install) -> None:
    """Ten threads whose first event is of a plugin's type wait for it, and it is imported once."""
    install("good-pages", GOOD, pages="ONE")
    start = threading.Barrier(10)
    found: list[Category] = []

    def ask() -> None:
        start.wait()
        found.append(category_of("page_opened"))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Category.USAGE] * 10
    assert loaded("good_pages") == [1]


FORKING = """
import os, sys, threading, warnings
import gate
from usagetrace.events import category_of

warnings.simplefilter("ignore", DeprecationWarning)
thread = threading.Thread(target=category_of, args=("page_opened",))
thread.start()
gate.reached.wait()
child = os.fork()
if child == 0:
    # The thread that imports the plugin is not in this process: who waits for it, waits for ever.
    os._exit(0 if category_of("page_opened").value == "custom" else 1)
_, status = os.waitpid(child, 0)
gate.opened.set()
thread.join()
print(os.waitstatus_to_exitcode(status), category_of("page_opened").value)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_fork_while_a_plugin_is_imported_harms_neither_process(install: Install, tmp_path: Path) -> None:
    """The child leaves a plugin alone that a thread of its parent was importing; the parent goes on."""
    waits = "import gate\ngate.reached.set()\ngate.opened.wait()\n"
    place = install("slow-pages", waits + GOOD, pages="ONE")
    (place / "gate.py").write_text(
        "import threading\nreached, opened = threading.Event(), threading.Event()\n", "utf-8"
    )
    paths = os.pathsep.join(str(entry) for entry in sys.path if entry)
    ended = run_python(FORKING, tmp_path / "alone", {"PYTHONPATH": paths})
    assert (ended.code, ended.out, ended.err) == (0, "0 usage\n", "")


def test_asking_again_costs_a_look_into_a_table(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once everything is loaded, nobody asks for plugins any more."""
    install("good-pages", GOOD, pages="ONE")
    assert category_of("page_opened") is Category.USAGE
    monkeypatch.setitem(sys.modules, "usagetrace.event_plugins", None)
    assert (category_of("nobody_knows"), events.sampling_of("page_opened")) == (Category.CUSTOM, (0.5, 5, 30.0))
