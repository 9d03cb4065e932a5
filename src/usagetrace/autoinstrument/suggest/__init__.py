"""Targets for a package nobody has instrumented yet: read as text, never imported.

Functions whose names tell an operation are ranked by how likely their author would want to see them, and selectors are
proposed from parameters, annotations and results. Owns reading, ranking and the TOML that comes out of it; it knows
neither the command line nor what happens to a target afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable

from usagetrace.autoinstrument.suggest.calls import Index
from usagetrace.autoinstrument.suggest.choose import choose, usual_limit
from usagetrace.autoinstrument.suggest.locate import PackageNotFoundError, locate
from usagetrace.autoinstrument.suggest.model import Proposal, Suggestion
from usagetrace.autoinstrument.suggest.rank import ENTRIES, candidates
from usagetrace.autoinstrument.suggest.read import read_modules
from usagetrace.autoinstrument.suggest.written import to_toml

__all__ = ["PackageNotFoundError", "Proposal", "Suggestion", "suggest", "to_toml"]


def suggest(
    package: str, path: Iterable[str] | None = None, *, limit: int | None = None, everything: bool = False
) -> Suggestion:
    """Propose targets for a package, without importing it or anything of it.

    Args:
        package: A package or module, a distribution's name, a folder, or a `.py` file.
        path: Folders to look in; ``sys.path`` by default.
        limit: Most proposals, the same method of sister classes counted once; by default what suits the package's size.
        everything: Propose every function whose name tells an operation, however low it ranks.

    Returns:
        The proposals, the best first.

    Raises:
        PackageNotFoundError: Nothing of that name is there.
    """
    located = locate(package, path)
    notes = list(located.notes)
    modules = read_modules(located.sources, notes)
    index = Index(modules, ENTRIES)
    proposals, left_out = choose(
        candidates(index), index, None if everything else usual_limit(index) if limit is None else limit
    )
    return Suggestion(located.name, tuple(proposals), left_out, len(modules), tuple(notes))
