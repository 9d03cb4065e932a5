"""P1, P1b, P1c, P1s: what one tracked call costs in local mode, against one bare OpenTelemetry span."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import usagetrace
from benchmarks.harness import LEAD, BenchmarkError, Figure, Row, per_call, turns
from benchmarks.world import PROGRAMS, bare_sdk, drain, expect, flush, home, own_python, process
from usagetrace import track

# Short blocks, many of them: most end before a busy machine gives the processor to somebody else.
CALLS = 100
ROUNDS = 121
# Enough of them in one block for what happens in the background to take its share.
SUSTAINED_CALLS = 20_000
SUSTAINED_ROUNDS = 5
# Calls of the process that is killed.
KILLED_AFTER = 200
NAMES = tuple(f"artifact-{number}" for number in range(64))
AGAINST = "a span with eight attributes on the bare SDK, stock batch processor, exporter that does nothing"
COUNT = "SELECT COUNT(*), COUNT(DISTINCT artifact_name) FROM events"


@track.deploy(
    artifact_name="$name", artifact_type="$kind", collection_name="$collection", project_path="$project",
    metadata={"version": "$version"},
)  # fmt: skip
def deploy(name: str, kind: str, collection: str, project: str, version: str) -> bool:
    """Do nothing, tracked: eight attributes with the event's type, category and the function's name."""
    return True


class Shelf:
    """Has a method to track."""

    @track.deploy
    def deploy(self, artifact_name: str, artifact_type: str, collection_name: str, project_path: str) -> bool:
        """Do nothing, tracked without a single field named."""
        return True


class Match:
    """One thing that a search found."""

    def __init__(self, number: int) -> None:
        self.name, self.kind, self.score = NAMES[number], "skill", 1 - number / 10


class Found:
    """What a search returns."""

    def __init__(self) -> None:
        self.matches = [Match(number) for number in range(8)]
        self.total = 8


FOUND = Found()


@track.search(
    each="$result.matches[:5]", artifact_name="$item.name", artifact_type="$item.kind",
    metadata={"query": "$query", "score": "$item.score", "rank": "$rank", "total_results": "$result.total"},
)  # fmt: skip
def search(query: str, limit: int = 50) -> Found:
    """Return what is there, tracked as one span with five items."""
    return FOUND


def against_bare(
    row: Row, call: Callable[[str], object], *, at_most: float | None, expected: tuple[int, int],
    calls: int = CALLS, rounds: int = ROUNDS,
) -> Figure:  # fmt: skip
    """Time a tracked call against a bare span, in turn.

    Args:
        row: What is measured.
        call: The tracked call; it gets a name.
        at_most: The goal.
        expected: Events that one call makes, and different artifacts among all of them.
        calls: Calls in one block.
        rounds: Blocks of each side.
    """
    attributes = {f"bare.attribute.{number}": f"value {number}" for number in range(8)}
    names = itertools.cycle(NAMES)
    with home() as folder, bare_sdk() as provider:
        tracer = provider.get_tracer("bare")

        def bare(name: str) -> None:
            with tracer.start_as_current_span("deploy", attributes=attributes):
                pass

        database = folder / "analytics.db"
        usagetrace.configure(service_name="bench", db_path=database, enabled=True)
        ours, theirs = turns(
            per_call(lambda: call(next(names)), calls, flush),
            per_call(lambda: bare(next(names)), calls, provider.force_flush),
            rounds=rounds,
        )
        usagetrace.shutdown()
        each, artifacts = expected
        expect(database, COUNT, each * (rounds + 1) * (LEAD + calls), artifacts)
    return row.ratio(ours, theirs, at_most=at_most)


def survives(folder: Path) -> None:
    """See that what a tracked call recorded is not lost with its process.

    Raises:
        BenchmarkError: An event is missing after SIGKILL.
    """
    database = folder / "killed.db"
    try:
        process([own_python(), PROGRAMS / "killed.py", str(database), str(KILLED_AFTER)])
    except BenchmarkError as error:
        # The signal is how it is to end.
        if "-9" not in str(error):
            raise
    drain(database)
    expect(database, "SELECT COUNT(*), 0 FROM events WHERE event_type = 'deploy'", KILLED_AFTER, 0)


def a_call() -> list[Figure]:
    """Return the figure of P1."""
    with home() as folder:
        survives(folder)
        project = str(folder / "projects" / "shop")
    row = Row("P1", "a tracked call, durable when it returns", AGAINST, "us")
    return [
        against_bare(
            row, lambda name: deploy(name, "skill", "default", project, "1.2.0"), at_most=1.0, expected=(1, len(NAMES))
        )
    ]


def by_convention() -> list[Figure]:
    """Return the figure of P1b."""
    shelf = Shelf()
    row = Row("P1b", "a tracked method, fields by convention", AGAINST, "us")
    return [
        against_bare(
            row, lambda name: shelf.deploy(name, "skill", "default", "/srv/shop"), at_most=1.15,
            expected=(1, len(NAMES)),
        )
    ]  # fmt: skip


def a_search() -> list[Figure]:
    """Return the figure of P1c."""
    row = Row("P1c", "a tracked search with five items", AGAINST, "us")
    return [against_bare(row, search, at_most=2.0, expected=(5, 5))]


def sustained() -> list[Figure]:
    """Return the figure of P1s: calls without a pause, the background drain at work beside them."""
    row = Row("P1s", "tracked calls without a pause, drain beside them", AGAINST, "us")
    return [
        against_bare(
            row, lambda name: deploy(name, "skill", "default", "/srv/shop", "1.2.0"), at_most=None,
            expected=(1, len(NAMES)), calls=SUSTAINED_CALLS, rounds=SUSTAINED_ROUNDS,
        )
    ]  # fmt: skip


ROWS = {"P1": a_call, "P1b": by_convention, "P1c": a_search, "P1s": sustained}
