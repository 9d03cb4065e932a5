"""Brings one skill to the shelf's service, with the trace that it is part of in the request's header."""

from __future__ import annotations

import json
import os
import sys
from urllib.request import Request, urlopen

from opentelemetry.propagate import inject

SHELF = os.environ.get("SHELF_URL", "http://127.0.0.1:8000")


def deploy(name: str, collection: str) -> str:
    """Put a skill on the shelf; return what the service calls it."""
    headers = {"Content-Type": "application/json"}
    # Adds `traceparent`. A client that OpenTelemetry instruments, such as requests, does this by itself.
    inject(headers)
    body = json.dumps({"name": name}).encode()
    with urlopen(Request(f"{SHELF}/collections/{collection}/skills", body, headers)) as answer:
        return str(json.load(answer)["id"])


if __name__ == "__main__":
    print(deploy(sys.argv[2], sys.argv[1]))
