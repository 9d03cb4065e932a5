"""Who and where this process is: home, user and host name, and which of them may be masked as words.

Read once from the environment, without a look-up over the network. This module knows nothing of rules.
"""

from __future__ import annotations

import os
import re
import sys

from usagetrace.patterns import lazy
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

# A name that is also an ordinary word would tear holes into harmless texts.
COMMON_NAMES: Final = words(
    """
    root user users admin administrator adm app apps application agent agents author backup bin bot build
    builder builds ci claude client cloud code coder codespace collection command commands computer container
    core daemon data database db debian default demo deploy deployer deployment desktop dev devel developer
    docker ec2-user example fedora ftp game git github gitlab gitpod guest help home host http httpd info invoke
    jenkins jovyan kali lab laptop linux local localhost localdomain login mac macbook mail main manager master
    me media mint model mysql my myself name network nginx nobody node office operator ops oracle owner pc
    person pi play postgres print prod production project public python raspberrypi redis remote remove report
    root runner runneradmin sandbox search server service session shell skill skills slave staff stage staging
    star store student sudo support sync sys system team temp template test tester tests the tmp tool track
    travis ubuntu update usage vagrant version vm vm1 vps vscode web windows work worker workspace workstation
    www www-data azureuser centos redhat alpine arch
    """
)
# Shorter names are parts of too many texts.
_SHORTEST: Final = 3
_EDGE: Final = "A-Za-z0-9\u00c0-\u024f"


def own_homes() -> tuple[str, ...]:
    """Return the home directory as the environment spells it, and with its links resolved."""
    home = os.path.expanduser("~")
    if home in ("", "~", os.sep):
        return ()
    return tuple(dict.fromkeys((home, os.path.realpath(home))))


def own_user() -> str:
    """Return this process's user name, or an empty text where it can't be known."""
    # As `getpass` does, whose import brings the terminal's settings along.
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(variable):
            return os.environ[variable]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (KeyError, OSError, ImportError):
        return ""


def own_host() -> str:
    """Return this machine's host name, or an empty text where it can't be known."""
    if sys.platform == "win32":
        import socket

        try:
            return socket.gethostname()
        except OSError:
            return ""
    # What `socket.gethostname` says as well, without the 2 ms that its import takes.
    return os.uname().nodename


def maskable(name: str) -> bool:
    """Say whether a name is distinctive enough to be masked wherever it stands as a word."""
    return len(name) >= _SHORTEST and name.lower() not in COMMON_NAMES and not name.isdigit()


def word_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds any of some names as a whole word, or None where none may be masked."""
    chosen = sorted({name for name in names if maskable(name)}, key=len, reverse=True)
    if not chosen:
        return None
    return lazy(lambda: rf"(?<![{_EDGE}])(?:{'|'.join(map(_spelling, chosen))})(?![{_EDGE}])")


def _spelling(name: str) -> str:
    """Return a pattern of one name: short ones in the usual spellings only, since `ADA` or `Max` may be words."""
    if len(name) < 4:
        return "|".join(re.escape(form) for form in dict.fromkeys((name, name.lower(), name.capitalize())))
    return f"(?i:{re.escape(name)})"
