"""Targets that are a whole command line or web interface: which of its commands and routes are operations.

One module for each framework finds the commands, in objects that the program made: nothing here imports a framework
that is not installed, and none that the program has not. How a command becomes a tracked one is the same for all of
them, and stands in :mod:`usagetrace.autoinstrument.frameworks.commands`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from usagetrace.autoinstrument.patches import Ledger, Patch
    from usagetrace.autoinstrument.target import Target


def apply(ledger: Ledger, target: Target, module: ModuleType, faults: list[str] | None = None) -> list[Patch]:
    """Track those commands or routes of a program that are operations, also those that are added later.

    Args:
        ledger: Takes what is replaced.
        target: Names what holds the commands, and says which are operations.
        module: The module that the target names, executed.
        faults: Takes a sentence for each thing that is wrong with the target and keeps no other command from being
            tracked; by default each is one warning.

    Returns:
        What was replaced. What is added later counts its calls with one of these.

    Raises:
        TargetError: There is no such object, it is of another kind, or none of its commands is an operation.
        SelectorError: A selector is wrong, or names a parameter that none of the commands has.
    """
    told = [] if faults is None else faults
    if target.framework == "click":
        from usagetrace.autoinstrument.frameworks.click_commands import apply_click as apply_one
    elif target.framework == "typer":
        from usagetrace.autoinstrument.frameworks.typer_commands import apply_typer as apply_one
    elif target.framework == "fastapi":
        from usagetrace.autoinstrument.frameworks.fastapi_routes import apply_fastapi as apply_one
    else:
        from usagetrace.autoinstrument.frameworks.argparse_commands import apply_argparse as apply_one
    patches = apply_one(ledger, target, module, told)
    if faults is None:
        from usagetrace.guard import warn_once

        for fault in told:
            warn_once(f"target:{target.function}:{fault}", "%s: %s", target.where, fault)
    return patches
