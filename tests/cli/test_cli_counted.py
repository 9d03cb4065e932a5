"""What sampling took away is in every answer of the command line that counts, and told where it is moved in."""

from __future__ import annotations

from typing import Any

from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory

# 2026-11-01 12:00 UTC
NOON = 1_793_534_400_000


def test_a_drain_tells_what_it_counted(home: Any) -> None:
    """It waits like other events; the report has all of them, a listing those that were kept."""
    path = home.store_path()
    spool = Spool(spool_directory(path))
    for number in range(5):
        row = tuple(Event("search", "canvas", "skill", NOON - 5 + number, duration_ms=1.0, span_id=f"{number:016x}"))
        assert spool.append_sampled([row], 2, 60_000)
    spool.close()
    drained = home.json("db drain")
    assert (drained["events"], drained["counted"], drained["complete"]) == (2, 3, True)
    assert "sampling" not in home.run("db drain").stdout
    assert home.json("report --since all")["totals"]["events"] == 5
    assert len(home.json("events --since all")["events"]) == 2


def test_it_is_told_in_words(home: Any) -> None:
    """Beside the number of events that were moved in."""
    path = home.store_path()
    spool = Spool(spool_directory(path))
    assert spool.append_sampled([tuple(Event("search", "canvas", "skill", NOON))], 0, 60_000)
    spool.close()
    assert "1 event that sampling took away counted" in home.run("db drain").stdout
