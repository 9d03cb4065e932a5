"""Exceptions by which a program ends as it means to, and those by which its user breaks it off.

Loaded by the first call that raises. Nobody's command line library is imported to find out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Packages that define click's exceptions.
_CLICKS: Final = frozenset(("click", "asyncclick", "typer"))


def is_good_exit(error: BaseException) -> bool:
    """Return whether an exception says that the program ends well: an exit with code 0."""
    if isinstance(error, SystemExit):
        return error.code in (0, None)
    return _is_click(error, "Exit") and getattr(error, "exit_code", None) == 0


def is_broken_off(error: BaseException) -> bool:
    """Return whether an exception says that the user refused to go on, when click asked."""
    return _is_click(error, "Abort")


def _is_click(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name and kind.__module__.split(".")[0] in _CLICKS for kind in type(error).__mro__)
