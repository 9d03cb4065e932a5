"""Sockets that listen: opened before anything else is started, so that a taken port is told in one sentence."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from usagetrace.errors import UsageTraceError
from usagetrace.server.access import is_loopback

_BACKLOG: Final = 512


class CannotListenError(UsageTraceError):
    """An address or a port that can't be had; the message says why, and what to do."""


def resolve(host: str) -> str:
    """Return the address of a host in digits.

    Raises:
        CannotListenError: There is no such host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotListenError(f"{host}: this name has no address: give one of this machine's") from error
    # localhost may stand for two: exporters that don't say which speak the older one.
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return str(found[0][4][0])


def is_open_to_others(address: str) -> bool:
    """Return whether other machines may reach an address, in digits."""
    return not is_loopback(address)


def listen(address: str, port: int, option: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        address: In digits.
        port: The port; 0 for any that is free.
        option: The option that names the port, for the message.

    Raises:
        CannotListenError: The port is taken or needs another user, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # What a server that was killed left half closed must not keep the next one out. Elsewhere it would let two
            # servers have one port.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(_BACKLOG)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        raise CannotListenError(_why(address, port, option, error)) from error
    return opened


def shown(address: str, port: int) -> str:
    """Return an address and a port as they stand in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _why(address: str, port: int, option: str, error: OSError) -> str:
    where = shown(address, port)
    if error.errno == errno.EADDRINUSE:
        return f"{where}: another program listens there: stop it, or take another port ({option})"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}: this port is not for every user: take one from 1024 on ({option})"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine does not have that address: give one that it has (--host)"
    return f"{where}: {error.strerror or type(error).__name__}"
