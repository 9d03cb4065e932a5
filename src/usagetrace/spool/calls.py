"""How often functions were called, as the body of a record.

A record of its own kind, that a reader which knows nothing of it takes for one without events: an empty list, and
behind it a tuple of the time, the tool, and the counts. Loaded by who has something to tell, and by readers.
"""

from __future__ import annotations

import marshal

from usagetrace.spool.layout import MARSHAL_VERSION, NO_EVENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Calls:
    """How often functions were called in a process, since it last told.

    A plain class: what Python makes of source text while a program ends, as a named tuple's, has it forget that it was
    interrupted, and end with another code.

    Attributes:
        ts_ms: When it told, in milliseconds since 1970 UTC.
        service_name: The tool.
        counts: Number of calls by the function's name.
    """

    __slots__ = ("counts", "service_name", "ts_ms")

    def __init__(self, ts_ms: int, service_name: str, counts: Mapping[str, int]) -> None:
        self.ts_ms = ts_ms
        self.service_name = service_name
        self.counts = dict(counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calls) and self.told() == other.told()

    def __hash__(self) -> int:
        return hash((self.ts_ms, self.service_name))

    def __repr__(self) -> str:
        return f"Calls({self.ts_ms!r}, {self.service_name!r}, {self.counts!r})"

    def told(self) -> tuple[int, str, dict[str, int]]:
        """Return everything as the tuple that a record holds."""
        return self.ts_ms, self.service_name, self.counts


def encode_calls(calls: Calls) -> bytes:
    """Return the body of a record that tells how often functions were called.

    Raises:
        ValueError: A value is of no type that can be stored.
    """
    return NO_EVENTS + marshal.dumps(calls.told(), MARSHAL_VERSION)


def calls_in(value: tuple[Any, ...]) -> Calls | None:
    """Return the calls that a record's tuple tells of; None where it tells of none, or of what is not known."""
    if [type(each) for each in value[:3]] != [int, str, dict]:
        return None
    counts = {name: calls for name, calls in value[2].items() if type(name) is str and type(calls) is int and calls > 0}
    return Calls(value[0], value[1], counts) if counts else None
