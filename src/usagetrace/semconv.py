"""Names on the wire: attributes, metrics, scope and events, each with its meaning.

This module owns the spelling of everything that leaves a process. It imports nothing, so that every
other module may import it. Names that OpenTelemetry's semantic conventions define are written as literals:
the packages that carry them are pinned to one SDK version each, and incubating names vanish from them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


# Instrumentation scope of every span, metric and log record of this package.
SCOPE_NAME: Final = "usagetrace"
# Semantic conventions whose standard names (session.id, error.type, ...) are used here.
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

# --- attributes of our own ---------------------------------------------------------------------------------

# Prefix of all of them.
PREFIX: Final = "usage."
# Prefix of the parallel arrays of a call that touched several artifacts: usage.item.artifact.name, ...
ITEM_PREFIX: Final = "usage.item."
# What was done: deploy, update, sync, remove, search, or any other event type. Also the span's name.
EVENT_TYPE: Final = "usage.event.type"
# Class of the event type: usage, performance, error, business, security, system or custom.
EVENT_CATEGORY: Final = "usage.event.category"
# How much the event matters: low, normal, high or critical.
EVENT_PRIORITY: Final = "usage.event.priority"
# Name of the thing the operation was about.
ARTIFACT_NAME: Final = "usage.artifact.name"
# Kind of the thing: skill, command, agent, model, ...
ARTIFACT_TYPE: Final = "usage.artifact.type"
# Group that the artifact belongs to.
COLLECTION_NAME: Final = "usage.collection.name"
# Project that the operation worked on, as a redacted path.
PROJECT_PATH: Final = "usage.project.path"
# How the operation ended: success, error, conflict or cancelled. On metrics always; on spans where the span's
# status, which knows only "error" and "not error", does not say it. On a log event also abandoned: it never said that
# it ended.
OUTCOME: Final = "usage.outcome"
# Prefix of one attribute for each further key: usage.metadata.strategy, ...
METADATA_PREFIX: Final = "usage.metadata."
# Names of the artifacts of a call that touched several; parallel to the other usage.item.* arrays.
ITEM_ARTIFACT_NAME: Final = "usage.item.artifact.name"
# Kinds of those artifacts.
ITEM_ARTIFACT_TYPE: Final = "usage.item.artifact.type"
# Positions of those artifacts within the call, from 0; only where some of the call's artifacts are missing.
ITEM_INDEX: Final = "usage.item.index"
# How each of those artifacts ended; only where one of them did not end like the call.
ITEM_OUTCOME: Final = "usage.item.outcome"
# What each of them failed with, beside usage.item.outcome.
ITEM_ERROR_TYPE: Final = "usage.item.error.type"
# Prefix of one array for each metadata key that differs from item to item.
ITEM_METADATA_PREFIX: Final = "usage.item.metadata."
# Language and region of the program's messages, such as en-US. On the resource.
LOCALE: Final = "usage.locale"
# Minutes by which the machine's local time is ahead of UTC. On the resource.
TIMEZONE_OFFSET: Final = "usage.timezone.offset"

# --- attributes that OpenTelemetry defines -----------------------------------------------------------------

# Session that the operation belongs to.
SESSION_ID: Final = "session.id"
# Qualified name of the exception that the operation raised.
ERROR_TYPE: Final = "error.type"
# Tells one log event from all others, so that one that is delivered twice counts once.
LOG_RECORD_UID: Final = "log.record.uid"
# Qualified name of the function that was called.
CODE_FUNCTION_NAME: Final = "code.function.name"
# Name of the tool.
SERVICE_NAME: Final = "service.name"
# Version of the tool.
SERVICE_VERSION: Final = "service.version"
# Kind of operating system: linux, darwin, windows, ... On the resource.
OS_TYPE: Final = "os.type"
# The operating system's version, its first numbers alone; of Linux the kernel's. On the resource.
OS_VERSION: Final = "os.version"
# Kind of processor: amd64, arm64, ... On the resource.
HOST_ARCH: Final = "host.arch"

# --- metrics -----------------------------------------------------------------------------------------------

# Histogram in seconds of every operation, failures included.
METRIC_OPERATION_DURATION: Final = "usage.operation.duration"
# Counter of events.
METRIC_EVENTS: Final = "usage.events"
# Sum of the calls of each function that a target names; in the local store alone.
METRIC_TARGET_CALLS: Final = "usage.target.calls"
# Bucket boundaries in seconds: the SDK's defaults are meant for milliseconds.
DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
