"""One call, tracked by usagetrace: python call_usagetrace.py DIRECTORY."""

import contextlib
import sqlite3
import sys
from pathlib import Path

import blocks

import usagetrace
from usagetrace import track

database = Path(sys.argv[1]) / "analytics.db"
usagetrace.configure(service_name="bench", db_path=database, enabled=True)


@track.deploy(
    artifact_name="$name", artifact_type="$kind", collection_name="$collection", project_path="$project",
    metadata={"version": "$version"},
)  # fmt: skip
def deploy(name, kind, collection, project, version):
    """Do nothing, tracked."""
    return True


def count():
    """Return how many events are in the store."""
    usagetrace.shutdown(60)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT COUNT(*) FROM events").fetchone()[0]


blocks.run(
    lambda name: deploy(name, "skill", "default", "/srv/shop", "1.2.0"), lambda: usagetrace.flush(60), count
)  # fmt: skip
