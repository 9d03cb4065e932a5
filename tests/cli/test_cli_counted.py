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


def leave_sampled(home: Any, number: int) -> None:
    """Leave so many searches of NOON, one a second, of which each window of a minute keeps two."""
    spool = Spool(spool_directory(home.store_path()))
    for index in range(number):
        event = Event("search", "canvas", "skill", NOON + index * 1000, duration_ms=1.0, span_id=f"{index:016x}")
        assert spool.append_sampled([tuple(event)], 2, 60_000)
    spool.close()


def test_a_report_says_which_of_its_events_are_no_rows(home: Any) -> None:
    """The numbers are those of all; a listing says how many it can't list."""
    leave_sampled(home, 5)
    report = home.run("report").stdout
    assert "5 events on 1 artifact" in report
    assert "of these, counted without a row, by sampling: 3 events" in report
    assert "Too low" not in report
    assert home.json("report")["sampled"] == {"counted": 3, "left_out": 0}
    assert home.json("top")["sampled"] == {"counted": 3, "left_out": 0}
    assert home.json("top --event search")["sampled"] == {"counted": 3, "left_out": 0}
    assert "Too low" not in home.run("top").stdout
    assert "Sampling kept no row of 3 events of these days" in home.run("events").stdout
    assert home.json("events")["sampled"] == {"counted": 0, "left_out": 3}


def test_a_report_says_how_much_it_lacks_where_its_window_cuts_a_day(home: Any) -> None:
    """Rows alone can be counted there, which a reader must not take for all; a whole day is exact."""
    leave_sampled(home, 5)
    for command in ("report", "top"):
        cut = home.run(f"{command} --since 2026-11-01T11:00").stdout
        assert "Too low by up to 3 events that sampling counted by the day and kept no row of." in cut
        assert "Whole days are exact, as in --since 2026-11-01" in cut
        assert home.json(f"{command} --since 2026-11-01T11:00")["sampled"] == {"counted": 0, "left_out": 3}
        assert "Too low" not in home.run(f"{command} --since 2026-11-01").stdout
        csv = home.run(f"{command} --since 2026-11-01T11:00 --format csv")
        assert ("Too low" in csv.stderr, "Too low" in csv.stdout) == (True, False)
        assert home.json(f"{command} --since 2026-11-01")["sampled"] == {"counted": 3, "left_out": 0}
        assert home.json(f"{command} --since 2026-11-02")["sampled"] == {"counted": 0, "left_out": 0}


def test_where_every_event_is_a_row_nothing_is_said_of_it(home: Any) -> None:
    """A reader who never heard of it need not ask what it is."""
    home.record(Event("search", "canvas", "skill", NOON))
    for command in ("report", "report --since 2026-11-01T11:00", "top", "events", "db stats"):
        assert "ampling" not in home.run(command).stdout


def test_status_and_stats_say_how_many_were_only_counted(home: Any) -> None:
    """Beside the number of rows; and status what is kept, by default and by the settings."""
    leave_sampled(home, 5)
    assert "counted without a row, by sampling: 3 events" in home.run("db stats").stdout
    assert home.json("db stats")["sampled_away"] == 3
    home.write_settings("[sampling]\nsearch = 0.1\n")
    status = home.run("status").stdout
    assert "3 more were counted without a row, by sampling" in status
    assert "Of performance events one in ten is kept as a row" in status
    assert "The settings say otherwise of: search=0.1" in status
    assert home.json("status")["stores"][0]["sampled_away"] == 3
