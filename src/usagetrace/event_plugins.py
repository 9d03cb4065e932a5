"""Event types that installed packages bring: found once a process, loaded when a type of an unknown name is asked for.

A package names them by an entry point of the group ``usagetrace.event_types``. This module owns the search, the loading
and its failures; what a type is, `event_types` knows.

The search reads the installed packages' ``entry_points.txt`` by itself: to import ``importlib.metadata`` alone would
take several times as long, and most programs that have a type of their own registered it, or have no plugin. Where
packages are not plain directories (an archive on ``sys.path``, a finder of somebody's own) it asks that module.

Plugins' code runs while no lock of ours is held: a thread that waits for a lock while it imports, and another that
imports while it holds that lock, would wait for each other. So a callable may be called by two threads at once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import namedtuple
from itertools import islice

from usagetrace.guard import guard, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, NamedTuple

    from usagetrace.event_types import EventType

_GROUP: Final = "usagetrace.event_types"
_GROUP_BYTES: Final = b"usagetrace.event_types"
# Most event types that one plugin may bring.
_MOST: Final = 1000
# How much of a file is read at once, in bytes. To make room for a megabyte takes longer than to read most files.
_PIECE: Final = 1 << 14

if TYPE_CHECKING:

    class _Plugin(NamedTuple):
        package: str
        name: str
        module: str
        attribute: str

else:
    # The same, without loading `typing`.
    _Plugin = namedtuple("_Plugin", "package name module attribute")

_lock = threading.RLock()
# Plugins that are still to be loaded, in order; None until somebody has searched.
_waiting: dict[_Plugin, None] | None = None
# Whether this thread is loading plugins.
_here = threading.local()
# Whether this process is the child of a fork.
_forked = False


def load() -> bool:
    """Load the plugins that nobody has loaded yet. Never raises.

    Returns:
        Whether one is left for later, because it is being imported at this moment.
    """
    global _waiting
    if getattr(_here, "loading", False):
        # A plugin that records an event of its own while it is being loaded.
        return True
    _here.loading = True
    try:
        with _lock:
            if _waiting is None:
                _waiting = dict.fromkeys(_find())
            waiting = _waiting
        for plugin in list(waiting):
            _load(plugin, waiting)
        return bool(waiting)
    except Exception as error:  # noqa: BLE001 -- foreign finders may raise anything; the call goes on without plugins
        guard.note(error)
        return False
    finally:
        _here.loading = False


def forget() -> None:
    """Search anew at the next question. For test suites."""
    global _waiting
    with _lock:
        _waiting = None


# --- search ------------------------------------------------------------------------------------------------


def _find() -> list[_Plugin]:
    """Return every plugin that is installed, in the order of package and name."""
    found = _from_files()
    return sorted(_from_metadata() if found is None else found)


def _from_files() -> list[_Plugin] | None:
    """Return the plugins that the folders on ``sys.path`` name; None where there is more than folders."""
    if any(hasattr(finder, "find_distributions") and not _is_path_finder(finder) for finder in sys.meta_path):
        return None
    found: list[_Plugin] = []
    seen: set[str] = set()
    # Anybody may put there what is no text; an import passes over it as well.
    entries: list[object] = [*sys.path]
    for folder in dict.fromkeys(entry for entry in entries if isinstance(entry, str)):
        try:
            names = os.listdir(folder or ".")
        except NotADirectoryError:
            return None
        except (OSError, ValueError):
            # Not there, or not readable: nothing can be imported from it either.
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")) and name != "EGG-INFO":
                continue
            package = _package(os.path.basename(folder) if name == "EGG-INFO" else name)
            # As for an import, the first on the path counts.
            if package not in seen:
                seen.add(package)
                content = _read(f"{folder or '.'}/{name}/entry_points.txt")
                if _GROUP_BYTES in content:
                    found += _parsed(package, content)
    return found


def _package(folder: str) -> str:
    """Return a package's name, as all spellings of it are made the same, from the name of its folder."""
    name = folder.partition("-")[0].removesuffix(".egg-info")
    return name.lower().replace("_", "-").replace(".", "-")


def _is_path_finder(finder: object) -> bool:
    return getattr(finder, "__name__", "") == "PathFinder" and getattr(finder, "__module__", "").startswith("_frozen")


def _read(path: str) -> bytes:
    """Return a file's bytes; none where it can't be read."""
    try:
        # As a file object it would take twice as long.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        return b""
    try:
        content = piece = os.read(descriptor, _PIECE)
        while len(piece) == _PIECE:
            piece = os.read(descriptor, _PIECE)
            content += piece
        return content
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _parsed(package: str, content: bytes) -> Iterator[_Plugin]:
    """Yield the plugins of one ``entry_points.txt``."""
    inside = False
    for line in map(str.strip, content.decode("utf-8", "replace").splitlines()):
        if line.startswith("["):
            inside = line[1:].partition("]")[0].strip() == _GROUP
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            # What stands in brackets are extras that it needs.
            module, _, attribute = target.partition("[")[0].partition(":")
            yield _Plugin(package, name.strip(), module.strip(), attribute.strip())


def _from_metadata() -> list[_Plugin]:
    from importlib.metadata import entry_points

    return [
        _Plugin(point.dist.name if point.dist is not None else "", point.name, point.module, point.attr)
        for point in entry_points(group=_GROUP)
    ]


# --- loading -----------------------------------------------------------------------------------------------


def _is_being_imported(module: str) -> bool:
    """Return whether a plugin's module, or a package that it is in, is being imported, by this thread or another."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        loaded = sys.modules.get(".".join(parts[:count]))
        # What the import system itself asks, to know whether to wait.
        if getattr(getattr(loaded, "__spec__", None), "_initializing", False):
            return True
    return False


def _load(plugin: _Plugin, waiting: dict[_Plugin, None]) -> None:
    """Load one plugin, add its types, and take it from those that wait; where it is broken, say so once."""
    if _forked and _is_being_imported(plugin.module):
        # Perhaps by a thread that was not forked: nobody will ever end that import, and whoever waits for it, hangs.
        return
    try:
        types = _types_of(plugin)
        with _lock:
            # Another thread may have been quicker.
            taken = _add(types) if plugin in waiting else []
            waiting.pop(plugin, None)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a plugin may do as it likes, even try to end the program
        if _is_being_imported(plugin.module):
            # It records an event while somebody else imports it, and has not come to its types yet.
            return
        waiting.pop(plugin, None)
        _say(plugin, "brings no event types (%s: %s); they count as custom ones", type(error).__name__, error)
        return
    for name in taken:
        _say(plugin, "defines the event type %s, which is there already with another definition; that one stays", name)


def _add(types: tuple[EventType, ...]) -> list[str]:
    from usagetrace.event_types import add_from_plugin

    return add_from_plugin(types)


def _say(plugin: _Plugin, what: str, *args: object) -> None:
    cause = f"event-type-plugin:{plugin.package}:{plugin.name}"
    warn_once(cause, f"the plugin %s of the package %s {what}", plugin.name, plugin.package, *args)


def _types_of(plugin: _Plugin) -> tuple[EventType, ...]:
    """Return the event types that a plugin brings, as far as can be seen.

    Raises:
        Exception: Whatever the plugin's own code raises.
    """
    from importlib import import_module

    from usagetrace.event_types import EventType

    found: Any = import_module(plugin.module)
    for attribute in filter(None, plugin.attribute.split(".")):
        found = getattr(found, attribute)
    if callable(found):
        found = found()
    return (found,) if isinstance(found, EventType) else tuple(islice(found, _MOST))


def _in_child() -> None:
    """Remember the fork; forget who held the lock, which may be a thread that was not forked."""
    global _forked, _lock
    _forked = True
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
