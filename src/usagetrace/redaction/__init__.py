"""Redaction: what must not leave is masked, shortened or dropped before it reaches a disk or a socket.

The engine (:class:`Redactor`) is pure and knows no OpenTelemetry; it, and the processor and exporters that apply it
to spans and metrics, are loaded only when they are asked for.
"""

from __future__ import annotations

import threading

from usagetrace.guard import speak_through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.redaction.engine import Redactor
    from usagetrace.redaction.examined import Examined, Note
    from usagetrace.redaction.exporter import RedactingSpanExporter
    from usagetrace.redaction.instruments import RedactingMeterProvider
    from usagetrace.redaction.log_exporter import RedactingLogRecordExporter
    from usagetrace.redaction.log_processor import RedactingLogRecordProcessor
    from usagetrace.redaction.metrics import RedactingMetricExporter
    from usagetrace.redaction.policy import Match, Policy, PolicyRule
    from usagetrace.redaction.processor import RedactingSpanProcessor
    from usagetrace.redaction.protection import protect

__all__ = [
    "Examined",
    "Match",
    "Note",
    "Policy",
    "PolicyRule",
    "RedactingLogRecordExporter",
    "RedactingLogRecordProcessor",
    "RedactingMeterProvider",
    "RedactingMetricExporter",
    "RedactingSpanExporter",
    "RedactingSpanProcessor",
    "Redactor",
    "default_redactor",
    "protect",
    "redact",
]

# Where each name lives that is loaded when it is asked for: the engine, because a program whose user said no has no
# use for it; the others, because they need the OpenTelemetry SDK.
_LAZY = {
    "Redactor": "engine",
    "Examined": "examined",
    "Note": "examined",
    "Match": "policy",
    "Policy": "policy",
    "PolicyRule": "policy",
    "RedactingSpanProcessor": "processor",
    "RedactingSpanExporter": "exporter",
    "RedactingMetricExporter": "metrics",
    "RedactingMeterProvider": "instruments",
    "RedactingLogRecordProcessor": "log_processor",
    "RedactingLogRecordExporter": "log_exporter",
    "protect": "protection",
}


class _Unmade:
    """Stands for the shared redactor until somebody asks for it: who only configures must not pay for one."""

    __slots__ = ("policy",)

    def __init__(self, policy: Policy | None) -> None:
        self.policy = policy


# None where nobody has said anything of it yet.
_default: Redactor | _Unmade | None = None
_default_lock = threading.Lock()


def default_redactor() -> Redactor:
    """Return the process's shared redactor, made at the first call for this machine's home, user and host.

    It has the policy that ``configure()`` was given, or else the one of environment and settings files. Where these
    have a fault it raises :class:`~usagetrace.errors.RedactionError` for every attribute, so that nothing gets out.
    """
    found = _default
    if found is None:
        from usagetrace.redaction.shared import policy_in_force

        # Outside the lock: it reads files, and may have to warn, which runs the program's own logging handlers.
        return _made(*policy_in_force())
    return _made(found.policy) if isinstance(found, _Unmade) else found


def govern(policy: Policy | None) -> None:
    """Put a policy in force for the shared redactor, for everybody who holds it.

    Args:
        policy: The new one; None for the default.
    """
    global _default
    with _default_lock:
        found = _default
        if found is None or isinstance(found, _Unmade):
            _default = _Unmade(policy)
            return
    found.govern(policy)


def _made(policy: Policy | None, closed: bool = False) -> Redactor:
    """Return the shared redactor; where there is none yet, make it."""
    global _default
    with _default_lock:
        found = _default
        if isinstance(found, _Unmade):
            # What was said meanwhile goes before what the files say.
            policy, closed, found = found.policy, False, None
        if found is None:
            if closed:
                from usagetrace.redaction.shared import ClosedRedactor

                found = ClosedRedactor()
            else:
                from usagetrace.redaction.engine import Redactor

                found = Redactor(policy=policy)
            _default = found
        return found


def redact(key: str, value: object) -> object:
    """Return a value as it may be stored or sent.

    Args:
        key: Name of the attribute, as in ``project.path`` or ``apiKey``.
        value: Text, bytes, number, bool, None, or mappings and sequences of these, nested.

    Returns:
        The value itself where nothing in it is private; None where the policy in force leaves it out.

    Raises:
        RedactionError: The value can't be looked into; what it belongs to must be dropped.
    """
    return default_redactor().redact(key, value)


def _fit_to_log(text: str) -> str:
    """Return a text as this package may log it, by the rules alone: a policy is about what operations carry."""
    from usagetrace.redaction.engine import Redactor

    # Made for each message: few are logged, and the shared one may be in the making on this very thread.
    return Redactor().text(text)


speak_through(_fit_to_log)


def __getattr__(name: str) -> Any:
    """Load a part when it is asked for."""
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
