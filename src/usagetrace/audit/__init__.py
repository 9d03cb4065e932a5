"""Proof that a store is clean: looks at every byte of its files for what redaction would have removed.

What a file is, how it is read, and what counts as found are in this package's modules; nothing here changes a file,
takes a lock of SQLite's, or knows the command line.
"""

from __future__ import annotations

from usagetrace.audit.judge import Identity
from usagetrace.audit.model import Audit, Finding
from usagetrace.audit.run import audit

__all__ = ["Audit", "Finding", "Identity", "audit"]
