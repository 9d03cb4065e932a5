"""A lock ends with the process that took it, though a child was forked at the worst moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import usagetrace

# A thread comes out of the system, with the descriptor open, or about to be closed, while another thread forks.
FORK = """
import fcntl, os, sys, threading, time
from usagetrace.spool import locks

path, moment = sys.argv[1:]
plain = getattr(os, moment)
amid = threading.Event()

def slow(*arguments, **named):
    there = threading.current_thread() is worker
    done = plain(*arguments, **named) if moment == "open" or not there else None
    if there:
        amid.set()
        time.sleep(0.2)
    return plain(*arguments, **named) if there and moment == "close" else done

def use():
    locks.LockedFile.take(path, make=True).close()

worker = threading.Thread(target=use)
setattr(os, moment, slow)
worker.start()
amid.wait()
here, there = os.pipe()
child = os.fork()
if child == 0:
    plain_close = plain if moment == "close" else os.close
    plain_close(there)
    os.read(here, 1)
    os._exit(0)
worker.join()
setattr(os, moment, plain)
again = locks.LockedFile.take(path)
print("free" if again is not None else "locked by the child")
os.close(there)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("moment", ["open", "close"])
def test_a_fork_amid_a_change(tmp_path: Path, moment: str) -> None:
    """A child forked while a thread opens or closes a locked file does not keep its lock from everybody else."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, tmp_path / "lock", moment],
        env={**os.environ, "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("free\n", "")
