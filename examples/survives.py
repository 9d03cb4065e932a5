"""What a killed program leaves: every call that had returned, each once, and the one that had not, as abandoned.

``python examples/survives.py [FOLDER]`` starts a program that tracks its calls as fast as it can and says on a pipe
which have returned. In the middle of it, it is killed by SIGKILL, which no program can catch. Then the database is
compared with what came through the pipe. The exit code is 0 if they agree.

The database stays in FOLDER; without one, everything is removed at the end.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import usagetrace
from usagetrace import track
from usagetrace.analytics import AnalyticsDB

# Calls after which the program is killed.
ENOUGH = 500


@track.deploy(artifact_type="skill")
def deploy(name: str) -> str:
    """Return what was deployed."""
    return name


@track.invoke(artifact_name="$run", artifact_type="job")
def work(run: str) -> None:
    """Deploy for ever, and say of each call that it has returned. Whoever calls this has to end the process."""
    for number in itertools.count():
        print(deploy(f"{run}-skill-{number}"), flush=True)


def killed(database: Path, run: str) -> list[str]:
    """Run this file as the program, kill it, and return the calls that returned, as it told them."""
    command = [sys.executable, __file__, "--work", str(database), run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        told = list(itertools.islice(program.stdout, ENOUGH))
        program.kill()
        # What it had said by then is still in the pipe; of the last line, perhaps a part.
        told += program.stdout
    return [line.strip() for line in told if line.endswith("\n")]


def compare(database: Path, run: str, returned: list[str]) -> bool:
    """Print what the database has of a run's calls; say whether it has each that returned once."""
    print(f"killed when {len(returned)} calls had returned")
    # Moves in what waits in the spool.
    with AnalyticsDB(database) as db:
        events = [each for each in db.get_events(limit=len(returned) + 10) if each["artifact_name"].startswith(run)]
    counts = Counter(event["artifact_name"] for event in events if event["event_type"] == "deploy")
    lost = [name for name in returned if name not in counts]
    twice = [name for name, count in counts.items() if count > 1]
    untold = set(counts) - set(returned)
    print(f"in the database: {len(returned) - len(lost)} of them, {len(twice)} more than once")
    # It may have been killed between the end of a call and the line that tells it.
    print(f"returned, but not told any more: {len(untold)}")
    abandoned = [event for event in events if event["status"] == "abandoned"]
    for event in abandoned:
        print(f"abandoned: {event['event_type']} {event['artifact_name']}, begun {event['timestamp']} UTC")
    return not lost and not twice and len(untold) <= 1 and len(abandoned) == 1


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit code."""
    if arguments[:1] == ["--work"]:
        usagetrace.configure(service_name="survives", db_path=arguments[1])
        work(arguments[2])
    with tempfile.TemporaryDirectory() as passing:
        database = Path(arguments[0] if arguments else passing) / "analytics.db"
        run = f"run-{os.getpid()}"
        returned = killed(database, run)
        if not database.parent.joinpath("spool").exists():
            print("nothing was recorded: `usagetrace status` says who said no")
            return 0
        return 0 if compare(database, run, returned) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
