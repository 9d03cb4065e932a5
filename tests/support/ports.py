"""Ports for programs that are told theirs before they listen, and that listen there again after they were killed.

They lie below those that the system gives to outgoing connections, which could take one while nobody listens on it.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Final

_FIRST: Final = 15_000
_given: set[int] = set()


def _end() -> int:
    """Return the first port that the system gives to connections by itself."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        return 32_768


def free_port() -> int:
    """Return a port of loopback that nothing listens on, and that this process has not given before."""
    # The seed of the tests is one for all of their processes.
    anywhere = random.SystemRandom()
    for _ in range(1000):
        port = anywhere.randrange(_FIRST, max(_end(), _FIRST + 1000))
        if port in _given:
            continue
        with socket.socket() as tried:
            if os.name == "posix":
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("there is no free port")
