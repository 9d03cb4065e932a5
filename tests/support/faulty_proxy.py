"""A TCP proxy that delays what it passes on, and now and then drops a connection in the middle of it.

It knows nothing of what it carries: TLS goes through it, and both ends see a connection that breaks.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator

_CHUNK = 65536


class FaultyProxy:
    """Where to connect, and what became of the connections.

    Args:
        target: Port of loopback that it passes everything on to.
        delay_s: What it waits at most before it passes a chunk on.
        drop: How likely it is at each chunk that both sides are cut.
        seed: Decides about both.
    """

    def __init__(self, target: int, delay_s: float, drop: float, seed: int) -> None:
        self._target = target
        self._delay_s = delay_s
        self._drop = drop
        self._chance = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port = int(self._server.getsockname()[1])
        self.connections = 0
        self.dropped = 0

    def open(self) -> None:
        """Take connections."""
        self._server.settimeout(0.1)
        self._spawn(self._accept)

    def close(self) -> None:
        """Cut all connections and end."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._spawn(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(30)
            with socket.create_connection(("127.0.0.1", self._target), timeout=30) as server:
                self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with selectors.DefaultSelector() as ready:
            for side in other:
                ready.register(side, selectors.EVENT_READ)
            while not self._stopped.is_set():
                for key, _ in ready.select(0.1):
                    side = key.fileobj
                    assert isinstance(side, socket.socket)
                    chunk = side.recv(_CHUNK)
                    if not chunk:
                        return
                    time.sleep(self._chance.uniform(0, self._delay_s))
                    if self._chance.random() < self._drop:
                        self.dropped += 1
                        return
                    other[side].sendall(chunk)


@contextlib.contextmanager
def faulty_proxy(target: int, *, delay_s: float, drop: float, seed: int) -> Iterator[FaultyProxy]:
    """Run a proxy in front of a port."""
    proxy = FaultyProxy(target, delay_s, drop, seed)
    proxy.open()
    try:
        yield proxy
    finally:
        proxy.close()
