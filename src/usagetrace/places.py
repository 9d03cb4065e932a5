"""Where this package keeps things on each platform.

The XDG base directories on Linux and the BSDs, ``Application Support`` on macOS, ``%LOCALAPPDATA%`` on Windows.
A library for this exists, but it costs a command of the host 10 to 30 ms at start-up for two joined paths, and
``pathlib`` 4 ms (``docs/decisions/0004-start-up.md``): what a tracked call needs comes as text, and the rest as
:class:`~pathlib.Path`.
"""

from __future__ import annotations

import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Final

# Characters that a directory name may have on every platform; a service name may hold others.
_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def home_text(environ: Mapping[str, str]) -> str:
    """Return the user's home directory as the environment gives it.

    Args:
        environ: The environment; ``HOME`` (``USERPROFILE`` on Windows) is read, then the user database.

    Raises:
        RuntimeError: Neither knows it.
    """
    name = environ.get("USERPROFILE" if sys.platform == "win32" else "HOME") or os.path.expanduser("~")
    if name == "~":
        raise RuntimeError("the home directory can't be determined")
    return name


def config_text(environ: Mapping[str, str]) -> str:
    """Return the path of the user's own settings as text."""
    return os.path.join(_base(environ, "XDG_CONFIG_HOME", ".config", "APPDATA"), "usagetrace", "config.toml")


def store_text(environ: Mapping[str, str], service_name: str) -> str:
    """Return the default path of a service's database as text."""
    return os.path.join(_data_text(environ), service_folder(service_name), "analytics.db")


def config_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's own settings, whether or not the file exists."""
    return _path(config_text(environ))


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory that holds one folder a service, whether or not it exists."""
    return _path(_data_text(environ))


def store_path(environ: Mapping[str, str], service_name: str) -> Path:
    """Return the default path of a service's database."""
    return _path(store_text(environ, service_name))


def service_folder(service_name: str) -> str:
    """Return a service's name as the name of a folder, never empty, never ``..``, at most 64 characters."""
    name = service_name
    if not _SAFE.issuperset(name):
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    return name.strip(".")[:64] or "default"


def _data_text(environ: Mapping[str, str]) -> str:
    return os.path.join(_base(environ, "XDG_DATA_HOME", ".local/share", "LOCALAPPDATA"), "usagetrace")


def _base(environ: Mapping[str, str], xdg: str, below_home: str, windows: str) -> str:
    if sys.platform == "win32":
        return environ.get(windows) or os.path.join(home_text(environ), "AppData", "Local")
    if sys.platform == "darwin":
        return os.path.join(home_text(environ), "Library", "Application Support")
    named = environ.get(xdg, "")
    # The XDG specification: a relative path in these variables is invalid and is to be ignored.
    return named if os.path.isabs(named) else os.path.join(home_text(environ), below_home)


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)
