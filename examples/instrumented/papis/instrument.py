"""Usage events for papis, added from outside: which functions are wrapped, as which operation, with which fields.

This module owns the table and the hooks that apply it when papis imports the modules in it. It imports nothing of
papis when it is loaded, changes none of its files, and knows nothing of the store or of reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

import wrapt

import usagetrace
from usagetrace import track

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One function of the program, and the operation that a call of it is.

    Attributes:
        module: Module that defines the function.
        name: Where the function is in it: ``run``, ``Class.method``, ``command.callback``.
        event: Event type.
        fields: Arguments for ``track``.
    """

    module: str
    name: str
    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def command(_call: object = None) -> str:
    """Return the papis command that the user typed, without options: ``add``, ``cache update``, ..."""
    import click

    context = click.get_current_context(silent=True)
    return "" if context is None else context.command_path.partition(" ")[2]


def cache_command(_call: object) -> str | None:
    """Return the ``papis cache`` command that the user typed; None where it was another one."""
    typed = command()
    return typed if typed.startswith("cache ") else None


def not_listing(_call: object) -> bool:
    """Return whether documents are looked up for another purpose than to list them."""
    return command() != "list"


def library(_call: object) -> str:
    """Return the name of the library that papis works on."""
    import papis.config

    return str(papis.config.get_lib_name())


def library_folder(_call: object) -> str:
    """Return the folder of the library that papis works on."""
    import papis.config

    return str(papis.config.get_lib().path)


def removed_part(call: Any) -> str:
    """Return what ``papis rm`` takes away: the document, one of its files, or its notes."""
    given = call.arguments
    return "file" if given["filepath"] else "notes" if given["notespath"] else "document"


def placement(call: Any) -> str:
    """Return how ``papis add`` brings a file into the library: copy, link or move."""
    given = call.arguments
    return "link" if given["link"] else "move" if given["move"] else "copy"


def refused(call: Any) -> bool | None:
    """Return False, for a deploy's success, where papis finds a document in the library and so adds none."""
    import click

    context = click.get_current_context(silent=True)
    batch = context is not None and context.params.get("batch")
    return False if batch and call.error is None else None


IN_LIBRARY = {"collection_name": library, "project_path": library_folder}
DOCUMENT = {"artifact_name": "$document.ref | $document.papis_id", "artifact_type": "$document.type"}
# The library's cache is an object that knows its library.
CACHE = {"collection_name": "$self.lib.name", "project_path": "$self.lib.path"}
# What the commands are told about a document before papis has made one of it.
GIVEN = {"artifact_name": "$data.ref", "artifact_type": "$data.type"}
# Every change of a document ends in one of three methods of the library's cache. Called from a command's own function,
# such a method is part of that operation and adds "cache" to it: an operation without that key left the library as it
# was. On its own, it brings the cache in line with the files: a sync.
CACHED = {**DOCUMENT, **CACHE}

TARGETS = (
    Target(
        "papis.commands.add",
        "run",
        "deploy",
        {
            **GIVEN,
            **IN_LIBRARY,
            "metadata": {"strategy": placement, "files": lambda call: len(call.arguments["paths"])},
        },
    ),
    # Asked by "add" before it adds; the answer is the one sign of a duplicate, which papis leaves out without an error.
    Target(
        "papis.utils",
        "locate_document_in_lib",
        "deploy",
        {
            "metadata": {"duplicate_of": "$result.ref", "success": refused},
            "skip_if": lambda _call: command() != "add",
        },
    ),
    Target(
        "papis.commands.mv",
        "run",
        "deploy",
        {**DOCUMENT, **IN_LIBRARY, "metadata": {"strategy": "move", "target_library": "$target_library"}},
    ),
    *(
        Target(module, "run", "update", {**DOCUMENT, **IN_LIBRARY, "metadata": {"strategy": command}})
        for module in ("papis.commands.update", "papis.commands.addto", "papis.commands.edit")
    ),
    Target(
        "papis.commands.rm",
        "run",
        "remove",
        {**DOCUMENT, **IN_LIBRARY, "metadata": {"reason": command, "part": removed_part}},
    ),
    # Every command that takes a query comes by here; only for "list" is finding the purpose.
    Target(
        "papis.cli",
        "handle_doc_folder_query_all_sort",
        "search",
        {
            "each": "$result[:5]",
            "artifact_name": "$item.ref | $item.papis_id",
            "artifact_type": "$item.type",
            "skip_if": not_listing,
        },
    ),
    # Part of the search above; it knows the library also where nothing is found or the query is wrong.
    Target("papis.database.cache", "PickleDatabase.query", "search", {**CACHE, "skip_if": not_listing}),
    *(
        Target(
            "papis.database.cache",
            f"PickleDatabase.{method}",
            "sync",
            {
                **CACHED,
                "metadata": {"sync_type": cache_command, "cache": method},
                "skip_within": ("deploy", "update", "remove"),
            },
        )
        for method in ("add", "update", "delete")
    ),
    Target(
        "papis.commands.cache",
        "reset.callback",
        "sync",
        {
            **IN_LIBRARY,
            "artifact_name": library,
            "artifact_type": "library",
            "metadata": {"sync_type": cache_command},
        },
    ),
    Target(
        "papis.commands.export",
        "run",
        "export",
        {
            **IN_LIBRARY,
            "each": "$documents",
            "artifact_name": "$item.ref | $item.papis_id",
            "artifact_type": "$item.type",
            "metadata": {"format": "$to_format"},
        },
    ),
)


def install() -> None:
    """Have every target wrapped as soon as papis imports its module."""
    usagetrace.configure(service_name="papis", service_version=version("papis"))
    for target in TARGETS:
        wrapt.register_post_import_hook(partial(_wrap, target), target.module)


def _wrap(target: Target, module: ModuleType) -> None:
    """Put the tracked function where the original was; a program that lacks it runs on without this event."""
    try:
        parent, attribute, original = wrapt.resolve_path(module, target.name)
    except AttributeError:
        logger.warning(
            "papis has no %s.%s any more: its %s events are missing", target.module, target.name, target.event
        )
        return
    decorate: Callable[[Any], Any] = track(target.event, **target.fields)
    setattr(parent, attribute, decorate(original))
