"""Make a number of tracked calls, then be killed: python killed.py DATABASE CALLS."""

from __future__ import annotations

import os
import signal
import sys

import usagetrace
from usagetrace import track


@track.deploy
def deploy(artifact_name: str, artifact_type: str) -> bool:
    """Do nothing, tracked."""
    return True


usagetrace.configure(service_name="bench", db_path=sys.argv[1], enabled=True)
for number in range(int(sys.argv[2])):
    deploy(f"artifact-{number}", "skill")
os.kill(os.getpid(), signal.SIGKILL)
