"""Brings a collection of skills to the shelf's service: starts a worker for each skill, as a program of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


def sync(collection: str, skills: list[str]) -> int:
    """Let a worker bring each skill; return how many did."""
    return sum(subprocess.run([sys.executable, WORKER, collection, skill]).returncode == 0 for skill in skills)


if __name__ == "__main__":
    collection, *skills = sys.argv[1:]
    print(f"{sync(collection, skills)} of {len(skills)} skills are on the shelf")
