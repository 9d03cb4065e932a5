"""One call that commits an event into the first version's schema: python call_v1.py DIRECTORY."""

import sys
from pathlib import Path

import blocks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from v1 import Naive

store = Naive(Path(sys.argv[1]) / "v1.db")


def deploy(name, kind, collection, project, version):
    """Record an event."""
    store.record("deploy", name, kind, collection, project, {"version": version, "success": True})
    return True


blocks.run(lambda name: deploy(name, "skill", "default", "/srv/shop", "1.2.0"), lambda: None, store.close)
