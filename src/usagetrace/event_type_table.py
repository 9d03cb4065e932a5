"""What the built-in event types are, beside category and priority: the payload each has, and what it means.

Data alone, read when somebody asks for more than a tracked call does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

# By name: the payload's class in `payloads`, None for any keys; and one sentence.
BUILT_IN: Final[Mapping[str, tuple[str | None, str]]] = {
    "deploy": (None, "An artifact was put into a project."),
    "update": (None, "An artifact was brought to another version."),
    "sync": (None, "An artifact was made equal in two places."),
    "remove": (None, "An artifact was taken away."),
    "search": (None, "Somebody looked for artifacts; one row for each of the best matches."),
    "invoke": (None, "A skill, an agent or a command was run."),
    "download": ("Download", "An artifact was fetched from where it is offered."),
    "view": ("View", "An artifact's page or entry was looked at."),
    "compile": ("Compile", "An artifact was built from its source."),
    "ai_block_used": ("AIBlockUsed", "A block of a page that answers by a model was used."),
    "chapter_visit": ("ChapterVisit", "A chapter was opened."),
    "error_event": ("ErrorEvent", "A request failed, as a global error handler saw it."),
    "session_started": ("Usage", "A person began to work."),
    "session_ended": ("Usage", "A person ended their work."),
    "mission_created": ("Usage", "A task of several steps was set up."),
    "mission_completed": ("Usage", "A task reached its end."),
    "mission_failed": ("Usage", "A task ended without what it was for."),
    "mission_cancelled": ("Usage", "A person gave a task up."),
    "command_executed": ("Usage", "A command was run."),
    "feature_used": ("Usage", "A feature was used."),
    "backend_selected": ("Usage", "One of several backends was chosen."),
    "tool_invoked": ("Usage", "A tool was called, by a person or a model."),
    "response_latency": ("Performance", "How long an answer took."),
    "memory_usage": ("Performance", "How much memory was in use."),
    "cpu_usage": ("Performance", "How much of the processors was in use."),
    "disk_usage": ("Performance", "How much room on a disk was in use."),
    "network_latency": ("Performance", "How long a way over the network took."),
    "cache_hit": ("Performance", "A cache had what was asked for."),
    "cache_miss": ("Performance", "A cache did not have what was asked for."),
    "error_occurred": ("ErrorPayload", "Something failed."),
    "warning_raised": ("ErrorPayload", "Something looked wrong, and went on."),
    "panic_caught": ("ErrorPayload", "A failure was caught that nobody had foreseen."),
    "validation_failed": ("ErrorPayload", "Input was refused."),
    "timeout_occurred": ("ErrorPayload", "Something took longer than it may."),
    "retry_attempted": ("ErrorPayload", "Something failed and is tried again."),
    "tokens_consumed": ("Business", "A model read or wrote tokens."),
    "cost_incurred": ("Business", "Something cost money or credits."),
    "quota_checked": ("Business", "It was looked up how much of a quota is left."),
    "budget_alerted": ("Business", "A budget is used up, or nearly so."),
    "auth_attempted": (None, "Somebody tried to sign in."),
    "permission_denied": (None, "Somebody was refused what they asked for."),
    "sensitive_data_accessed": (None, "Data that needs protection was read."),
    "config_changed": (None, "A setting was changed."),
    "plugin_loaded": (None, "A plugin was loaded."),
    "plugin_unloaded": (None, "A plugin was taken out."),
    "update_available": (None, "A newer version of the tool is there."),
    "system_started": (None, "The tool, or its service, started."),
    "system_shutdown": (None, "The tool, or its service, ended."),
}
