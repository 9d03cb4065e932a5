"""Whether the endpoints of OTLP answer, and what is wrong with one that does not, in plain words.

Each is sent one request without any event, as its protocol has it, with the headers and certificates that are set.
Whether anything may be contacted is for the caller to know.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Final

from usagetrace.config import Settings
from usagetrace.delivery.faults import SPEAKS_GRPC, SPEAKS_PLAIN, late, read_failure
from usagetrace.delivery.options import GRPC, PROTOCOL, Route, routes, shown
from usagetrace.delivery.probes import shake_hands, spoken
from usagetrace.delivery.proxies import proxy_for
from usagetrace.delivery.reply import PLAIN_TO_TLS, Fault, Kind, Reply, collector_module, words
from usagetrace.delivery.transport import Transport

# Seconds for one endpoint's answer, where nobody allows fewer; and for each later look at what it speaks.
PATIENCE_S: Final = 5.0
_PROBE_S: Final = 2.0
_SPEAKS_HTTP: Final = (
    "speaks HTTP/1.1 there, and was spoken to by gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or give its port "
    "for gRPC, mostly 4317 where HTTP has 4318"
)
# What gRPC's codes mean, by name: https://grpc.io/docs/guides/status-codes
_CODES: Final[Mapping[str, tuple[Kind, Fault, str]]] = {
    "UNAUTHENTICATED": ("misconfigured", "unauthorized", "asks for credentials: set OTEL_EXPORTER_OTLP_HEADERS"),
    "PERMISSION_DENIED": ("misconfigured", "forbidden", "does not allow this sender: check OTEL_EXPORTER_OTLP_HEADERS"),
    "UNIMPLEMENTED": ("misconfigured", "path", "has no service for this signal"),
    "RESOURCE_EXHAUSTED": ("retry", "busy", "is busy"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of asking one endpoint.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        url: What was asked, without credentials and parameters.
        protocol: ``http/protobuf`` or ``grpc``.
        ok: Whether it took the request.
        message: One sentence for people, that goes on from the address.
        fault: One word for what is wrong, for programs; empty where nothing is.
        status: The HTTP status, or None.
        server: What answered, as it says itself; empty where it says nothing.
        duration_ms: How long the answer took, in milliseconds.
    """

    signal: str
    url: str
    protocol: str
    ok: bool
    message: str
    fault: Fault
    status: int | None
    server: str
    duration_ms: float


def examine(
    settings: Settings, *, endpoint: str | None = None, signals: tuple[str, ...] = ("traces", "metrics")
) -> tuple[Finding, ...]:
    """Ask each endpoint, all at once, and return what came of it, in the order of the signals.

    Args:
        settings: The settings in force.
        endpoint: Base URL that goes before theirs.
        signals: Those that are sent anywhere.

    Raises:
        ConfigurationError: There is nothing to ask, or settings for it can't be used; it lists every fault.
    """
    found = routes(settings, endpoint=endpoint, signals=signals, grpc_too=True)
    with ThreadPoolExecutor(max_workers=len(found)) as pool:
        return tuple(pool.map(lambda route: _ask(route, settings.environ), found.values()))


def _ask(route: Route, environ: Mapping[str, str]) -> Finding:
    route = replace(route, timeout_s=min(route.timeout_s, PATIENCE_S))
    begun = time.perf_counter()
    reply = _by_grpc(route) if route.protocol == GRPC else _by_http(route, environ)
    took_ms = (time.perf_counter() - begun) * 1000
    by_proxy = route.protocol == PROTOCOL and proxy_for(route.url, environ) is not None
    if reply.kind != "accepted" and not by_proxy:
        reply = _looked_closer(route, reply)
    ok = reply.kind == "accepted"
    return Finding(
        route.signal,
        shown(route.url),
        route.protocol,
        ok,
        _answered(route, reply, took_ms) if ok else reply.message,
        reply.fault,
        reply.status,
        reply.server,
        round(took_ms, 1),
    )


def _answered(route: Route, reply: Reply, took_ms: float) -> str:
    how = "gRPC" if route.protocol == GRPC else f"HTTP {reply.status}"
    who = f", {reply.server}" if reply.server else ""
    remark = f"; it {reply.message}" if reply.message else ""
    return f"answers ({how}{who}, {took_ms:.0f} ms){remark}"


def _by_http(route: Route, environ: Mapping[str, str]) -> Reply:
    transport = Transport({route.signal: route}, environ=environ)
    try:
        return transport.send(route.signal, b"")
    finally:
        transport.close()


def _looked_closer(route: Route, reply: Reply) -> Reply:
    """Return a reply with what is really the matter, where the first failure does not tell."""
    secure = route.url.startswith("https:")
    # A server that waits for the rest of a greeting by TLS says nothing; one that was asked without has no such excuse.
    unclear = ("broken_off", "no_http", "tls", "network", *(("timed_out",) if secure else ()))
    if route.protocol == GRPC or reply.fault not in unclear:
        return reply
    seconds = min(_PROBE_S, route.timeout_s)
    speech = spoken(route.url, seconds=seconds, by_tls=secure)
    if speech == "http2":
        return Reply("misconfigured", message=SPEAKS_GRPC, fault="grpc")
    if speech == "tls":
        return Reply("misconfigured", message=PLAIN_TO_TLS, fault="plain_to_tls")
    if secure and not speech and spoken(route.url, seconds=seconds, by_tls=False) in ("http1", "http2"):
        return Reply("misconfigured", message=SPEAKS_PLAIN, fault="tls_to_plain")
    return reply


# --- gRPC --------------------------------------------------------------------------------------------------------


def _by_grpc(route: Route) -> Reply:
    try:
        # Not by a plain import: it has no types, and many have no use for it.
        grpc: Any = import_module("grpc")
    except ImportError:
        return Reply("misconfigured", message="is to be spoken to by gRPC, which is not installed: pip install "
                     "'usagetrace[otlp]'", fault="not_installed")  # fmt: skip
    place = route.url.partition("://")[2]
    channel = _secure_channel(grpc, route, place) if route.url.startswith("https:") else grpc.insecure_channel(place)
    try:
        call, request = _request(route.signal, channel)
        call(request, timeout=route.timeout_s, metadata=tuple(route.headers.items()))
    except grpc.RpcError as error:
        return _failed(route, error)
    except (ValueError, OSError) as error:
        # Headers that gRPC does not take, or files that are gone.
        return Reply("misconfigured", message=f"can't be asked: {words(str(error))}", fault="settings")
    finally:
        channel.close()
    return Reply("accepted")


def _secure_channel(grpc: Any, route: Route, place: str) -> Any:
    def read(path: str) -> bytes | None:
        if not path:
            return None
        with open(path, "rb") as file:
            return file.read()

    files = route.certificates
    return grpc.secure_channel(
        place, grpc.ssl_channel_credentials(read(files.trusted), read(files.key or files.shown), read(files.shown))
    )


def _request(signal: str, channel: Any) -> tuple[Any, Any]:
    """Return what sends a signal, and a request without anything in it."""
    messages, stubs = collector_module(signal, "pb2"), collector_module(signal, "pb2_grpc")
    stub = next(name for name in vars(stubs) if name.endswith("ServiceStub"))
    request = next(name for name in vars(messages) if name.startswith("Export") and name.endswith("ServiceRequest"))
    return getattr(stubs, stub)(channel).Export, getattr(messages, request)()


def _failed(route: Route, error: Any) -> Reply:
    """Return what a failure of gRPC means."""
    code, details = error.code().name, words(error.details() or "")
    if code in _CODES:
        kind, fault, meaning = _CODES[code]
        return Reply(kind, message=f"{meaning} (gRPC {code})" + (f": {details}" if details else ""), fault=fault)
    if code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"):
        return Reply("refused", message=f"did not take the request (gRPC {code}): {details}", fault="refused")
    secure, seconds = route.url.startswith("https:"), min(_PROBE_S, route.timeout_s)
    try:
        shake_hands(route.url, route.certificates.context() if secure else None, seconds=seconds)
    except (OSError, ValueError) as failure:
        return read_failure(failure, seconds=seconds)
    speech = spoken(route.url, seconds=seconds, by_tls=secure)
    if speech == "http1":
        return Reply("misconfigured", message=_SPEAKS_HTTP, fault="grpc_to_http")
    if speech == "tls":
        return Reply("misconfigured", message=PLAIN_TO_TLS, fault="plain_to_tls")
    if code == "DEADLINE_EXCEEDED":
        return late(route.timeout_s)
    return Reply("unreachable", message=f"did not take the request (gRPC {code}): {details}", fault="network")
