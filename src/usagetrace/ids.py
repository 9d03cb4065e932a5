"""Trace and span ids that stay unique when the host calls ``random.seed()`` or forks.

The SDK's own generator draws from the global random source: two forked workers that seed it alike, as test suites
and simulations do, make the same ids.
"""

from __future__ import annotations

import os
import random

from opentelemetry.sdk.trace.id_generator import IdGenerator

_TRACE_BITS = 128
_SPAN_BITS = 64


class UsageIdGenerator(IdGenerator):
    """Draws ids from a random source of its own, which is seeded by the operating system, anew in each process."""

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))  # noqa: S311 -- ids have to be unique, not secret
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reseed)

    def _reseed(self) -> None:
        self._random.seed(os.urandom(32))

    def generate_span_id(self) -> int:
        """Return 64 random bits that are not all zero."""
        while not (number := self._random.getrandbits(_SPAN_BITS)):
            continue
        return number

    def generate_trace_id(self) -> int:
        """Return 128 random bits that are not all zero."""
        while not (number := self._random.getrandbits(_TRACE_BITS)):
            continue
        return number

    def is_trace_id_random(self) -> bool:
        """Return True: all bits are random, as the W3C trace context's random flag wants it."""
        return True
