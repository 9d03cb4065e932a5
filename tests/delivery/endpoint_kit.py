"""Endpoints on loopback that answer as they are told: HTTP, raw bytes, TLS with a certificate made for the occasion."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from usagetrace.config import Settings
from usagetrace.delivery.transport import Transport

# A server looks this often, in seconds, whether it is to stop.
_LOOK = 0.02


@dataclass
class Seen:
    """One request that an endpoint got."""

    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]


@dataclass
class Answer:
    """What an endpoint answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Endpoint:
    """An HTTP server on loopback.

    Attributes:
        answers: What it answers, one after the other; the last again and again.
        seen: The requests that came.
        url: Its base URL.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer()]
        self.seen: list[Seen] = []
        self.url = ""
        self.port = 0


@contextmanager
def http_endpoint(*answers: Answer, context: ssl.SSLContext | None = None, idle: float = 30.0) -> Iterator[Endpoint]:
    """Run an endpoint.

    Args:
        answers: What it answers.
        context: Speaks TLS with this.
        idle: Seconds after which it closes a connection that is not used.
    """
    endpoint = Endpoint()
    endpoint.answers = list(answers) or [Answer()]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = idle

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            endpoint.seen.append(Seen(self.path, headers, body, self.client_address))
            answer = endpoint.answers.pop(0) if len(endpoint.answers) > 1 else endpoint.answers[0]
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_CONNECT = do_POST

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Stay quiet: clients that break off are the point of some tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    endpoint.port = server.server_port
    endpoint.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(_LOOK,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw_endpoint(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that does with each connection what it is told; yields its URL.

    Args:
        talk: Is given the connection, on a thread of its own, and may raise OSError.
    """
    server = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def talk_and_close(connection: socket.socket) -> None:
        with connection:
            try:
                talk(connection)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            opened.append(connection)
            threading.Thread(target=talk_and_close, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        for one in (server, *opened):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def read_request(connection: socket.socket) -> bytes:
    """Return one whole request: what is left unread when a connection is closed takes the answer with it."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += _more(connection)
    head, _, body = came.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += _more(connection)
    return head


def _more(connection: socket.socket) -> bytes:
    came = connection.recv(1 << 16)
    if not came:
        raise ConnectionAbortedError
    return came


def closed_port() -> int:
    """Return a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def transport_to(url: str, **environ: str) -> Transport:
    """Return a transport for an endpoint, with nothing but these variables."""
    return Transport.from_settings(Settings(environ=environ), endpoint=url)


@dataclass(frozen=True)
class Papers:
    """Certificates in PEM files: of an authority, of a server and of a client."""

    authority: str
    certificate: str
    key: str

    def context(self, *, wants_client: bool = False) -> ssl.SSLContext:
        """Return a server's context with them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if wants_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_papers(folder: Path, *, host: str = "IP:127.0.0.1", days: int = 2, name: str = "server") -> Papers:
    """Make an authority and a certificate by it.

    Args:
        folder: Where to; one authority a folder.
        host: What the certificate is for.
        days: How long it is good for; below 0 for one that has expired.
        name: What the files are called.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    if not authority.exists():
        _openssl("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, "-days", "2",
                 "-subj", "/CN=authority of a test",
                 "-addext", "keyUsage=critical,keyCertSign,digitalSignature")  # fmt: skip
    request, made, key = folder / f"{name}.csr", folder / f"{name}.pem", folder / f"{name}.key"
    extensions = folder / f"{name}.ext"
    extensions.write_text(
        f"subjectAltName={host}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n", encoding="utf-8"
    )
    _openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=test")
    _openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
             "-days", str(days), "-extfile", extensions, "-out", made)  # fmt: skip
    return Papers(str(authority), str(made), str(key))


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
