"""Where this package keeps things on each platform.

The XDG base directories on Linux and the BSDs, ``Application Support`` on macOS, ``%LOCALAPPDATA%`` on Windows.
A library for this exists, but it costs a command of the host 10 to 30 ms at start-up for two joined paths
(``docs/decisions/0004-start-up.md``).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

# Characters that a directory name may have on every platform; a service name may hold others.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def home(environ: Mapping[str, str]) -> Path:
    """Return the user's home directory as the environment gives it.

    Args:
        environ: The environment; ``HOME`` (``USERPROFILE`` on Windows) is read, then the user database.
    """
    name = environ.get("USERPROFILE" if sys.platform == "win32" else "HOME")
    return Path(name) if name else Path.home()


def config_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's own settings, whether or not the file exists."""
    return _base(environ, "XDG_CONFIG_HOME", ".config", "APPDATA") / "usagetrace" / "config.toml"


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory that holds one folder a service, whether or not it exists."""
    return _base(environ, "XDG_DATA_HOME", ".local/share", "LOCALAPPDATA") / "usagetrace"


def store_path(environ: Mapping[str, str], service_name: str) -> Path:
    """Return the default path of a service's database."""
    return data_dir(environ) / service_folder(service_name) / "analytics.db"


def service_folder(service_name: str) -> str:
    """Return a service's name as the name of a folder, never empty, never ``..``, at most 64 characters."""
    return _UNSAFE.sub("_", service_name).strip(".")[:64] or "default"


def _base(environ: Mapping[str, str], xdg: str, below_home: str, windows: str) -> Path:
    if sys.platform == "win32":
        named = environ.get(windows)
        return Path(named) if named else home(environ) / "AppData" / "Local"
    if sys.platform == "darwin":
        return home(environ) / "Library" / "Application Support"
    named = environ.get(xdg, "")
    # The XDG specification: a relative path in these variables is invalid and is to be ignored.
    return Path(named) if os.path.isabs(named) else home(environ) / below_home
