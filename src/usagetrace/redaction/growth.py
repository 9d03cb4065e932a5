"""Tells how fast the work on an automaton can grow: by which power of a text's length, and within a short text.

A run is one way in which a matcher can read a text. Where several cycles follow each other and can read the same
characters, the runs of a text grow by a power of its length, one for each cycle. What repeats up to a bound can still
have too many runs at once; those are counted over words that a hostile text would choose.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final, TypeAlias

    Letters: TypeAlias = frozenset[int]

# Most cycles that may follow each other: the work on a text of n characters is n to this power, from each start.
CYCLES_LIMIT: Final = 2
# Most runs of one text of this length.
RUNS_LIMIT: Final = 20_000
_LENGTH: Final = 64
# Most sets of characters that are looked at.
_SETS: Final = 256


def has_long_chain(
    edges: list[list[int]],
    letters: list[Letters],
    last: Iterable[int],
    cycles: Callable[[list[list[int]]], list[set[int]]],
) -> bool:
    """Return whether more than :data:`CYCLES_LIMIT` cycles that can read the same text follow each other.

    Args:
        edges: Where each state leads.
        letters: What each state reads.
        last: States at which a match ends at once: nothing is tried again behind them.
        cycles: Gives the strongly connected parts of a graph that hold a cycle.
    """
    ends = set(last)
    for shared in _shared(edges, letters, cycles):
        inside = [
            [to for to in following if letters[to] & shared] if letters[state] & shared else []
            for state, following in enumerate(edges)
        ]
        parts = [
            part
            for part in cycles(inside)
            if not part & ends and shared <= frozenset().union(*(letters[state] for state in part))
        ]
        if len(parts) > CYCLES_LIMIT and _longest(inside, parts) > CYCLES_LIMIT:
            return True
    return False


def _shared(
    edges: list[list[int]], letters: list[Letters], cycles: Callable[[list[list[int]]], list[set[int]]]
) -> Iterator[Letters]:
    """Give the sets of characters that cycles may have in common: single ones, and what their parts all read."""
    parts = cycles(edges)
    found: dict[Letters, None] = {}
    for part in parts:
        found.setdefault(frozenset().union(*(letters[state] for state in part)))
    yield from (frozenset((letter,)) for letter in frozenset().union(*found))
    todo = list(found)
    for one in todo:
        if len(found) > _SETS:
            break
        for other in list(found):
            both = one & other
            if both and both not in found:
                found[both] = None
                todo.append(both)
    yield from (each for each in found if len(each) > 1)


def _longest(edges: list[list[int]], parts: list[set[int]]) -> int:
    """Return how many of the parts lie on one way through a graph, up to one more than is allowed."""
    of = {state: number for number, part in enumerate(parts) for state in part}
    reached = {number: _parts_behind(edges, part, of) - {number} for number, part in enumerate(parts)}
    chains = [{number} for number in reached]
    length = 1
    ends = set().union(*chains)
    while length <= CYCLES_LIMIT:
        ends = set().union(*(reached[number] for number in ends))
        if not ends:
            return length
        length += 1
    return length


def _parts_behind(edges: list[list[int]], part: set[int], of: dict[int, int]) -> set[int]:
    seen = set(part)
    todo = list(part)
    while todo:
        for to in edges[todo.pop()]:
            if to not in seen:
                seen.add(to)
                todo.append(to)
    return {of[state] for state in seen if state in of}


def most_runs(edges: list[list[int]], letters: list[Letters], first: list[int]) -> int:
    """Return how many runs a hostile text of 64 characters has, or the first number above :data:`RUNS_LIMIT`.

    Args:
        edges: Where each state leads, a state twice where it does so in two ways.
        letters: What each state reads.
        first: Where a run begins, a state twice where it does so in two ways.
    """
    used = sorted(frozenset().union(*letters)) if letters else []
    kinds: dict[Letters, int] = {}
    for letter in used:
        kinds.setdefault(frozenset(state for state, read in enumerate(letters) if letter in read), letter)
    words: list[int | None] = [*kinds.values(), None]
    return max((_runs(edges, letters, first, list(kinds.values()), word) for word in words), default=0)


def _runs(
    edges: list[list[int]], letters: list[Letters], first: list[int], choice: list[int], letter: int | None
) -> int:
    """Return the runs of one word: of the same letter again and again, or of those that make most at each place."""
    ways: dict[int, int] = {}
    for state in first:
        ways[state] = ways.get(state, 0) + 1
    total = 0
    for _ in range(_LENGTH):
        best: dict[int, int] = {}
        most = 0
        for each in choice if letter is None else (letter,):
            kept = {state: number for state, number in ways.items() if each in letters[state]}
            # Runs that can go on count: the others are over.
            number = sum(count * max(1, len(edges[state])) for state, count in kept.items())
            if number > most:
                best, most = kept, number
        total += sum(best.values())
        if not best or total > RUNS_LIMIT:
            break
        ways = {}
        for state, number in best.items():
            for to in edges[state]:
                ways[to] = ways.get(to, 0) + number
    return total
