"""An agent whose skills are counted: what was completed, what failed, what was broken off, and what was killed.

``python examples/invocations/agent.py [FOLDER]`` runs two sessions of a small agent. The second one starts a helper
that is killed by SIGKILL in the middle of its skill. Then the agent says what its skills came to. The database stays
in FOLDER; without one, everything is removed at the end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import usagetrace
from usagetrace import track
from usagetrace.invocations import SkillMetricsStore, get_store, session, track_invocation


@track.search(each="$result", artifact_name="$item", artifact_type="file")
def find(pattern: str) -> list[str]:
    """Look for files: an event of its own, in the trace of the skill that looks."""
    return [f"{pattern}.py", f"test_{pattern}.py"]


async def review(path: str) -> None:
    """A skill that is completed: the block says so when it ends."""
    async with track_invocation("review", workflow_path=path) as invocation:
        found = await asyncio.to_thread(find, "shelf")
        invocation.completer(follow_up_actions=[f"open {found[0]}", "git commit"])


async def plan() -> None:
    """A skill that fails: the exception goes on its way, and is how the invocation ended."""
    with track_invocation("plan", workflow_path="thorough"):
        raise TimeoutError("the model did not answer")


async def ask() -> None:
    """A skill that its user breaks off."""
    invocation = track_invocation("ask")
    invocation.completer(completed=False)


async def first_session() -> None:
    """Run skills side by side; all of them are of one session."""
    with session("monday"):
        results = await asyncio.gather(review("quick"), review("comprehensive"), plan(), ask(), return_exceptions=True)
    print("first session:", ", ".join("failed" if isinstance(result, Exception) else "done" for result in results))


def second_session(database: str) -> None:
    """Have a helper begin a skill, and kill it before it ends."""
    with session("tuesday"):
        track_invocation("review", workflow_path="quick").completer()
    command = [sys.executable, __file__, "--helper", database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as helper:
        assert helper.stdout is not None
        helper.stdout.readline()
        helper.kill()
    print("second session: the helper was killed")


def begin_and_hang(database: str) -> None:
    """Begin a skill and never end it. Whoever calls this has to end the process."""
    invocation = SkillMetricsStore(database).track_invocation("train", session_id="tuesday")
    print("begun", flush=True)
    threading.Event().wait()
    invocation.completer()


def tell(store: SkillMetricsStore) -> None:
    """Print what the skills came to."""
    for row in store.get_all_metrics():
        counts = f"{row['completed_invocations']} of {row['total_invocations']} completed"
        print(f"{row['skill_name']:7}{counts}, paths {row['workflow_paths']}, errors {row['common_errors']}")
    summary = store.get_summary()
    print(f"{summary['total_skills']} skills, {summary['overall_completion_rate']:.1f}% completed")
    print("then:", ", ".join(store.get_skill_metrics("review")["follow_up_actions"]))


def main(folder: Path) -> None:
    """Run both sessions, and tell of them."""
    database = str(folder / "analytics.db")
    usagetrace.configure(service_name="agent", db_path=database)
    asyncio.run(first_session())
    second_session(database)
    with get_store() as store:
        tell(store)
    usagetrace.shutdown()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--helper"]:
        begin_and_hang(sys.argv[2])
    elif sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
