"""The errors that this package raises on purpose.

They reach a developer or an operator: at decoration, at ``configure()``, on the command line, from a facade.
None of them reaches a caller of a tracked function (see :mod:`usagetrace.guard`).

::

    UsageTraceError
    ├── ConfigurationError      settings that can't be used; lists every fault
    ├── SelectorError           a selector string that can't be compiled, with the place of the fault
    ├── EventError              an event that can't be recorded as given
    ├── RedactionError          a value that could not be redacted; what it belongs to is dropped
    ├── ImportFileError         a file that can't be imported; says where its fault is
    └── StoreError              a store that can't be used
        ├── NotAStoreError      the file is not a database, or not one of ours
        ├── NewerSchemaError    the database was written by a newer version of this package
        ├── ChangedMigrationError  a migration that was applied differs from the one in this version
        └── StoreUnavailableError  locked, read-only, full, or not reachable: may work later
"""

from __future__ import annotations

from collections.abc import Sequence


class UsageTraceError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(UsageTraceError):
    """Settings that can't be used.

    Args:
        faults: One sentence for each fault: where (file, line or key), what was found, what was expected.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults: tuple[str, ...] = tuple(faults)
        super().__init__("\n".join(self.faults))


class SelectorError(UsageTraceError, ValueError):
    """A selector string that can't be compiled; the message shows the place of the fault."""


class EventError(UsageTraceError, ValueError):
    """An event that can't be recorded as given."""


class RedactionError(UsageTraceError):
    """A value that could not be redacted. What it belongs to is dropped, not passed on."""


class ImportFileError(UsageTraceError):
    """A file that can't be imported.

    Args:
        place: Where its fault is: ``usage.csv, line 3``.
        why: What is wrong there, and what was expected; no value of the file stands in it.
    """

    def __init__(self, place: str, why: str) -> None:
        self.place = place
        self.why = why
        super().__init__(f"{place}: {why}")

    def __reduce__(self) -> tuple[type[ImportFileError], tuple[str, str]]:
        # The arguments are not those of Exception.
        return type(self), (self.place, self.why)


class StoreError(UsageTraceError):
    """A store that can't be used."""


class NotAStoreError(StoreError):
    """The file is not an SQLite database, or holds tables of another program under our names."""


class NewerSchemaError(StoreError):
    """The database was written by a newer version of this package."""


class ChangedMigrationError(StoreError):
    """A migration in the database's ledger differs from the one that this version carries."""


class StoreUnavailableError(StoreError):
    """The store can't be written now: locked, read-only, full, or out of reach. It may work later."""
