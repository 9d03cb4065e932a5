"""A policy as an audit asks it, and the attributes that the store's columns were recorded as.

A policy speaks of attributes by their names; the store calls its columns otherwise. This module finds nothing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from usagetrace import semconv
from usagetrace.redaction.policy import Policy

# Whose entries a policy judges one by one, each by its own name.
METADATA: Final = semconv.METADATA_PREFIX.rstrip(".")
# The attribute of each column, or field of an event, that has one. Numbers of rows and times have none.
ATTRIBUTES: Final = MappingProxyType(
    {
        "event_type": semconv.EVENT_TYPE,
        "category": semconv.EVENT_CATEGORY,
        "priority": semconv.EVENT_PRIORITY,
        "artifact_name": semconv.ARTIFACT_NAME,
        "artifact_type": semconv.ARTIFACT_TYPE,
        "collection_name": semconv.COLLECTION_NAME,
        "project_path": semconv.PROJECT_PATH,
        "metadata": METADATA,
        "status": semconv.OUTCOME,
        "error_type": semconv.ERROR_TYPE,
        "session_id": semconv.SESSION_ID,
        "service_name": semconv.SERVICE_NAME,
        "service_version": semconv.SERVICE_VERSION,
        "id": "",
        "ts_ms": "",
        "timestamp": "",
        # What an invocation's metadata say, and is counted apart from them.
        "workflow_path": f"{METADATA}.workflow_path",
        "follow_up_actions": f"{METADATA}.follow_up_actions",
    }
)
# What the values of a table are, by the kind in their row, and the texts of the search's index.
_COUNTED: Final = MappingProxyType(
    {b"path": "workflow_path", b"error": "error_type", b"follow_up": "follow_up_actions"}
)
# Tables whose columns are not called what they hold.
OF_SEVERAL: Final = frozenset({"invocation_counts", "paths_content"})


def key_of(table: str, column: str, kind: bytes) -> str:
    """Return the key of a value: its column's name, but for tables whose columns hold several things.

    Args:
        table: The table's name.
        column: The column's name.
        kind: What the row's third column holds.
    """
    if table == "invocation_counts" and column == "value":
        return _COUNTED.get(kind, column)
    if table == "paths_content" and column == "c0":
        return "workflow_path"
    return column


def looking(policy: Policy) -> Policy:
    """Return a policy that finds what another one finds.

    It masks whatever the other one would drop or hash: no key of this installation is made for that. It has no
    allow-list: that is of attributes, and a database has columns that are none.
    """
    keys = {key: mode if mode == "keep" else "mask" for key, mode in policy.keys.items()}
    return Policy(keys=keys, rules=policy.rules, values=policy.values, callback=policy.callback)
