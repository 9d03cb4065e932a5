"""A running server: what listens, in which order it starts, and how it ends when it is told to.

The order of the end: no further connection and no further request; what has begun is finished, committed and answered;
then the store is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import uvicorn

from usagetrace.server.access import Access
from usagetrace.server.app import create_app
from usagetrace.server.bounds import Bounds
from usagetrace.server.connections import protocol
from usagetrace.server.listening import listen, shown
from usagetrace.server.receiver import Receiver
from usagetrace.server.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from usagetrace.otlp.decode import Decoder
    from usagetrace.server.grpc_door import GrpcDoor
    from usagetrace.server.tls import Certificate

# How long a thread of Python runs before another one gets its turn, in seconds. By default it is 5 ms, which the thread
# that answers would wait after each of its calls of the system while events are decoded.
_TURN_S: Final = 0.001


class Server:
    """A server of one store; its ports are taken when it is made.

    Args:
        path: The database.
        decoder: Reads what is sent.
        address: Where to listen, in digits.
        port: The port of HTTP; 0 for any that is free.
        grpc_port: The port of gRPC; None for no gRPC.
        access: Who may send.
        certificate: What it shows, for TLS; None for none.
        bounds: How much of anything it takes at once.
        retention_days: Days that events are kept; 0 for ever.
        archive: Folder for Parquet files of what is removed; None for none.
        decoders: Processes that read what is sent; 0 for a thread of this one.

    Raises:
        StoreError: The store can't be written.
        CannotListenError: A port can't be had.
        CertificateError: The certificate can't be used.
    """

    def __init__(
        self,
        path: Path,
        decoder: Decoder,
        *,
        address: str = "127.0.0.1",
        port: int = 4318,
        grpc_port: int | None = None,
        access: Access | None = None,
        certificate: Certificate | None = None,
        bounds: Bounds | None = None,
        retention_days: int = 0,
        archive: Path | None = None,
        decoders: int = 0,
    ) -> None:
        self._access = Access() if access is None else access
        self._certificate = certificate
        if certificate is not None:
            certificate.require()
        self._bounds = Bounds() if bounds is None else bounds
        # The doors have one half of the time, the store the other.
        self.half_s = max(round(self._bounds.stop_s / 2), 1)
        self.receiver = Receiver(path, decoder, self._bounds, processes=decoders)
        self.receiver.require_store()
        self._socket = listen(address, port, "--port")
        self.http = shown(address, self._socket.getsockname()[1])
        self.grpc: str | None = None
        self._door: GrpcDoor | None = None
        if grpc_port is not None:
            self._open_grpc(address, grpc_port)
        self._retention = Retention(path, retention_days, archive)
        self._app = create_app(self.receiver, self._access)
        self._uvicorn: _Uvicorn | None = None
        self._told = False

    @property
    def scheme(self) -> str:
        """The scheme of its URLs."""
        return "http" if self._certificate is None else "https"

    def _open_grpc(self, address: str, port: int) -> None:
        # Imported here: it is large, and a server may do without.
        from usagetrace.server.grpc_door import GrpcDoor

        try:
            self._door = GrpcDoor(self.receiver, self._access, address, port, self._certificate)
        except BaseException:
            self._socket.close()
            raise
        self.grpc = shown(address, self._door.port)

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM, SIGINT or :meth:`stop`; what was received by then is stored and answered.

        Signals are only heard on the main thread.

        Args:
            ready: Called once, when requests are answered.
        """
        sys.setswitchinterval(_TURN_S)
        # It logs what clients send wrong, in several lines.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        shows = self._certificate
        config = uvicorn.Config(
            self._app, http=protocol(self._bounds), ws="none", lifespan="on", interface="asgi3", loop="asyncio",
            ssl_certfile=None if shows is None else shows.certificate, ssl_keyfile=None if shows is None else shows.key,
            log_config=None, access_log=False, proxy_headers=False, server_header=False, workers=1,
            timeout_keep_alive=int(self._bounds.idle_s), timeout_graceful_shutdown=self.half_s,
        )  # fmt: skip
        self._uvicorn = _Uvicorn(config, self, ready)
        if self._told:
            self._uvicorn.tell()
        asyncio.run(self._uvicorn.serve(sockets=[self._socket]))

    def stop(self) -> None:
        """Have :meth:`run` end as a signal does; from any thread."""
        self._told = True
        if self._uvicorn is not None:
            self._uvicorn.tell()

    # --- called from the event loop ------------------------------------------------------------------------

    def begin(self) -> None:
        """Start what stands beside HTTP."""
        if self._door is not None:
            self._door.start()
        self._retention.start()

    def refuse(self) -> None:
        """Take nothing more; what is under way goes on."""
        self.receiver.refuse()
        self._app.state.server.bodies.hurry(self._bounds.last_bodies_s)
        self._retention.stop(0)
        if self._door is not None:
            self._door.stop(self.half_s)

    def close(self) -> None:
        """End what stands beside HTTP."""
        if self._door is not None:
            self._door.close(self.half_s)


class _Uvicorn(uvicorn.Server):
    """uvicorn, with our order of start and end."""

    def __init__(self, config: uvicorn.Config, server: Server, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._server = server
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def tell(self) -> None:
        """Have it end; from any thread, and from a signal."""
        self.should_exit = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            # It may have ended already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)

    async def main_loop(self) -> None:
        """Wait until it is to end; look once a second, and not ten times, at what uvicorn looks at."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._server.begin()
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._server.refuse()
        # The lifespan ends with it: by then all that was received is committed, by gRPC too.
        await super().shutdown(sockets=sockets)
        await asyncio.to_thread(self._server.close)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal; unlike uvicorn's own, do not send it again afterwards: being told to end is no failure."""
        if threading.current_thread() is not threading.main_thread():
            # Nobody else may listen to signals.
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self._told) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        # A second time: now.
        self.force_exit = self.should_exit
        self.tell()
