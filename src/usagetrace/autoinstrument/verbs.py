"""Which operation a name tells: `uninstall`, `remote add` and `UpgradeCommand` say remove, deploy and update.

Owns the table of verbs and how a name falls into words. It knows nothing of where a name comes from: functions,
commands and routes ask it alike. It imports nothing that a program which is only watched would have to wait for.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

# Verbs of each operation with a weight: how surely a function of that name does this to an artifact. 1 is the
# operation's own word; at 0.5 and below, the same word names other things as often (`set_option`, `load_config`).
_TABLE: Final[Mapping[str, Mapping[str, float]]] = {
    "deploy": {
        "deploy": 1, "install": 1, "publish": 1, "release": 0.8, "upload": 1, "add": 0.9, "create": 0.8, "import": 0.9,
        "provision": 0.8, "register": 0.6, "new": 0.6, "init": 0.5, "scaffold": 0.8, "generate": 0.5, "export": 0.7,
        "inject": 0.6, "enroll": 0.6, "subscribe": 0.6, "insert": 0.5, "store": 0.4, "copy": 0.5, "clone": 0.8,
        "download": 0.8, "link": 0.4, "apply": 0.4, "submit": 0.6, "enable": 0.5, "mount": 0.4, "attach": 0.5,
        "restore": 0.5, "reinstall": 0.9, "ship": 0.6, "rollout": 0.8, "ingest": 0.7,
    },
    "update": {
        "update": 1, "upgrade": 1, "edit": 0.9, "set": 0.4, "bump": 0.9, "migrate": 0.8, "modify": 0.7, "change": 0.6,
        "rename": 0.9, "move": 0.7, "mv": 0.8, "replace": 0.6, "patch": 0.6, "downgrade": 0.9, "rollback": 0.8,
        "upsert": 0.8, "alter": 0.6, "tag": 0.5, "merge": 0.6, "reset": 0.4, "configure": 0.4, "pin": 0.6, "unpin": 0.6,
        "lock": 0.3, "save": 0.3, "amend": 0.7, "revise": 0.7, "relink": 0.5, "cp": 0.4, "append": 0.3,
        "refine": 0.4, "renew": 0.7, "promote": 0.6, "complete": 0.3, "repair": 0.6, "resolve": 0.4,
    },
    "sync": {
        "sync": 1, "synchronize": 1, "synchronise": 1, "synchronization": 0.5, "pull": 0.9, "push": 0.9, "fetch": 0.7,
        "refresh": 0.7, "mirror": 0.9, "resync": 1, "replicate": 0.8, "backup": 0.6, "reindex": 0.5, "rebuild": 0.3,
        "reconcile": 0.8,
    },
    "remove": {
        "remove": 1, "uninstall": 1, "delete": 1, "rm": 1, "del": 0.8, "purge": 0.9, "clean": 0.7, "cleanup": 0.6,
        "drop": 0.7, "destroy": 0.8, "undeploy": 1, "unpublish": 1, "unregister": 0.7, "uninject": 0.6, "erase": 0.8,
        "discard": 0.5, "unlink": 0.6, "prune": 0.8, "flush": 0.4, "clear": 0.5, "unsubscribe": 0.7, "yank": 0.9,
        "trash": 0.8, "evict": 0.6, "disable": 0.5, "gc": 0.6, "wipe": 0.8, "detach": 0.5, "revoke": 0.6,
        "unmount": 0.4, "rmdir": 0.7, "expire": 0.5, "deregister": 0.7,
    },
    "search": {
        "search": 1, "find": 0.8, "query": 0.8, "list": 0.7, "lookup": 0.7, "grep": 1, "ls": 0.8, "locate": 0.6,
        "browse": 0.7, "discover": 0.6, "filter": 0.4, "explore": 0.5, "scan": 0.4,
    },
}  # fmt: skip

# What each word says: its operation and the weight.
VERBS: Final[Mapping[str, tuple[str, float]]] = {
    word: (operation, float(weight)) for operation, words in _TABLE.items() for word, weight in words.items()
}

# A name that begins with one of these asks, answers or prepares; whatever verb follows, nothing is done yet.
NOT_DOING: Final = frozenset({
    "is", "has", "can", "should", "may", "must", "will", "did", "was", "are", "be", "does", "check", "validate",
    "verify", "ensure", "assert", "test", "get", "on", "before", "after", "pre", "post", "no", "not", "never", "need",
    "needs", "needed", "maybe", "allow", "allows", "supports", "want", "wants", "format", "parse", "print", "render",
    "log", "warn", "show", "display", "make", "build", "to", "from", "as", "with", "for", "if", "count", "iter",
    "prompt", "ask", "confirm", "compute", "calculate", "determine", "describe", "help",
})  # fmt: skip
# A verb before one of these is part of a noun: where the search goes, how often the update runs.
NOUN_ENDS: Final = frozenset({
    "path", "paths", "dir", "dirs", "directory", "interval", "date", "time", "timestamp", "mode", "type", "kind",
    "error", "errors", "exception", "message", "msg", "config", "settings", "option", "options", "parser", "argument",
    "arguments", "arg", "args", "callback", "hook", "hooks", "handler", "template", "schema", "status", "state",
    "result", "results", "format", "info", "summary", "name", "names", "flag", "field", "fields", "key", "keys",
    "class", "factory", "context", "manager", "policy", "strategy", "regex", "pattern",
})  # fmt: skip

# Ends that are written onto a verb without a boundary: `searchdb`, `addto`, `removeall`.
_GLUED: Final = ("db", "to", "all", "from", "one", "list")
# Verbs that are written onto another word: `metasync`, `bulkdelete`; and words that merely end like that.
_STEMS: Final = ("sync", "update", "upload", "install", "delete", "upgrade", "import")
_NOT_STEMMED: Final = frozenset({"async", "fsync"})
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PARTS: Final = re.compile(r"[\s/.:]+")
# How much more the first word of a name tells than a later one: `add_search_index` adds, `store_delete` deletes.
_LEAD: Final = 0.3


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, however they are joined: `snake_case`, `CamelCase`, `with-dashes`."""
    return tuple(word.lower() for word in _WORD.findall(name))


def verbs_of(name: str) -> Iterator[tuple[int, str, float]]:
    """Yield each verb of a name: its position among the words, its operation and its weight."""
    for position, word in enumerate(words_of(name)):
        verb = VERBS.get(word) or _joined(word)
        if verb is not None:
            yield position, *verb


def _joined(word: str) -> tuple[str, float] | None:
    """Return what a verb tells that is written together with another word; None where there is none."""
    for end in _GLUED:
        if word.endswith(end) and word[: -len(end)] in VERBS:
            return VERBS[word[: -len(end)]]
    if word in _NOT_STEMMED:
        return None
    return next((VERBS[stem] for stem in _STEMS if word.endswith(stem)), None)


def operation_of(name: str) -> str | None:
    """Return the operation that the name of a command, route or function tells.

    Of a command's path the last part that holds a verb counts (`remote add`, `search index rebuild`), and within a part
    the verb that tells most, where the first word has a lead. A part that asks or prepares (`check-updates`,
    `is_installed`) tells nothing.

    Args:
        name: Words joined by dashes, underscores or capitals; parts by spaces, slashes, dots or colons.

    Returns:
        ``deploy``, ``update``, ``sync``, ``remove`` or ``search``; None where the name tells none of them.
    """
    for part in reversed(_PARTS.split(name)):
        words = words_of(part)
        if words and words[0] not in NOT_DOING:
            best = max(verbs_of(part), key=_telling, default=None)
            if best is not None:
                return best[1]
    return None


def _telling(verb: tuple[int, str, float]) -> float:
    position, _, weight = verb
    return weight + (_LEAD if position == 0 else 0)
