"""Writes a legacy skill-metrics file of any size, and counts what it holds without any code of the package.

Run as ``python -m tests.support.legacy_json FILE INVOCATIONS [SEED]``.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

BEGIN = datetime(2026, 3, 1, 9, 0)
SKILLS = [f"skill-{number:02d}" for number in range(20)]
PATHS = ["comprehensive", "quick", "daily", "review/all", None]
ERRORS = ["ValueError", "TimeoutError", "shelf.errors.NotFound"]
ACTIONS = ["git commit", "git push", "run the tests", "open a review"]


def records(number: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield invocations as the legacy tool lists them: a few failed, a few were given up, some never ended."""
    chance = random.Random(seed)
    when = BEGIN
    for _ in range(number):
        when += timedelta(microseconds=chance.randrange(1, 90_000_000))
        fate = chance.random()
        ended, completed = fate < 0.99, fate < 0.9
        yield {
            "skill_name": chance.choice(SKILLS),
            "invoked_at": when.isoformat(),
            "workflow_path": chance.choice(PATHS),
            "completed": completed,
            "duration_seconds": round(chance.expovariate(0.2), 6) if ended else None,
            "follow_up_actions": chance.sample(ACTIONS, chance.randrange(3)) if completed else [],
            "error_type": chance.choice(ERRORS) if ended and not completed and chance.random() < 0.7 else None,
        }


def totals(invocations: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> dict[str, Any]:
    """Count invocations as the legacy tool does, which leaves out what never ended."""
    skills: dict[str, Any] = {}
    for each in invocations:
        if each["duration_seconds"] is None:
            continue
        skill = skills.setdefault(each["skill_name"], {
            "skill_name": each["skill_name"], "total_invocations": 0, "completed_invocations": 0,
            "abandoned_invocations": 0, "total_duration_seconds": 0.0, "workflow_paths": {}, "common_errors": {},
            "follow_up_actions": {}, "first_invoked": each["invoked_at"], "last_invoked": None,
        })  # fmt: skip
        skill["total_invocations"] += 1
        skill["last_invoked"] = each["invoked_at"]
        skill["completed_invocations" if each["completed"] else "abandoned_invocations"] += 1
        if each["completed"]:
            skill["total_duration_seconds"] += each["duration_seconds"]
        seen = [("workflow_paths", each["workflow_path"]), ("common_errors", each["error_type"])]
        for column, key in [*seen, *(("follow_up_actions", action) for action in each["follow_up_actions"])]:
            if key:
                skill[column][key] = skill[column].get(key, 0) + 1
    for skill in skills.values():
        done = skill["completed_invocations"]
        skill["completion_rate"] = done / skill["total_invocations"] * 100
        skill["avg_duration_seconds"] = skill["total_duration_seconds"] / done if done else 0.0
    return skills


def document(invocations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a whole file's content."""
    last = invocations[-1]["invoked_at"] if invocations else BEGIN.isoformat()
    return {"invocations": invocations, "skills": totals(invocations), "last_updated": last}


def write(path: Path, number: int, seed: int = 0) -> dict[str, Any]:
    """Write a file; return what it holds."""
    content = document(list(records(number, seed)))
    path.write_text(json.dumps(content, indent=2), "utf-8")
    return content


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
