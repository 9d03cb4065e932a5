"""What it means that no answer came: exceptions of urllib3, sockets and TLS, in plain words."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, RemoteDisconnected
from typing import Final

from usagetrace.delivery.reply import PLAIN_TO_TLS, Fault, Reply, words

# X509_V_ERR_* of OpenSSL: expired, not valid yet; whom nobody here trusts; another host's.
_EXPIRED: Final = frozenset((10,))
_NOT_YET: Final = frozenset((9,))
_OTHER_HOST: Final = frozenset((62, 64))
# What OpenSSL calls it when the first bytes that it reads are no TLS.
_NO_TLS: Final = frozenset(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"))
# What OpenSSL calls it when the other side wants a certificate that it did not get, or not like this.
_WANTS_CERTIFICATE: Final = frozenset((
    "TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_CERTIFICATE_REQUIRED",
))  # fmt: skip

# What urllib3 raises where the proxy's address is none, or of a kind that it does not speak; endpoints are checked.
_NO_PROXY: Final = frozenset((
    "ProxySchemeUnknown", "ProxySchemeUnsupported", "LocationParseError",
))  # fmt: skip
_PROXY_FORM: Final = (
    "is behind a proxy whose address can't be used: expected http://host:port in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
)
# What a proxy answers that opens no way through.
_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([^'\")]*)")

_SHOW: Final = "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY"
SPEAKS_GRPC: Final = (
    "speaks gRPC (HTTP/2) there, and was spoken to in HTTP/1.1: give its port for HTTP, mostly 4318 where gRPC has 4317"
)
SPEAKS_PLAIN: Final = "speaks plain HTTP there, and was spoken to by TLS: write http:// in the endpoint"
_BROKEN_OFF: Final = Reply("unreachable", message="broke the connection off without an answer", fault="broken_off")
STOPPED: Final = Reply("unreachable", message="was not waited for: sending was stopped", fault="stopped")


def late(seconds: float) -> Reply:
    """Return what it means that a request took too long."""
    return Reply("unreachable", message=f"did not answer within {seconds:g} s", fault="timed_out")


def read_failure(error: BaseException, *, seconds: float, by_proxy: bool = False) -> Reply:
    """Return what a failure of a request means.

    Args:
        error: What was raised.
        seconds: How long the request was allowed to take.
        by_proxy: Whether a proxy was asked.
    """
    chain = tuple(_chain(error))
    names = {type(one).__name__ for one in chain}
    if names & _NO_PROXY:
        return Reply("misconfigured", message=_PROXY_FORM, fault="proxy")
    if by_proxy and "ProxyError" in names:
        return _proxy(error, seconds)
    for one in chain:
        if isinstance(one, ssl.SSLError):
            return _tls(one)
    for one in chain:
        if isinstance(one, socket.gaierror):
            return Reply("unreachable", message="has a name that nobody knows: check its spelling, and the network",
                         fault="name")  # fmt: skip
        if isinstance(one, ConnectionRefusedError):
            return Reply(
                "unreachable", message="is not there: nothing listens at this host and port", fault="not_there"
            )
        if isinstance(one, BadStatusLine) and not isinstance(one, RemoteDisconnected):
            return _no_http(str(one))
        if isinstance(one, TimeoutError):
            return late(seconds)
    if names & {"ConnectTimeoutError", "ReadTimeoutError"} and "NewConnectionError" not in names:
        return late(seconds)
    for one in chain:
        if isinstance(one, ConnectionError):
            return _BROKEN_OFF
        if isinstance(one, OSError) and one.strerror:
            return Reply("unreachable", message=f"can't be reached: {words(one.strerror)}", fault="network")
    return Reply("unreachable", message=f"can't be reached: {type(chain[-1]).__name__}", fault="network")


def _proxy(error: BaseException, seconds: float) -> Reply:
    """Return what it means that the proxy before an endpoint could not be used."""
    refused = _TUNNEL.search(str(error))
    if refused is not None and refused[1].startswith("407"):
        return Reply("misconfigured", 407, message="is behind a proxy that asks for credentials: put them into the "
                     "proxy's address in HTTPS_PROXY", fault="proxy")  # fmt: skip
    if refused is not None:
        said = f"is behind a proxy that does not let this through: {words(refused[1])}"
        return Reply("unreachable", message=said, fault="proxy")
    met = read_failure(error, seconds=seconds)
    return Reply("unreachable", message=f"is behind a proxy that could not be used: it {met.message}", fault="proxy")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and everything that it tells of: causes, contexts, and what urllib3 keeps as arguments."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        nearby = (one.__cause__, one.__context__, *one.args)
        waiting.extend(other for other in nearby if isinstance(other, BaseException))


def _tls(error: ssl.SSLError) -> Reply:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Reply("unreachable", message="broke the connection off before TLS was agreed on", fault="broken_off")
    reason = error.reason or ""
    if reason in _NO_TLS:
        return Reply("misconfigured", message=SPEAKS_PLAIN, fault="tls_to_plain")
    if reason in _WANTS_CERTIFICATE:
        return Reply("misconfigured", message=f"asks for a certificate of ours that it trusts: {_SHOW}",
                     fault="tls_client")  # fmt: skip
    if reason == "SSLV3_ALERT_HANDSHAKE_FAILURE":
        # Before TLS 1.3 this is said of a certificate that is wanted, too.
        return Reply("misconfigured", message=f"does not agree on TLS; if it asks for a certificate of ours, {_SHOW}",
                     fault="tls")  # fmt: skip
    what = words(reason.replace("_", " ").lower()) or type(error).__name__
    return Reply("misconfigured", message=f"and this program do not agree on TLS: {what}", fault="tls")


def _certificate(error: ssl.SSLCertVerificationError) -> Reply:
    code = error.verify_code
    fault: Fault
    if code in _EXPIRED:
        message, fault = "has a certificate that has expired: it must be renewed there", "tls_expired"
    elif code in _NOT_YET:
        message, fault = "has a certificate that is not valid yet: check the clocks here and there", "tls_expired"
    elif code in _OTHER_HOST:
        message, fault = "has a certificate for another name: use the name that it is for", "tls_host"
    else:
        why = words(error.verify_message)
        message = (
            f"has a certificate that is not trusted here ({why}): set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of "
            "its authority"
        )
        fault = "tls_untrusted"
    return Reply("misconfigured", message=message, fault=fault)


def _no_http(line: str) -> Reply:
    """Return what it means that the first line of an answer is none of HTTP/1.1's."""
    text = line.strip()
    if text.startswith("HTTP/1.") or "HTTP/1.".startswith(text):
        return _BROKEN_OFF
    raw = line.encode("latin-1", "replace")
    # A frame of HTTP/2: three bytes of length, then its type, SETTINGS or GOAWAY. http.client quotes short lines.
    if b"\\x00\\x00" in raw[:12] or raw[:2] == b"\x00\x00" or line.startswith("HTTP/2"):
        return Reply("misconfigured", message=SPEAKS_GRPC, fault="grpc")
    # A record of TLS: an alert.
    if raw[:2] == b"\x15\x03" or b"\\x15\\x03" in raw[:12]:
        return Reply("misconfigured", message=PLAIN_TO_TLS, fault="plain_to_tls")
    return Reply("misconfigured", message="does not speak HTTP at this port", fault="no_http")
