"""Operations whose processes end in every way, and drainers that are killed: each operation is there once."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spool.conftest import Outcomes, Program, kept
from usagetrace.spool import segments
from usagetrace.store import Store
from usagetrace.store.drain import drain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, forks and inherited pipes")

Start = Callable[..., Program]
_DAY_MS = 86_400_000

BEGIN = """
directory, pipe = sys.argv[1], int(sys.argv[-1])
spool = Spool(directory, max_segment_bytes=4000, max_total_bytes=100_000_000)

def invoke(name, status):
    ids = f"{int(name.split(':')[0]):032x}", f"{int(name.split(':')[1]):016x}"
    return Event("invoke", name, "command", 1_700_000_000_000, status=status, trace_id=ids[0], span_id=ids[1])

def tell(what):
    os.write(pipe, (what + "\\n").encode())

def begin(name):
    if spool.append_start(tuple(invoke(name, "abandoned"))):
        tell("begun " + name)

def end(name):
    if spool.append([invoke(name, "ok")]):
        tell("ended " + name)
"""
ENDS = {
    "killed": ("begin('1:1'); begin('1:2'); end('1:2'); os.kill(os.getpid(), 9)", {"1:1": "abandoned", "1:2": "ok"}),
    "exec": ("begin('1:1'); os.execv(sys.executable, [sys.executable, '-c', ''])", {"1:1": "abandoned"}),
    "os._exit": ("begin('1:1'); os._exit(0)", {"1:1": "abandoned"}),
    "rotated, then killed": (
        "begin('1:1')\nfor n in range(2, 90): begin(f'1:{n}'); end(f'1:{n}')\nos.kill(os.getpid(), 9)",
        {"1:1": "abandoned", **{f"1:{n}": "ok" for n in range(2, 90)}},
    ),
    "ended after a rotation": (
        "begin('1:1')\nfor n in range(2, 90): begin(f'1:{n}'); end(f'1:{n}')\nend('1:1'); os._exit(0)",
        {f"1:{n}": "ok" for n in range(1, 90)},
    ),
    "forked inside, the child ends first": (
        "begin('1:1')\nif os.fork() == 0:\n    begin('2:1'); end('2:1'); os._exit(0)\n"
        "os.wait(); end('1:1'); os._exit(0)",
        {"1:1": "ok", "2:1": "ok"},
    ),
    "forked inside, the parent is killed": (
        "begin('1:1')\nif os.fork() == 0:\n    begin('2:1'); os._exit(0)\nos.wait(); os.kill(os.getpid(), 9)",
        {"1:1": "abandoned", "2:1": "abandoned"},
    ),
    "forked inside, the child outlives": (
        "import time\nbegin('1:1')\nif os.fork() == 0:\n    time.sleep(0.3); begin('2:1'); end('2:1')\nos._exit(0)",
        {"1:1": "abandoned", "2:1": "ok"},
    ),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("drained", ["after", "while"])
def test_what_is_abandoned_and_what_not_however_a_process_ends(
    program: Start, store: Store, folder: Path, outcomes: Outcomes, how: str, drained: str
) -> None:
    """Each operation is there once, with its outcome, whether it was drained meanwhile or not."""
    code, expected = ENDS[how]
    running = program(BEGIN + code, folder)
    if drained == "while":
        assert running.begun.wait(60)
        while running.process.poll() is None:
            drain(store, folder)
    running.witnessed()
    running.end()
    for _ in range(2):
        assert drain(store, folder).complete
    assert sorted(outcomes()) == sorted(expected.items())
    assert (kept(store), segments(folder)) == (0, [])


BEGIN_AND_END_FOR_EVER = (
    BEGIN
    + """
def work(label):
    number = 0
    while True:
        number += 3
        begin(f"{label}:{number}")
        begin(f"{label}:{number + 1}")
        end(f"{label}:{number}")
        end(f"{label}:{number + 1}")

import time
first = int(sys.argv[2])
threads = [threading.Thread(target=work, args=(first + n,)) for n in range(2)]
[each.start() for each in threads]
[each.join() for each in threads]
"""
)
DRAIN_FOR_EVER = """
from usagetrace.store import Store
from usagetrace.store.drain import drain
with Store(sys.argv[2]) as store:
    while True:
        drain(store, sys.argv[1], batch_events=10)
        os.write(int(sys.argv[-1]), b".\\n")
"""


# Half of the rounds with every run of the tests, half beside what needs more than Python, for their time.
@pytest.mark.parametrize("chunk", [0, pytest.param(1, marks=pytest.mark.e2e)])
def test_killed_writers_and_killed_drainers_leave_each_operation_once(
    program: Start, store: Store, folder: Path, outcomes: Outcomes, chunk: int
) -> None:
    """Both die at random moments, over rotations: what ended is there as ended, what had begun as abandoned, once."""
    told: list[str] = []
    for turn in range(2):
        writer = program(BEGIN_AND_END_FOR_EVER, folder, 10 * (10 * chunk + turn) + 1)
        drainer = program(DRAIN_FOR_EVER, folder, store.path)
        assert writer.begun.wait(60)
        assert drainer.begun.wait(60)
        time.sleep(random.uniform(0.01, 0.1))
        drainer.kill()
        time.sleep(random.uniform(0, 0.02))
        writer.kill()
        told += writer.witnessed()
        assert (writer.end(), drainer.end()) == (-9, -9)
    # A drainer that was killed between removing a file and forgetting it leaves it in doubt for a day.
    later = time.time_ns() // 1_000_000 + 2 * _DAY_MS
    for _ in range(2):
        assert drain(store, folder, now_ms=later).complete
    found = outcomes()
    assert set(Counter(name for name, _ in found).values()) == {1}
    ended = {line.split()[1] for line in told if line.startswith("ended")}
    begun = {line.split()[1] for line in told if line.startswith("begun")}
    status = dict(found)
    assert {name for name in ended if status.get(name) != "ok"} == set()
    assert begun - set(status) == set()
    # What was in flight in each of the two threads may have been written and not told of.
    unsaid = {name for name, value in status.items() if value == "ok"} - ended
    assert len(unsaid) <= 6
    assert len(ended) > 20
    assert (kept(store), segments(folder)) == (0, [])


def test_a_full_disk_loses_a_start_and_nothing_else(
    program: Start, store: Store, folder: Path, outcomes: Outcomes
) -> None:
    """A start that did not fit is no loss that is counted; once there is room its end is stored."""
    code = """
import resource
begin("1:1")
size = sum(entry.stat().st_size for entry in os.scandir(directory))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 30, resource.RLIM_INFINITY))
begin("1:2")
tell("error" if isinstance(spool.error, OSError) else "no error")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
end("1:2")
tell(f"lost {spool.lost}")
os._exit(0)
"""
    running = program("import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)" + BEGIN + code, folder)
    assert running.witnessed() == ["begun 1:1", "error", "ended 1:2", "lost 0"]
    assert running.end() == 0
    report = drain(store, folder)
    assert (report.lost, report.abandoned) == (0, 1)
    assert outcomes() == [("1:2", "ok"), ("1:1", "abandoned")]
