"""Make a number of tracked calls when told to, and have them in the store: python many.py DATABASE CALLS.

It prints a line when it is ready, and waits for one. The last calls may still be in the spool when it ends, where
another process drained at that moment.
"""

from __future__ import annotations

import sys

import usagetrace
from usagetrace import track


@track.deploy(metadata={"number": "$number"})
def deploy(artifact_name: str, artifact_type: str, number: int) -> bool:
    """Do nothing, tracked."""
    return True


usagetrace.configure(service_name="bench", db_path=sys.argv[1], enabled=True)
usagetrace.record_event("bench.ready", "", "")
usagetrace.flush(60)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    deploy(f"artifact-{number % 64}", "skill", number)
usagetrace.flush(60)
usagetrace.shutdown(60)
