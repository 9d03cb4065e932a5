"""The policy of a process that nobody configured, and what stands in for a redactor whose policy can't be read.

Exporters and processors that environment variables install call no ``configure()``: what the user's files say of
redaction has to hold for them as well.
"""

from __future__ import annotations

from usagetrace.errors import ConfigurationError, RedactionError
from usagetrace.guard import warn_once
from usagetrace.redaction.engine import Redactor
from usagetrace.redaction.policy_table import redaction_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usagetrace.redaction.policy import Policy


def policy_in_force() -> tuple[Policy | None, bool]:
    """Return the policy of environment and files, and whether it has faults; those are told in one warning."""
    try:
        return redaction_policy(), False
    except ConfigurationError as error:
        faults = "\n  ".join(error.faults)
        warn_once("configuration", "recording is off, because the settings have faults:\n  %s", faults)
        return None, True


class ClosedRedactor(Redactor):
    """Lets no attribute pass: what the user wants redacted can't be read. A policy put in force opens it."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = True

    def govern(self, policy: Policy | None) -> None:
        """Put a policy that was read without a fault in force."""
        super().govern(policy)
        self._closed = False

    def redact(self, key: str, value: object) -> object:
        """Raise RedactionError for every attribute; texts without a key are redacted as by default."""
        if self._closed and key:
            raise RedactionError("the settings of redaction have faults: nothing is passed on")
        return super().redact(key, value)

    def passes_number(self, key: str) -> bool:
        """Return whether every number below a key passes unchanged."""
        return not self._closed and super().passes_number(key)
