"""The tables of `usagetrace skills`: how an invocation ended, and what is not known."""

from __future__ import annotations

import json
from typing import Any

import pytest


def ended(at: str, **members: Any) -> dict[str, Any]:
    """Return an invocation as the legacy file has it."""
    return {
        "skill_name": "review", "invoked_at": f"2026-01-01T{at}:00", "workflow_path": "quick", "completed": False,
        "duration_seconds": 1.0, "follow_up_actions": [], "error_type": None, **members,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_timeline_tells_failed_cancelled_and_abandoned_apart(place: Any, form: str) -> None:
    """All three count as abandoned; programs see it by error and duration."""
    listed = [
        ended("10:00", completed=True), ended("10:01", error_type="ValueError"), ended("10:02"),
        ended("10:03", duration_seconds=None),
    ]  # fmt: skip
    place.json.write_text(json.dumps({"invocations": listed}), "utf-8")
    place.run(f"import skills {place.json} --settled")
    shown = place.run(f"skills timeline review --window all --format {form}").stdout
    if form == "table":
        words = ("completed", "failed", "cancelled", "abandoned")
        found = [word for line in shown.splitlines() for word in words if word in line.split()]
        assert found == ["abandoned", "cancelled", "failed", "completed"]
    else:
        rows = json.loads(shown)["invocations"]
        assert [(row["error_type"], row["duration_seconds"]) for row in rows] == [
            (None, None), (None, 1.0), ("ValueError", 1.0), (None, 1.0),
        ]  # fmt: skip


def test_no_average_is_shown_where_nothing_was_completed(place: Any) -> None:
    """0 would be a duration."""
    place.json.write_text(json.dumps({"invocations": [ended("10:00", error_type="ValueError")]}), "utf-8")
    place.run(f"import skills {place.json}")
    row = next(line for line in place.run("skills list").stdout.splitlines() if line.startswith("review"))
    assert row.split()[:8] == ["review", "1", "0", "1", "0.0", "%", "-", "-"]
