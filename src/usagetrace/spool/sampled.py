"""Events that sampling took away, as the body of a record: they are counted, and a few of them may yet be kept.

A record of its own kind, that a reader which knows nothing of it takes for one without events: an empty list, and
behind it a tuple that begins with a text, the name of the kind. Loaded by who samples, and by readers. Which of the
events are kept is for whoever drains, who knows those of every process.
"""

from __future__ import annotations

import marshal

from usagetrace.events import Event
from usagetrace.spool.layout import MARSHAL_VERSION, NO_EVENTS, SAMPLED, SPAN_ID, TRACE_ID, Row, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

_WIDTH: Final = len(Event._fields)
# Bounds of what a record says.
_MOST_KEPT: Final = 1_000_000
_LONGEST_MS: Final = 1000 * 365 * 86_400_000


class Sampled:
    """Events that the rate of their type took away, and how many of the type are to be kept in each window.

    A plain class, as :class:`usagetrace.spool.calls.Calls` is.

    Attributes:
        rows: Plain tuples of the fields of the events.
        minimum: How many events of the type are kept in a window at least, where so many happen; 0 for none.
        window_ms: Length of a window in milliseconds; windows begin at its multiples since 1970 UTC.
    """

    __slots__ = ("minimum", "rows", "window_ms")
    # It can be changed.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: list[Row], minimum: int, window_ms: int) -> None:
        self.rows = rows
        self.minimum = minimum
        self.window_ms = window_ms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sampled) and (self.rows, self.minimum, self.window_ms) == (
            other.rows, other.minimum, other.window_ms,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Sampled({self.rows!r}, {self.minimum!r}, {self.window_ms!r})"

    def calls(self) -> Iterator[list[Row]]:
        """Yield the rows of each call: those that follow each other and are of one span."""
        call: list[Row] = []
        before = None
        for row in self.rows:
            ids = (row[SPAN_ID], row[TRACE_ID])
            if call and (ids != before or ids[0] is None):
                yield call
                call = []
            call.append(row)
            before = ids
        if call:
            yield call


def encode_sampled(rows: list[Row], minimum: int, window_ms: int) -> bytes:
    """Return the body of a record that tells of events that sampling took away.

    Args:
        rows: Plain tuples of the fields of the events.
        minimum: As :class:`Sampled` has it; bounded by 0 and a million.
        window_ms: The same; bounded by 1 and a thousand years.

    Raises:
        TypeError: A field other than the metadata is of no type that can be stored.
        ValueError: The same.
    """
    head = (SAMPLED, min(max(minimum, 0), _MOST_KEPT), min(max(window_ms, 1), _LONGEST_MS))
    try:
        return NO_EVENTS + marshal.dumps((*head, rows), MARSHAL_VERSION)
    except ValueError:
        # Subclasses have no form of their own there: as they are encoded among events.
        plain = marshal.loads(encode(rows))  # noqa: S302 -- made in this very line
        return NO_EVENTS + marshal.dumps((*head, plain), MARSHAL_VERSION)


def sampled_in(value: tuple[Any, ...]) -> Sampled | None:
    """Return what a record's tuple of this kind tells; None where it is of a form that is not known.

    Raises:
        ValueError: An event in it is none.
        TypeError: The same.
    """
    if [type(each) for each in value[1:4]] != [int, int, list] or value[1] < 0 or value[2] < 1:
        return None
    rows = value[3]
    if any(type(row) is not tuple or len(row) != _WIDTH for row in rows):
        # One that an older version wrote may have fewer fields.
        rows = [tuple(Event(*row)) for row in rows]
    return Sampled(rows, value[1], value[2])
