"""Pauses at random, so that processes that wait for one lock do not all come back at once."""

from __future__ import annotations

import os


def full_jitter(longest: float) -> float:
    """Return a pause in seconds of at most the one given."""
    # The system's randomness: the program's own generator may be seeded, and is not to be disturbed.
    return longest * int.from_bytes(os.urandom(4), "little") / 0xFFFFFFFF
