"""One trace through several programs: what comes in, the program, and the children that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.autoinstrument.run_kit import Lab, make_lab

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the children are a shell's")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SHELF = """
    import subprocess, sys

    def deploy(name):
        for command in sys.argv[2:]:
            print(subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout, end="")

    def main():
        deploy(sys.argv[1])
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A program whose one operation runs the commands that it is given."""
    made = make_lab(tmp_path / "lab")
    monkeypatch.chdir(made.folder)
    made.write("shelf/core.py", SHELF)
    made.write("shelf/__main__.py", "from shelf.core import main\nmain()\n")
    return made


def test_a_trace_goes_from_program_to_program(lab: Lab) -> None:
    """The operations of a program and of its followed child are of the trace that came in, and the child's is below."""
    child = f"echo $TRACEPARENT; {sys.executable} -m shelf child 'echo $TRACEPARENT'"
    ended = lab.covered(
        [sys.executable, "-m", "shelf", "program", child], follow=True, TRACEPARENT=f"00-{TRACE}-{SPAN}-01"
    )
    (_, inner_trace, inner_span), (_, outer_trace, outer_span) = lab.rows("artifact_name, trace_id, span_id")
    assert (outer_trace, inner_trace) == (TRACE, TRACE)
    assert ended.out.split() == [f"00-{TRACE}-{outer_span}-01", f"00-{TRACE}-{inner_span}-01"]
    assert ended.err == ""


def test_a_trace_begins_where_none_came_in(lab: Lab) -> None:
    """The first operation that starts a child has a trace of its own, and hands it on; without us there is none."""
    command = [sys.executable, "-m", "shelf", "program", "echo _$TRACEPARENT"]
    assert lab.bare(command).out == "_\n"
    ended = lab.covered(command)
    ((trace, span),) = lab.rows("trace_id, span_id")
    assert ended.out == f"_00-{trace}-{span}-01\n"


def test_while_recording_is_off_nothing_is_handed_on(lab: Lab) -> None:
    """The child finds what it finds without us."""
    ended = lab.covered([sys.executable, "-m", "shelf", "program", "echo _$TRACEPARENT"], DO_NOT_TRACK="1")
    assert (ended.out, ended.err) == ("_\n", "")
