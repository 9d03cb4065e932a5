"""What a reader of another format gives, and what is told after an import.

This module owns the words between readers and :mod:`usagetrace.importers.run`. It knows no format and no database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from usagetrace.errors import ImportFileError
from usagetrace.events import Event

if TYPE_CHECKING:
    from usagetrace.store.streams import ReceivedPoint

__all__ = ["DAY_MS", "Carried", "Found", "FoundPoint", "ImportFileError", "Reader", "Report", "Skipped"]

DAY_MS: Final = 86_400_000
# Places that are kept of each reason.
_MOST_PLACES: Final = 5


class Found(NamedTuple):
    """One event of a source.

    Attributes:
        event: What the source says, as it stands there: it is redacted, cleaned and cut after it was found to be new.
            Without ids of its own it gets some that are made from the identity.
        identity: Canonical text of the record that it was made of. Equal ones are told apart by how many there were
            before; it must not depend on an option such as a time zone, nor on where in the source it stands.
        place: Where it stands, for people: ``line 12``, ``table events, row 7``.
        redacted: Whether the reader has redacted every text of the event itself.
        there: Whether the store has this event from elsewhere: the record is remembered and counted as known, and
            nothing is added.
    """

    event: Event
    identity: str
    place: str
    redacted: bool = False
    there: bool = False


class FoundPoint(NamedTuple):
    """One metric point of a source, its attributes redacted.

    Attributes:
        point: The point.
        identity: As of :class:`Found`: what the point is, not what it counted. The same one again adds nothing.
        place: Where it stands.
    """

    point: ReceivedPoint
    identity: str
    place: str


class Carried(NamedTuple):
    """What a summary counts of an artifact beyond the events that are left of it.

    Attributes:
        artifact_name: The thing, as the source has it.
        artifact_type: Its kind.
        counts: Deploys, updates, syncs, removals and searches, in this order.
        total: Events of all types.
        first_ms: When the first one was, in milliseconds since 1970 UTC; None where unknown.
        last_ms: When the last one was.
    """

    artifact_name: str
    artifact_type: str
    counts: tuple[int, ...]
    total: int
    first_ms: int | None
    last_ms: int | None


class Skipped(NamedTuple):
    """A record that can't become an event, while the rest of its source can.

    Attributes:
        place: Where it stands.
        why: A reason that many records may share; no text of the source stands in it.
        detail: What is told of this one only, such as by how much a clock is ahead; no text of the source either.
    """

    place: str
    why: str
    detail: str = ""


class Reader(Protocol):
    """A source that can be read twice: once to look whether it is sound, once to import it.

    A reader may have more, which is asked for by name: ``notes`` (sentences that are told after :meth:`check`),
    ``tick`` (set to what is to be called now and then while it is looked at), ``carried()`` (yields :class:`Carried`).

    Attributes:
        name: Of the format, in one word; part of what ids are made from, so it never changes.
        size: Bytes of the source; None where that is not known.
        done: Bytes that the present pass has read.
        days: Events by day (days since 1970 UTC), known after :meth:`check`; empty where the reader does not count.
    """

    name: str

    @property
    def size(self) -> int | None:
        """Bytes of the source."""

    @property
    def days(self) -> Mapping[int, int]:
        """Events by day."""

    @property
    def done(self) -> int:
        """Bytes that the present pass has read."""

    def check(self) -> None:
        """Look at the whole source.

        Raises:
            ImportFileError: It has a fault; nothing of it is imported.
        """

    def read(self) -> Iterator[Found | FoundPoint | Skipped]:
        """Yield what the source holds, in its order, from the beginning each time.

        Raises:
            ImportFileError: It has a fault, such as one that was made after it was looked at.
        """


@dataclass(slots=True)
class Report:
    """What an import did, or in a dry run would do. ``read`` is the sum of ``added``, ``known`` and ``skipped``.

    Attributes:
        read: Records of the source.
        added: Events that are in the store now and were not before.
        known: Those that an earlier import, or the tool itself, had brought.
        skipped: Those that can't become events.
        reasons: How many were skipped for each reason.
        places: The first of them: their places, with what is told of each, by reason.
        old: Events that are older than the store keeps them; counted in ``added`` or ``known`` as well.
        carried: Uses that a summary counted beyond the events that are left, and that were added to ours.
        uncarried: Such uses that were not added, because uses of the same artifact were carried before.
        seconds: How long it took.
        complete: Whether the source was read to its end.
    """

    read: int = 0
    added: int = 0
    known: int = 0
    skipped: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    old: int = 0
    carried: int = 0
    uncarried: int = 0
    seconds: float = 0.0
    complete: bool = False

    def skip(self, skipped: Skipped) -> None:
        """Count a record that was skipped."""
        self.skipped += 1
        self.reasons[skipped.why] = self.reasons.get(skipped.why, 0) + 1
        places = self.places.setdefault(skipped.why, [])
        if len(places) < _MOST_PLACES:
            places.append(f"{skipped.place}: {skipped.detail}" if skipped.detail else skipped.place)
