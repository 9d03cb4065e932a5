"""What a host and port speak: one connection, a few bytes, and what comes back. Nothing of anybody's is sent."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import urlsplit

Speech = Literal["tls", "http2", "http1", ""]

# How a client of HTTP/2 begins: RFC 9113, section 3.4, with an empty frame of settings.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS: Final = 4
_MOST: Final = 64


def spoken(url: str, *, seconds: float, by_tls: bool) -> Speech:
    """Return what is spoken where an URL points to: ``http2``, ``http1``, ``tls``, or nothing that is known here.

    Args:
        url: With host and port; nothing else of it is used.
        seconds: For each step, at most.
        by_tls: Whether to ask inside TLS, whoever the certificate is of. Else ``tls`` is one of the answers.
    """
    host, port = host_and_port(url)
    try:
        with socket.create_connection((host, port), timeout=seconds) as plain:
            if by_tls:
                with _lenient(("h2", "http/1.1")).wrap_socket(plain, server_hostname=host) as wrapped:
                    found = _greeted(wrapped)
            else:
                found = _greeted(plain)
    except (OSError, ValueError):
        found = ""
    if found or by_tls:
        return found
    return "tls" if _speaks_tls(host, port, seconds) else ""


def host_and_port(url: str) -> tuple[str, int]:
    """Return where an URL points to, with the port that its scheme has by default."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def shake_hands(url: str, context: ssl.SSLContext | None, *, seconds: float) -> None:
    """Connect as a client of gRPC would, and close again.

    Args:
        url: With host and port.
        context: How to check the certificate; None without TLS.
        seconds: For each step, at most.

    Raises:
        OSError: Why that is not possible, errors of TLS included.
    """
    host, port = host_and_port(url)
    with socket.create_connection((host, port), timeout=seconds) as plain:
        if context is not None:
            context.set_alpn_protocols(["h2"])
            with context.wrap_socket(plain, server_hostname=host):
                pass


def refusal(url: str, context: ssl.SSLContext, *, seconds: float) -> ssl.SSLError | None:
    """Return what TLS says after a handshake to who sends nothing; None where it says nothing.

    In TLS 1.3 a server looks at the client's certificate when the client may be writing already: its answer is lost
    then, in the connection that it breaks off.

    Args:
        url: With host and port.
        context: How to check the certificate there, and what to show.
        seconds: For each step, at most.
    """
    host, port = host_and_port(url)
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            wrapped.recv(1)
    except ssl.SSLError as error:
        return error
    except (OSError, ValueError):
        return None
    return None


def _greeted(connection: socket.socket) -> Speech:
    connection.sendall(_PREFACE)
    said = b""
    with suppress(OSError):
        while len(said) < 9:
            more = connection.recv(_MOST)
            if not more:
                break
            said += more
    if said.startswith((b"HTTP/1.", b"<")):
        return "http1"
    if said[:2] == b"\x15\x03":
        return "tls"
    return "http2" if len(said) >= 9 and said[3] == _SETTINGS and not any(said[5:9]) else ""


def _speaks_tls(host: str, port: int, seconds: float) -> bool:
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            _lenient().wrap_socket(plain, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        # An alert is an answer in TLS too.
        return "ALERT" in (error.reason or "")
    except (OSError, ValueError):
        return False


def _lenient(protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return a context that takes any certificate: nothing private is said on such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
