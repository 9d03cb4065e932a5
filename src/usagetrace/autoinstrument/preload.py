"""Load all that recording can need, for programs that forbid imports while they work.

Recording loads its parts when it needs them, so that a program pays for no more than it uses. An installer may bar
imports from the moment when it begins to change what is installed: by then everything has to be there.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

from usagetrace.guard import guard
from usagetrace.track import runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Whose modules a recorded call, its writing and the end of the process can need.
_PACKAGES: Final = ("usagetrace.track", "usagetrace.redaction", "usagetrace.spool", "usagetrace.store")
# Of the standard library, what is loaded inside functions: for a fault, a long value, a fork, the end of the process.
_STANDARD: Final = (
    "base64", "copy", "dataclasses", "datetime", "difflib", "encodings.idna", "gc", "hashlib", "hmac", "ipaddress",
    "json", "logging", "netrc", "operator", "pathlib", "random", "socket", "sqlite3", "tempfile", "traceback", "types",
    "typing", "urllib.parse",
)  # fmt: skip
# Modules that stand on OpenTelemetry: needed only where the pipeline that was started has loaded it.
_ON_OTEL: Final = frozenset((
    "usagetrace.redaction.buckets", "usagetrace.redaction.carriers", "usagetrace.redaction.door",
    "usagetrace.redaction.exporter", "usagetrace.redaction.instruments", "usagetrace.redaction.log_exporter",
    "usagetrace.redaction.log_processor", "usagetrace.redaction.logs", "usagetrace.redaction.merging",
    "usagetrace.redaction.metrics", "usagetrace.redaction.processor", "usagetrace.redaction.protection",
    "usagetrace.redaction.spans", "usagetrace.track.exported", "usagetrace.track.spans",
))  # fmt: skip


def preload() -> None:
    """Start recording and load everything that a recorded call, or the end of the process, may ask for."""
    with guard:
        runtime.current()
    for name in _STANDARD:
        _load(name)
    for package in _PACKAGES:
        for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            if module.name not in _ON_OTEL or "opentelemetry.sdk" in sys.modules:
                _load(module.name)


def _load(name: str) -> None:
    try:
        import_module(name)
    except ImportError as error:
        # What an extra brings is not there; then nothing will ask for it either.
        guard.note(error)
