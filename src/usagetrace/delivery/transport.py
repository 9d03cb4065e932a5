"""One OTLP endpoint, spoken to over HTTP: keep-alive, compression, TLS, proxies, and an end at any moment.

Each request runs on a thread of its own, which nobody waits for longer than agreed: neither a name that is being
looked up nor a server that sends a byte a second can hold up who sends, or keep :meth:`Transport.close` waiting.
Redirects are never followed: what was meant for one host, credentials included, goes to no other.
"""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import allowed_gai_family

from usagetrace.config import Settings
from usagetrace.delivery.echoes import secrets_of, without
from usagetrace.delivery.faults import STOPPED, late, read_failure
from usagetrace.delivery.options import LOGS, TRACES, Route, routes, shown
from usagetrace.delivery.proxies import proxy_for
from usagetrace.delivery.reply import MOST_BYTES, Reply, read_answer
from usagetrace.guard import guard
from usagetrace.version import __version__

# More of gzip's effort takes twice the time for a few per cent.
_LEVEL: Final = 4
_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda body: gzip.compress(body, _LEVEL, mtime=0),
    "deflate": lambda body: zlib.compress(body, _LEVEL),
}
_FIXED: Final = {
    "content-type": "application/x-protobuf",
    "accept": "application/x-protobuf",
    "user-agent": f"usagetrace/{__version__} (OTLP over HTTP)",
}


# Seconds for asking why TLS was broken off.
_ASK_TLS_S: Final = 1.0
# Parts that the time for connecting is cut into at most, for as many addresses of a host.
_MOST_ADDRESSES: Final = 4
# Faults that come before anything is sent.
_UNSENT: Final = frozenset(("name", "not_there", "tls_untrusted", "tls_expired", "tls_host", "tls_to_plain"))


class Transport:
    """Sends OTLP requests to one endpoint. May be used by several threads.

    Args:
        routes: How each signal is sent, by its name.
        environ: Names the proxies; ``os.environ`` by default.
        clock: Returns the present in seconds since 1970 UTC, for dates in ``Retry-After``.

    Attributes:
        sent_bytes: Bytes of bodies that were given to the network so far, as they went out.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._routes = dict(routes)
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._lines: dict[object, _Line] = {}
        self._lock = threading.Lock()
        self._exchanges: set[_Exchange] = set()
        self._closed = False
        self.sent_bytes = 0
        self._pid = os.getpid()

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        signals: tuple[str, ...] = (TRACES, LOGS),
    ) -> Transport:
        """Return a transport by settings and the standard environment variables.

        Args:
            settings: The settings in force; that the user said no is looked at by the caller.
            endpoint: Base URL that goes before theirs.
            headers: What goes with each request besides.
            signals: Those that will be sent.

        Raises:
            ConfigurationError: Lists every fault, in words for people, without a credential.
        """
        found = routes(settings, endpoint=endpoint, headers=headers, signals=signals)
        return cls(found, environ=settings.environ)

    @property
    def endpoint(self) -> str:
        """The endpoint without credentials and parameters: the base where all signals go below one, or else their
        addresses."""
        bases = {shown(route.url).removesuffix(f"/v1/{signal}") for signal, route in self._routes.items()}
        return bases.pop() if len(bases) == 1 else "|".join(sorted(shown(route.url) for route in self._routes.values()))

    def sends(self, signal: str) -> bool:
        """Return whether a signal goes anywhere: somebody may have said none of it, or named no address for it."""
        return signal in self._routes

    def url(self, signal: str) -> str:
        """Return where a signal goes, without credentials and parameters; empty for nowhere."""
        return shown(self._routes[signal].url) if signal in self._routes else ""

    def send(self, signal: str, body: bytes) -> Reply:
        """Send one request and wait for what became of it, as long as the timeout says. Never raises.

        Args:
            signal: ``traces``, ``metrics`` or ``logs``.
            body: The request, serialized, uncompressed.
        """
        route = self._routes.get(signal)
        if route is None:
            return Reply("misconfigured", message=f"is not named for {signal}: set OTEL_EXPORTER_OTLP_{signal.upper()}_"
                         "ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT for all", fault="nowhere")  # fmt: skip
        try:
            packed = _packed(route, body)
            exchange = _Exchange(route, self._line(route), packed, self._clock)
            with self._lock:
                if self._closed:
                    return STOPPED
                self._exchanges.add(exchange)
            try:
                reply = exchange.run()
            finally:
                with self._lock:
                    self._exchanges.discard(exchange)
            if reply.fault not in _UNSENT:
                # Of a request that failed half-way, too: nobody knows how much of it went out.
                with self._lock:
                    self.sent_bytes += len(packed[0])
            return reply
        except Exception as error:  # noqa: BLE001 -- whoever sends in the background has nobody to raise to
            guard.note(error)
            return read_failure(error, seconds=route.timeout_s)

    def close(self) -> None:
        """End what is under way, and let go of every connection. From any thread; sending afterwards does nothing."""
        with self._lock:
            self._closed = True
            exchanges, lines = list(self._exchanges), list(self._lines.values())
            self._lines = {}
        for exchange in exchanges:
            exchange.stop()
        for line in lines:
            line.pool.clear()

    def _line(self, route: Route) -> _Line:
        """Return the connections for a route; signals of one host share them."""
        proxy = proxy_for(route.url, self._environ)
        key = (proxy, route.certificates, route.url.partition(":")[0])
        with self._lock:
            if self._pid != os.getpid():
                # A forked child: what its parent opened goes on there, and two can't speak on one line.
                self._pid, self._lines, self._exchanges = os.getpid(), {}, set()
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(route, proxy)
            return line


def _packed(route: Route, body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the body as it goes out, and all headers."""
    headers = {**_FIXED, **route.headers}
    compress = _COMPRESS.get(route.compression)
    if compress is None:
        return body, headers
    return compress(body), {**headers, "content-encoding": route.compression}


class _Line:
    """The connections to one host, or to the proxy before it.

    Args:
        route: What is reached.
        proxy: The proxy's URL, or None.
    """

    def __init__(self, route: Route, proxy: str | None) -> None:
        self.by_proxy = proxy is not None
        options: dict[str, Any] = {"maxsize": 1, "block": False, "retries": False}
        if route.url.startswith("https:"):
            options["ssl_context"] = route.certificates.context()
        if proxy is None:
            self.pool: urllib3.PoolManager = urllib3.PoolManager(**options)
        else:
            from usagetrace.delivery.proxies import manager

            self.pool = manager(proxy, **options)
        self.pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


def _addresses(host: str, port: int) -> int:
    """Return how many addresses a host has; 1 where that can't be known, which connecting will tell."""
    try:
        return len(socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)) or 1
    except (OSError, UnicodeError):
        return 1


# On a thread that exchanges: its exchange.
_here: Final = threading.local()


class _Known:
    """A connection that the exchange on it knows of, so that it can be broken off from outside."""

    timeout: Any
    port: Any
    _dns_host: str

    def connect(self) -> None:
        _here.exchange.fresh = True
        super().connect()  # type: ignore[misc]  # it stands before a class of connections
        # Connecting may take long; what nobody waits for any more is not sent.
        _here.exchange.take(self)

    def _new_conn(self) -> socket.socket:
        """Connect to one of the name's addresses. Each is given a part of the time only: a network that has lost its
        IPv6 answers nothing at the first one, and the second is never come to."""
        whole = self.timeout
        if isinstance(whole, int | float):
            self.timeout = whole / min(_addresses(self._dns_host, self.port), _MOST_ADDRESSES)
        try:
            opened: socket.socket = super()._new_conn()  # type: ignore[misc]  # as above
        finally:
            self.timeout = whole
        opened.settimeout(whole)
        return opened

    def request(self, *args: Any, **kwargs: Any) -> None:
        _here.exchange.take(self)
        super().request(*args, **kwargs)  # type: ignore[misc]  # as above


class _Plain(_Known, HTTPConnection):
    pass


class _Secure(_Known, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Exchange:
    """One request and its answer.

    Args:
        route: Where to, and how long.
        line: The connections.
        packed: Body and headers.
        clock: Returns the present in seconds since 1970 UTC.
    """

    def __init__(
        self, route: Route, line: _Line, packed: tuple[bytes, dict[str, str]], clock: Callable[[], float]
    ) -> None:
        self._route = route
        self._line = line
        self._body, self._headers = packed
        self._clock = clock
        self._ended = threading.Event()
        self._reply: Reply | None = None
        self._connection: object = None
        # Whether a connection was opened for this.
        self.fresh = False

    def run(self) -> Reply:
        """Exchange on a thread, and return what came of it in time."""
        worker = threading.Thread(target=self._work, name="usagetrace-send", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            # The interpreter shuts down, or the machine has no thread left.
            return STOPPED
        if not self._ended.wait(self._route.timeout_s):
            self.stop()
            return late(self._route.timeout_s)
        return self._reply or STOPPED

    def stop(self) -> None:
        """Let :meth:`run` return at once, and break the connection off. From any thread."""
        self._ended.set()
        opened = getattr(self._connection, "sock", None)
        if isinstance(opened, socket.socket):
            # The plain socket's own method: the one of TLS would take its state from under the thread that reads.
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def take(self, connection: object) -> None:
        """Know the connection that this is about to be sent on.

        Raises:
            ConnectionAbortedError: Nobody waits for an answer any more.
        """
        self._connection = connection
        if self._ended.is_set():
            raise ConnectionAbortedError

    def _work(self) -> None:
        _here.exchange = self
        _be_quiet()
        try:
            reply = self._exchange()
        except Exception as error:  # noqa: BLE001 -- on a thread of ours: what fails here is an answer too
            reply = self._understood(error)
        if not self._ended.is_set():
            self._reply = reply
            self._ended.set()

    def _understood(self, error: Exception) -> Reply:
        """Return what a failure means; where TLS may have had a reason to tell, after asking for it."""
        route, by_proxy = self._route, self._line.by_proxy
        reply = read_failure(error, seconds=route.timeout_s, by_proxy=by_proxy)
        if reply.fault != "broken_off" or by_proxy or not route.url.startswith("https:") or self._ended.is_set():
            return reply
        from usagetrace.delivery.probes import refusal

        reason = refusal(route.url, route.certificates.context(), seconds=min(route.timeout_s, _ASK_TLS_S))
        found = reply if reason is None else read_failure(reason, seconds=route.timeout_s)
        return found if found.kind == "misconfigured" else reply

    def _exchange(self) -> Reply:
        end = time.monotonic() + self._route.timeout_s
        try:
            return self._ask(end)
        except urllib3.exceptions.ProtocolError:
            if self.fresh or self._ended.is_set():
                raise
        # The endpoint closed a connection that had been idle: nothing is wrong with it, or with what is sent.
        self.fresh = True
        return self._ask(end)

    def _ask(self, end: float) -> Reply:
        left = max(end - time.monotonic(), 0.001)
        answer = self._line.pool.urlopen(
            "POST",
            self._route.url,
            body=self._body,
            headers=self._headers,
            timeout=urllib3.Timeout(connect=left, read=left),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = answer.read(MOST_BYTES)
        except (urllib3.exceptions.HTTPError, OSError):
            # The status has come, and it decides: what was taken must not be sent once more for a lost explanation.
            body = None
        if body is not None and len(body) < MOST_BYTES:
            answer.release_conn()
        else:
            answer.close()
        return self._read(answer.status, answer.headers, body or b"")

    def _read(self, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        route = self._route
        secrets = secrets_of(route.url, route.headers)
        said = {name: without(value.encode("latin-1", "replace"), secrets).decode("latin-1")
                for name, value in headers.items()}  # fmt: skip
        path = urlsplit(route.url).path
        return read_answer(route.signal, status, said, without(body, secrets), now_s=self._clock(), path=path)


def _be_quiet() -> None:
    """Ask instrumentations of urllib3 and sockets not to make spans of what delivers spans."""
    with guard:
        from opentelemetry import context

        quiet = context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True)
        context.attach(context.set_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, quiet))
