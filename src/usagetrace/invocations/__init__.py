"""Invocations of skills, the sessions that they belong to, and the classes of tools that kept such metrics before.

::

    from usagetrace.invocations import get_store, track_invocation

    invocation = track_invocation("review", workflow_path="comprehensive")
    ...
    invocation.completer(completed=True, follow_up_actions=["git commit"])

    get_store().get_skill_metrics("review")

Each name is loaded when it is asked for: who only records needs no database's library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from usagetrace.invocations.dual import DualReadMetricsTracker, DualWriteMetricsTracker
    from usagetrace.invocations.invocation import Invocation, track_invocation
    from usagetrace.invocations.legacy import JsonMetricsTracker
    from usagetrace.invocations.metrics_store import SkillMetricsStore, check_database_health, get_store
    from usagetrace.invocations.migrator import DataMigrator
    from usagetrace.invocations.runner import MigrationRunner
    from usagetrace.track.session import use as session

__all__ = [
    "DataMigrator",
    "DualReadMetricsTracker",
    "DualWriteMetricsTracker",
    "Invocation",
    "JsonMetricsTracker",
    "MigrationRunner",
    "SkillMetricsStore",
    "check_database_health",
    "get_store",
    "session",
    "track_invocation",
]

# Where each name lives: the module, and what it is called there.
_LAZY: Final = {
    "DataMigrator": ("usagetrace.invocations.migrator", "DataMigrator"),
    "DualReadMetricsTracker": ("usagetrace.invocations.dual", "DualReadMetricsTracker"),
    "DualWriteMetricsTracker": ("usagetrace.invocations.dual", "DualWriteMetricsTracker"),
    "Invocation": ("usagetrace.invocations.invocation", "Invocation"),
    "JsonMetricsTracker": ("usagetrace.invocations.legacy", "JsonMetricsTracker"),
    "MigrationRunner": ("usagetrace.invocations.runner", "MigrationRunner"),
    "SkillMetricsStore": ("usagetrace.invocations.metrics_store", "SkillMetricsStore"),
    "check_database_health": ("usagetrace.invocations.metrics_store", "check_database_health"),
    "get_store": ("usagetrace.invocations.metrics_store", "get_store"),
    "session": ("usagetrace.track.session", "use"),
    "track_invocation": ("usagetrace.invocations.invocation", "track_invocation"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, called = _LAZY[name]
    found = globals()[name] = getattr(import_module(module), called)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
