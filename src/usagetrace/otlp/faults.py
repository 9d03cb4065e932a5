"""Why a whole request is refused. What is wrong with single spans is told in the answer instead."""

from __future__ import annotations

from usagetrace.errors import UsageTraceError


class MalformedError(UsageTraceError):
    """A request that can't be parsed. Sending it again would not help."""


class TooManyError(UsageTraceError):
    """A request that holds more than one may have. Sent in parts, it would be taken."""
