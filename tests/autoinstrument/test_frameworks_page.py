"""What the how-to page says of web interfaces is true; its command lines are run with all other pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from usagetrace.autoinstrument.active import Instrumentation
from usagetrace.autoinstrument.target import targets_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from .conftest import Write
from .frameworks_kit import load, recorded
from .test_frameworks_fastapi import request

PAGE = (Path(__file__).parents[2] / "docs/how-to/instrument-a-command-line.md").read_text("utf-8")
FILES = dict(re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
REQUESTS = re.findall(r"^\| `(GET|DELETE) (\S+)` \| (.*) \|$", PAGE, re.MULTILINE)


def test_requests_of_the_page_make_its_events(write: Write) -> None:
    """Each request of the table makes the events that stand beside it."""
    write(api=FILES["api.py"])
    faults: list[str] = []
    instrumentation = Instrumentation()
    instrumentation.begin(targets_of(tomllib.loads(FILES["api.toml"]), "api.toml", faults))
    made = []
    try:
        for method, path, _shown in REQUESTS:
            with recorded() as events:
                request(load("api").app, method, path)
            told = [f"`{e.event_type} {e.artifact_type}/{e.artifact_name} {e.status}`" for e in events]
            made.append((method, path, ", ".join(told) or "none"))
    finally:
        instrumentation.end()
    assert (faults, len(made)) == ([], 4)
    assert made == REQUESTS
