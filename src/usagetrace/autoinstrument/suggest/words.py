"""What names of parameters and attributes say: which hold an artifact, its collection, a query, a rehearsal.

Data only; who asks decides what to do with the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Kinds whose name conventions find in a parameter KIND_name.
KINDS: Final = (
    "skill", "command", "agent", "package", "plugin", "module", "model", "template", "extension", "theme", "dataset",
)  # fmt: skip
# Words for things that a tool keeps, with the kind they are: a parameter `document` is an artifact of that type.
# An empty kind is a thing of any kind (`item`, `path`).
ARTIFACTS: Final[Mapping[str, str]] = {
    **{
        kind: kind
        for kind in (
            "package", "document", "template", "skill", "plugin", "extension", "theme", "dataset", "model", "kernel",
            "bookmark", "contact", "todo", "task", "album", "book", "song", "playlist", "note", "notebook", "image",
            "recipe", "dependency", "requirement", "environment", "venv", "app", "application", "script", "profile",
            "layer", "role", "workflow", "pipeline", "stack", "cluster", "chart", "feed", "subscription",
            "episode", "podcast", "article", "paper", "page", "post", "file", "stage", "experiment", "remote", "tag",
            "branch", "release", "command", "agent", "module", "kernel_spec", "interpreter", "formula", "font",
            "snippet",
            "addon", "mod", "board", "project", "repo", "collection", "contact_list", "calendar", "event", "ticket",
            "issue", "device", "secret", "variable", "user", "group", "backup", "snapshot", "archive", "wheel",
            "label",
        )
    },
    "pkg": "package", "packages_spec": "package", "doc": "document", "dist": "package", "distribution": "package",
    "req": "requirement", "ireq": "requirement", "spec": "", "env": "environment", "repository": "repo",
    "bookmarks": "bookmark", "rec": "record", "record": "record", "vcard": "contact", "card": "card", "item": "",
    "entry": "entry", "entity": "", "obj": "", "artifact": "", "resource": "resource", "element": "",
    "asset": "asset",
    "object": "", "thing": "", "src": "", "source": "", "target": "", "ident": "", "identifier": "", "ref": "",
    "reference": "", "pref": "", "path": "", "filename": "file", "filepath": "file", "fname": "file", "url": "",
    "uri": "",
    "link": "", "slug": "", "title": "", "key": "", "id": "", "uid": "", "uuid": "", "href": "", "index": "",
    "dep": "dependency",
    "kernelspec": "kernel", "db": "", "dests": "", "dest": "", "location": "", "topic": "topic", "what": "",
}  # fmt: skip
# Of several parameters, those of the first line name the artifact more surely than those of the next.
SURE: Final = frozenset(ARTIFACTS) - frozenset({
    "path", "src", "source", "target", "url", "uri", "link", "key", "id", "index", "obj", "object", "file",
    "filename",
    "filepath", "fname", "spec", "element", "thing", "db", "dest", "dests", "location", "what", "user", "group",
    "tag",
    "branch", "label", "remote", "project", "command", "profile", "template", "event", "script", "archive",
    "variable",
    "backup", "module", "repo", "repository", "collection", "environment", "env", "venv",
})  # fmt: skip
# Parameters that begin like this say how, and name nothing.
HOW: Final = frozenset({
    "skip", "force", "expected", "no", "with", "without", "use", "keep", "allow", "ignore", "include", "exclude",
    "only",
    "is", "has", "repair", "delete", "update", "overwrite", "default", "max", "min", "num", "old", "previous",
    "check",
})  # fmt: skip
# Where an artifact keeps its name, the best first.
NAMES: Final = (
    "name", "artifact_name", "canonical_name", "project_name", "full_name", "ref", "ident", "identifier", "slug",
    "title",
    "id", "uid", "key", "href", "uri", "url", "filename", "path", "summary",
)  # fmt: skip
TYPES: Final = ("type", "kind", "artifact_type", "category")
# Parameters that name what an artifact is kept in, beyond those that conventions know.
COLLECTIONS: Final = frozenset({
    "library", "lib", "library_name", "libname", "registry", "vault", "shelf", "storage", "store", "bucket",
    "namespace",
    "remote", "address_book", "addressbook", "abook", "repository", "repo", "repository_name", "index_url", "channel",
    "workspace", "group", "target_library", "list_name",
})  # fmt: skip
# Parameters that say in which folder an operation works, beyond those that conventions know.
PROJECTS: Final = frozenset({
    "root", "root_dir", "cwd", "workdir", "working_dir", "dst_path", "dest_dir", "target_dir", "output_dir",
    "destination_path", "destination", "install_dir", "prefix", "base_path",
})  # fmt: skip
# Parameters (and words that stand for command line options) that ask for a rehearsal.
REHEARSALS: Final = ("dry_run", "dryrun", "dry", "pretend", "simulate", "noop", "no_op", "just_print", "check_only")
# Objects that carry a command line's options.
OPTIONS: Final = ("options", "opts", "args", "ns", "namespace", "parsed", "arguments")
# Parameters that hold what is searched for.
QUERIES: Final = (
    "query", "keywords", "keyword", "search", "search_terms", "terms", "term", "pattern", "text", "q", "needle",
    "search_string", "query_string", "tags",
)  # fmt: skip
# Attributes in which a result says whether it went well, and those that hold what did not.
WENT_WELL: Final = ("success", "succeeded", "ok", "successful", "is_success")
WENT_WRONG: Final = ("errors", "error", "failures", "failed", "failure")


def singular(word: str) -> str | None:
    """Return what a plural is of; None where a word is none.

    Args:
        word: In lower case.
    """
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "as")) and len(word) > 2:
        return word[:-1]
    return None
