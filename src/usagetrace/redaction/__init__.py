"""Redaction: what must not leave is masked, shortened or dropped before it reaches a disk or a socket.

The engine (:class:`Redactor`) is pure and knows no OpenTelemetry; it, and the processor and exporters that apply it
to spans and metrics, are loaded only when they are asked for.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.redaction.engine import Redactor
    from usagetrace.redaction.exporter import RedactingSpanExporter
    from usagetrace.redaction.metrics import RedactingMetricExporter
    from usagetrace.redaction.processor import RedactingSpanProcessor

__all__ = [
    "RedactingMetricExporter",
    "RedactingSpanExporter",
    "RedactingSpanProcessor",
    "Redactor",
    "default_redactor",
    "redact",
]

# Where each name lives that is loaded when it is asked for: the engine, because a program whose user said no has no
# use for it; the others, because they need the OpenTelemetry SDK.
_LAZY = {
    "Redactor": "engine",
    "RedactingSpanProcessor": "processor",
    "RedactingSpanExporter": "exporter",
    "RedactingMetricExporter": "metrics",
}

_default: Redactor | None = None
_default_lock = threading.Lock()


def default_redactor() -> Redactor:
    """Return the process's shared redactor, made at the first call for this machine's home, user and host."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                from usagetrace.redaction.engine import Redactor

                _default = Redactor()
    return _default


def redact(key: str, value: object) -> object:
    """Return a value as it may be stored or sent.

    Args:
        key: Name of the attribute, as in ``project.path`` or ``apiKey``.
        value: Text, bytes, number, bool, None, or mappings and sequences of these, nested.

    Returns:
        The value itself where nothing in it is private.

    Raises:
        RedactionError: The value can't be looked into; what it belongs to must be dropped.
    """
    return default_redactor().redact(key, value)


def __getattr__(name: str) -> Any:
    """Load a part when it is asked for."""
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
