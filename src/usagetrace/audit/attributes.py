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
    }
)


def looking(policy: Policy) -> Policy:
    """Return a policy that finds what another one finds.

    It masks whatever the other one would drop or hash: no key of this installation is made for that. It has no
    allow-list: that is of attributes, and a database has columns that are none.
    """
    keys = {key: mode if mode == "keep" else "mask" for key, mode in policy.keys.items()}
    return Policy(keys=keys, rules=policy.rules, values=policy.values, callback=policy.callback)
