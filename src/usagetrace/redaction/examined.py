"""What an examination of a value says: the redacted value, and which rules acted. Never the secret."""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    """That a rule acted.

    Attributes:
        rule: Name of the rule, as in its marker; ``home`` and ``path`` for paths, ``key`` where the policy names the
            key, ``only`` where it does not.
        channel: ``value``, or ``key`` for a key inside the value.
        count: How often.
    """

    rule: str
    channel: str
    count: int  # type: ignore[assignment] # tuple has a method of this name, which nobody needs here


class Examined(NamedTuple):
    """A redacted value, and why it is as it is.

    Attributes:
        value: As :meth:`Redactor.redact` gives it.
        notes: One for each rule and channel, in the order in which they first acted.
    """

    value: object
    notes: tuple[Note, ...]
