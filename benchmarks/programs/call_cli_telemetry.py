"""One call, profiled by cli-telemetry: python call_cli_telemetry.py DIRECTORY."""

import contextlib
import sqlite3
import sys
from pathlib import Path

import blocks
from cli_telemetry.telemetry import end_session, profile, start_session

database = Path(sys.argv[1]) / "telemetry.db"
start_session(command_name="bench", service_name="bench", db_path=str(database))


@profile
def deploy(name, kind, collection, project, version):
    """Do nothing, profiled; arguments are not recorded."""
    return True


def count():
    """Return how many spans of calls are in its store."""
    end_session()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT COUNT(*) FROM otel_spans WHERE name = 'deploy'").fetchone()[0]


blocks.run(lambda name: deploy(name, "skill", "default", "/srv/shop", "1.2.0"), lambda: None, count)
