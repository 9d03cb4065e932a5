"""How often targets were called is told once, by name, and never more than was called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from usagetrace.autoinstrument import active, fired
from usagetrace.autoinstrument.target import Target
from usagetrace.redaction import Redactor
from usagetrace.store import Store
from usagetrace.store.drain import drain


class Recorder:
    """Takes what is told, or refuses it."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, int], str]] = []
        self.takes = True

    def submit_calls(self, counts: Mapping[str, int], service_name: str = "") -> bool:
        self.told.append((dict(counts), service_name))
        return self.takes


@pytest.fixture
def tool(write: Any) -> Any:
    """Return a module with two targets in force; nothing is left to tell afterwards."""
    import importlib

    write(fired_tool="class Shelf:\n    def deploy(self, name): ...\ndef search(query): return []\ndef never(): ...")
    fired.settle(active.instrumentation.states())
    fired._left.clear()
    functions = {"Shelf.deploy": "deploy", "search": "search", "never": "sync"}
    active.instrumentation.begin(Target(f"fired_tool:{name}", event) for name, event in functions.items())
    yield importlib.import_module("fired_tool")
    active.instrumentation.end()
    fired._told.clear()
    fired._left.clear()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_calls_are_told_by_function_and_those_that_were_told_not_again(tool: Any, recorder: Recorder) -> None:
    """What was never called is not named; where nothing was called since, nothing is told."""
    redactor = Redactor()
    assert fired.tell(recorder, redactor, "shelf") is True
    assert recorder.told == []
    for _ in range(3):
        tool.Shelf().deploy("canvas")
    tool.search("q")
    assert fired.tell(recorder, redactor, "shelf") is True
    assert fired.tell(recorder, redactor, "shelf") is True
    tool.search("q")
    assert fired.tell(recorder, redactor, "shelf") is True
    assert recorder.told == [
        ({"fired_tool.Shelf.deploy": 3, "fired_tool.search": 1}, "shelf"), ({"fired_tool.search": 1}, "shelf")
    ]  # fmt: skip


def test_what_was_not_taken_is_told_the_next_time(tool: Any, recorder: Recorder) -> None:
    """With what was called since."""
    recorder.takes = False
    tool.search("q")
    assert fired.tell(recorder, Redactor()) is False
    recorder.takes = True
    tool.search("q")
    assert fired.tell(recorder, Redactor()) is True
    assert [counts for counts, _ in recorder.told] == [{"fired_tool.search": 1}, {"fired_tool.search": 2}]


def test_calls_of_targets_that_were_taken_back_are_told(tool: Any, recorder: Recorder) -> None:
    """Put in force anew they are counted from zero."""
    tool.search("q")
    fired.settle(active.instrumentation.states())
    fired.settle(active.instrumentation.states())
    active.instrumentation.end()
    tool.search("not counted")
    active.instrumentation.begin([Target("fired_tool:search", "search")])
    tool.search("q")
    assert fired.tell(recorder, Redactor()) is True
    assert recorder.told == [({"fired_tool.search": 2}, "")]


def test_names_are_redacted_bounded_and_added_up_where_they_become_one(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that the redactor gives up is not told; of too many those that were called most are."""

    class Redacts:
        def redact(self, key: str, value: object) -> object:
            assert key == "code.function.name"
            return None if value == "secret" else str(value).partition("-")[0]

        def key(self, key: str) -> str:
            return key

    fired._left.update({"secret": 2000, "same-a": 1500, "same-b": 1500, "n" * 600: 1400})
    fired._left.update({f"f{number}": number for number in range(1, 1100)})
    assert fired.tell(recorder, Redacts()) is True
    ((told, _),) = recorder.told
    assert told["same"] == 3000
    assert told["n" * 512] == 1400
    assert "secret" not in told
    assert len(told) == fired.MOST - 2
    assert min(told.values()) > 100


PROGRAM = """
import atexit, os, sys
sys.path.insert(0, {folder!r})
from usagetrace.autoinstrument import active
from usagetrace.autoinstrument.target import Target
active.instrumentation.begin([Target("counted:f", "deploy", {{"artifact_name": "$name"}})])
import usagetrace
usagetrace.configure(service_name="shelf")

@atexit.register
def tell():
    from usagetrace import pipeline, redaction
    from usagetrace.autoinstrument import fired
    running = pipeline.active()
    if running is not None:
        fired.tell(running.recorder, redaction.default_redactor(), "shelf")

{body}
"""
BODIES = {
    "one process": ("for n in range(4): counted.f(str(n))", 4, 4),
    "nothing called": ("", 0, 0),
    "a fork": (
        "counted.f('before')\nif os.fork() == 0:\n    counted.f('child'); sys.exit(0)\nos.wait()\ncounted.f('after')",
        3, 3,
    ),
    "a fork that calls nothing": ("counted.f('x')\nif os.fork() == 0:\n    sys.exit(0)\nos.wait()", 1, 1),
    "skips its handlers": ("counted.f('x')\nos._exit(0)", 1, 0),
    "multiprocessing, forked": (
        "from multiprocessing import get_context\n"
        "child = get_context('fork').Process(target=counted.f, args=('child',))\n"
        "counted.f('x')\nchild.start(); child.join()\ncounted.f('y')",
        3, 3,
    ),
    "a child and its own child": (
        "from multiprocessing import get_context\nmake = get_context('fork').Process\n"
        "def below():\n    counted.f('child')\n    inner = make(target=counted.f, args=('inner',))\n"
        "    inner.start(); inner.join()\n"
        "child = make(target=below); child.start(); child.join()",
        2, 2,
    ),
    "a pool": (
        "from multiprocessing import get_context\npool = get_context('fork').Pool(2)\n"
        "pool.map(counted.f, 'abc')\npool.close(); pool.join()",
        3, 3,
    ),
    "forked by a server": (
        "from multiprocessing import get_context\nif __name__ == '__main__':\n"
        "    child = get_context('forkserver').Process(target=counted.f, args=('child',))\n"
        "    child.start(); child.join()",
        1, 1,
    ),
    "spawned": (
        "from multiprocessing import get_context\nif __name__ == '__main__':\n"
        "    child = get_context('spawn').Process(target=counted.f, args=('child',))\n"
        "    child.start(); child.join()",
        1, 1,
    ),
    "loaded only in a child that has begun": (
        "from multiprocessing import get_context\n"
        "def below():\n    import counted\n    counted.f('child')\n"
        "child = get_context('fork').Process(target=below); child.start(); child.join()\n"
        "assert 'usagetrace.autoinstrument.fired' not in sys.modules",
        1, 1,
    ),
}  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("what", BODIES)
def test_a_process_tells_when_it_ends_and_forks_count_once(tmp_path: Path, what: str) -> None:
    """Events are there whatever happens; the counts of a process that skips its exit handlers are lost.

    Children of ``multiprocessing`` skip them as well, but tell before.
    """
    body, events, called = BODIES[what]
    body = body if "import counted" in body else f"import counted\n{body}"
    (tmp_path / "counted.py").write_text("def f(name): ...")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(folder=str(tmp_path), body=body))
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"],
               "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])}  # fmt: skip
    done = subprocess.run([sys.executable, program], env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    (folder,) = [path for path in tmp_path.rglob("shelf") if path.is_dir()] or [None]
    if folder is None:
        assert events == called == 0
        return
    with Store(folder / "analytics.db") as store:
        drain(store, folder / "spool")
        assert store.count_events()[0]["events"] == events
        points = store.get_metrics("usage.target.calls")
    assert sum(point.sum for point in points) == called
    assert {(point.service_name, point.attributes) for point in points} <= {
        ("shelf", '{"code.function.name":"counted.f"}')
    }
