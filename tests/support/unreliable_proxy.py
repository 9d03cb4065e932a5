"""A TCP proxy that delays, drops connections, and takes requests whose answers it keeps to itself.

The last one is what makes a sender send again what was taken: the request goes through whole, the answer does not come
back, and a moment later the connection is cut. What is carried is not known here, so that TLS goes through as well.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_CHUNK = 65536
# A connection that is cut with this on is reset: the other end gets an error and no orderly end.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Faults:
    """How likely what goes wrong is, for each chunk that a client sends.

    Attributes:
        delay_s: Seconds that a chunk is held back, at most.
        drop: How likely the connection is cut before the chunk is passed on.
        swallow: How likely the chunk is passed on, and no answer to it.
        linger_s: Seconds between the first answer that is swallowed and the cut: in them, a request that came in
            several chunks is taken.
    """

    delay_s: float = 0.0
    drop: float = 0.0
    swallow: float = 0.0
    linger_s: float = 0.3


class _Link:
    """One connection of a client and the one to the target that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.deaf = threading.Event()

    def cut(self) -> None:
        """End both; whoever reads from them is woken."""
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class UnreliableProxy:
    """Where to connect, and what became of the connections.

    Args:
        target: Port of loopback that everything is passed on to; where nothing listens there, clients are cut.
        faults: What goes wrong.
        seed: Decides when.

    Attributes:
        port: Where to connect to, on loopback.
        connections: How many came.
        dropped: How many were cut in the middle of a request.
        swallowed: How many were cut when an answer had come, which was not passed on.
    """

    def __init__(self, target: int, faults: Faults, seed: int) -> None:
        self._target = target
        self._faults = faults
        self._chance = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self.port = int(self._server.getsockname()[1])
        self.connections = self.dropped = self.swallowed = 0

    def open(self) -> None:
        """Take connections."""
        self._spawn(self._accept)

    def close(self) -> None:
        """Cut all connections and end."""
        self._stopped.set()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()
        # The list grows no more once its first one, which takes connections, has ended.
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name="unreliable-proxy")
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._spawn(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        client.settimeout(None)
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                # As if nothing listened here: the client finds its connection cut.
                return
            server.settimeout(None)
            with server:
                self._join(_Link(client, server))

    def _join(self, link: _Link) -> None:
        with self._lock:
            self._links.add(link)
        if self._stopped.is_set():
            link.cut()
        answers = threading.Thread(target=self._answers, args=(link,), name="unreliable-proxy")
        answers.start()
        try:
            self._requests(link)
        finally:
            link.cut()
            answers.join()
            with self._lock:
                self._links.discard(link)

    def _requests(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while chunk := link.client.recv(_CHUNK):
                time.sleep(self._chance.uniform(0, self._faults.delay_s))
                if self._chance.random() < self._faults.drop:
                    self.dropped += 1
                    return
                if self._chance.random() < self._faults.swallow:
                    link.deaf.set()
                link.server.sendall(chunk)

    def _answers(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while chunk := link.server.recv(_CHUNK):
                if link.deaf.is_set():
                    self.swallowed += 1
                    # What else is answered meanwhile stays unread, and is gone with the connection.
                    self._stopped.wait(self._faults.linger_s)
                    break
                link.client.sendall(chunk)
        link.cut()


@contextlib.contextmanager
def unreliable_proxy(target: int, faults: Faults, seed: int) -> Iterator[UnreliableProxy]:
    """Run a proxy in front of a port of loopback."""
    proxy = UnreliableProxy(target, faults, seed)
    proxy.open()
    try:
        yield proxy
    finally:
        proxy.close()
