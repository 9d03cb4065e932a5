"""What all routes of a server share, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usagetrace.server.access import Access
    from usagetrace.server.bodies import Bodies
    from usagetrace.server.receiver import Receiver


@dataclass(frozen=True, slots=True)
class State:
    """The server as its routes see it.

    Attributes:
        receiver: Takes what is sent.
        access: Who may send.
        bodies: Reads what is sent.
    """

    receiver: Receiver
    access: Access
    bodies: Bodies
