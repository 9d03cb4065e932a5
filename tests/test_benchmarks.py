"""The benchmarks' own arithmetic, and that their rows, documents and columns go together. Nothing is timed here."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
from pathlib import Path

import pytest

from benchmarks import harness, made, p3_store, p6c_peers, run, v1, world
from benchmarks.harness import BenchmarkError, Figure, Row, number, per_call, turns
from benchmarks.redaction_peers import run_peer
from tests.redaction.corpus import BENIGN_GROUPS, FAMILIES
from usagetrace.store.store import Store

ROOT = Path(run.__file__).resolve().parent.parent
ROW = Row("P0", "a thing", "another thing", "us")


def test_a_ratio_is_one_of_medians_and_its_spread_one_of_pairs() -> None:
    """The value compares medians; low and high are the extreme pairs; the goal is an upper bound."""
    figure = ROW.ratio([1.0, 2.0, 9.0], [2.0, 4.0, 3.0], at_most=0.7)
    expected = Figure(
        "P0", "a thing", "another thing", 2.0, 3.0, "us", 2 / 3, 0.5, 3.0, "<= 0.70", True
    )  # fmt: skip
    assert expected == figure


@pytest.mark.parametrize(
    ("figure", "goal", "met"),
    [
        (ROW.ratio([1.0], [1.0], at_most=1.0), "<= 1.00", True),
        (ROW.ratio([1.01], [1.0], at_most=1.0), "<= 1.00", False),
        (ROW.ratio([5.0], [1.0]), "", None),
        (ROW.rate([6.0], [10.0], at_least=0.6), ">= 0.60", True),
        (ROW.rate([5.9], [10.0], at_least=0.6), ">= 0.60", False),
        (ROW.difference([15.0], [10.0], at_most=5.0), "<= +5", True),
        (ROW.difference([15.1], [10.0], at_most=5.0), "<= +5", False),
        (ROW.ahead([0.9], [1.0]), "< 1", True),
        (ROW.ahead([1.0], [1.0]), "< 1", False),
    ],
)
def test_a_goal_is_met_up_to_its_bound(figure: Figure, goal: str, met: bool | None) -> None:
    """A bound itself is within the goal, save where the goal is to be ahead; no goal is neither met nor missed."""
    assert (goal, met) == (figure.goal, figure.met)
    assert {True: "met", False: "missed", None: ""}[met] == figure.verdict()


def test_a_difference_keeps_the_unit() -> None:
    """A difference is ours less theirs, of medians and of pairs."""
    figure = ROW.difference([3.0, 5.0, 4.0], [1.0, 1.5, 1.0], at_most=9)
    assert (figure.value, figure.low, figure.high) == (3.0, 2.0, 3.5)


def test_sides_take_turns_and_a_warm_round_is_not_counted() -> None:
    """A B A B: each side runs once a round, and what the first round took is forgotten."""
    ran: list[str] = []
    clock = itertools.count()

    def side(name: str) -> harness.Timed:
        def timed() -> float:
            ran.append(name)
            return float(next(clock))

        return timed

    assert turns(side("a"), side("b"), side("c"), rounds=2) == [[3.0, 6.0], [4.0, 7.0], [5.0, 8.0]]
    assert list("abcabcabc") == ran
    assert turns(side("a"), side("b"), rounds=1, warm=False) == [[9.0], [10.0]]


def test_a_block_is_timed_without_what_comes_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs for the calls alone: not for those that warm the caches, and not for what is cleared up."""
    now = [0]
    monkeypatch.setattr(harness.time, "perf_counter_ns", lambda: now[0])

    def action() -> None:
        now[0] += 2_000

    def after() -> None:
        now[0] += 1_000_000

    assert per_call(action, 50, after)() == 2.0
    assert now[0] == (harness.LEAD + 50) * 2_000 + 1_000_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (0.05553, "0.0555"), (0.5, "0.500"), (1.0, "1.00"), (9.876, "9.88"), (15.44, "15.4"),
        (408.2, "408"), (1043.4, "1,043"), (61820.0, "61,820"), (-2.5, "-2.50"),
    ],
)  # fmt: skip
def test_figures_have_the_digits_that_count(value: float, text: str) -> None:
    """Three digits below a hundred, whole numbers from there on."""
    assert text == number(value)


def test_both_tables_tell_the_same() -> None:
    """The line and the Markdown row name the row, both sides, the spread, the goal and the verdict."""
    figure = ROW.ratio([10.0, 12.0], [20.0, 16.0], at_most=1.0)
    assert (
        figure.markdown()
    ) == "| P0 | a thing | another thing | 11.0 µs | 18.0 µs | 0.61 (0.50 to 0.75) | ≤ 1.00 | met |"
    assert (figure.line().split()) == [
        "P0",
        "a",
        "thing",
        "11.0",
        "18.0",
        "us",
        "0.61",
        "(0.50",
        "to",
        "0.75)",
        "<=",
        "1.00",
        "met",
    ]
    assert harness.HEADER.index(" goal") == figure.line().index(" <= 1.00")
    assert harness.MARKDOWN_HEADER.splitlines()[0].count("|") == figure.markdown().count("|")


def test_a_benchmark_that_goes_wrong_gives_no_figure_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others still run; the end says 1."""

    def wrong() -> list[Figure]:
        raise BenchmarkError("7 events in the store, 8 expected")

    benchmarks = {"P8": wrong, "P9": lambda: [Row("P9", "fine", "x", "us").ratio([1.0], [2.0])]}
    monkeypatch.setattr(run, "BENCHMARKS", benchmarks)
    assert run.main([]) == 1
    out = capsys.readouterr().out
    assert "P8   went wrong: 7 events in the store, 8 expected" in out
    assert "P9   fine" in out
    assert run.main(["P9", "--markdown"]) == 0
    assert "| P9 | fine | x |" in capsys.readouterr().out


def test_an_unknown_row_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error measures nothing."""
    with pytest.raises(SystemExit) as refused:
        run.main(["P1", "P99"])
    assert refused.value.code == 2
    assert "no such row: P99; there are P1, P1b" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["benchmarks/README.md", "docs/performance.md"])
def test_every_row_is_described(page: str) -> None:
    """The benchmarks' own page and the page of figures name each row, and no other."""
    cells = re.findall(r"^\|(?: `\w+\.py` \|)? (P\d[^|]*) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(run.BENCHMARKS) == {row for cell in cells for row in cell.split(", ")}


def test_every_file_is_described() -> None:
    """The benchmarks' own page names each file that measures."""
    named = re.findall(r"^\| `(\w+\.py)`", (ROOT / "benchmarks/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(path.name for path in (ROOT / "benchmarks").glob("p[0-9]*.py")) == sorted(named)


def test_settings_of_whoever_runs_it_stay_out() -> None:
    """Benchmarks see an empty home directory and no switch, but another checkout can be measured."""
    given = {
        "HOME": "/h", "PATH": "/bin", "DO_NOT_TRACK": "1", "USAGETRACE_DISABLED": "1", "OTEL_SDK_DISABLED": "true",
        "XDG_DATA_HOME": "/d", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/other/src",
    }  # fmt: skip
    assert world.clean(given, "/own") == {"HOME": "/own", "PATH": "/bin", "PYTHONPATH": "/other/src"}


@pytest.mark.parametrize(
    ("query", "fault"),
    [("SELECT COUNT(*) FROM t", r"\(2,\) in the store, \(3,\) expected"), ("SELECT 1 FROM gone", "no such table")],
)
def test_a_store_that_says_otherwise_is_a_fault(tmp_path: Path, query: str, fault: str) -> None:
    """A wrong count and a query that can't be answered both end the benchmark."""
    database = tmp_path / "x.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
    world.expect(database, "SELECT COUNT(*) FROM t", 2)
    with pytest.raises(BenchmarkError, match=fault):
        world.expect(database, query, 3)


def test_made_events_are_the_same_each_time() -> None:
    """Both sides of a comparison get the same rows, evenly spread over the time asked for."""
    first = list(made.events(1_000, every_ms=86.4, from_ms=5))
    assert first == list(made.events(1_000, every_ms=86.4, from_ms=5))
    assert (5, 5 + int(999 * 86.4)) == (first[0].ts_ms, first[-1].ts_ms)
    assert len({event.span_id for event in first}) == 1_000


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_batches_lose_nothing(count: int, sizes: list[int]) -> None:
    """Items come in their order, in lists of the size, the last one shorter."""
    got = list(made.batches(range(count), 4))
    assert sizes == list(map(len, got))
    assert list(range(count)) == [item for batch in got for item in batch]


def test_raw_inserts_fill_every_column_of_events(tmp_path: Path) -> None:
    """What the store is compared with writes as much as the store does."""
    with Store(tmp_path / "analytics.db") as store:
        columns = [row[1] for row in store.connection.execute("PRAGMA table_info(events)")]
    assert columns == ["id", *p3_store.COLUMNS]


def test_the_naive_store_counts_what_it_keeps(tmp_path: Path) -> None:
    """The store that commits each event does its work: rows and summary agree."""
    store = v1.Naive(tmp_path / "v1.db")
    for name in ("a", "b", "a"):
        store.record("deploy", name, "skill", "default", "/p", {"version": "1"})
    assert store.close() == 3


def test_a_redactor_is_told_by_what_it_got_right() -> None:
    """Private: the share that is gone. Harmless: the share that is unchanged. Beside it: the share that is kept."""
    names = [name for family in FAMILIES.values() for name in family]
    counts = {"cases": 10, "rest": 8, "kept": 6}
    groups = {
        name: {**counts, **({"changed": 1, "gone": 0} if name in BENIGN_GROUPS else {"changed": 0, "gone": 7})}
        for name in names
    }
    side = p6c_peers.Side("x 1", 1.0, groups)
    shares = {family: side.share(family) for family in FAMILIES}
    assert shares == {
        "secrets": 70.0, "paths": 70.0, "personal data": 70.0, "benign": 90.0,
    }  # fmt: skip
    assert side.kept() == 75.0
    assert tuple(run_peer.PEERS) == p6c_peers.PEERS


def test_peers_get_types_that_all_of_them_know() -> None:
    """Bytes come as text and tuples as lists, at any depth; the rest as it is."""
    assert run_peer.simple((b"x", {"a": (1, None)}, 2.5)) == ["x", {"a": [1, None]}, 2.5]
