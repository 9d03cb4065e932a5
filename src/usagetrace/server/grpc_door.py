"""The door of OTLP/gRPC: the three services, on the same receiver as HTTP.

Messages come as bytes and are decoded where those of HTTP are: what is damaged is then told as the caller's fault, and
not as ours. Source: the OTLP specification, "OTLP/gRPC response"; the details of an error as in gRPC's own
``grpc-status-details-bin``.
"""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from usagetrace.guard import guard, said
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, response
from usagetrace.server.listening import CannotListenError, shown
from usagetrace.server.refusal import FAULT, RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from usagetrace.server.access import Access
    from usagetrace.server.receiver import Receiver
    from usagetrace.server.tls import Certificate

_SERVICES: Final = {
    "opentelemetry.proto.collector.trace.v1.TraceService": TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": LOGS,
}
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
# Calls that wait at once; each has a thread, which does nothing but wait.
_CALLS: Final = 64
# Calls at once from which on they are refused without being looked at: what waits for a thread holds its message.
_REFUSED_CALLS: Final = 128
# Calls at once of one connection: a client that has more of them keeps them waiting on its own side.
_STREAMS: Final = 32


class GrpcDoor:
    """Listens for gRPC; the port is taken when it is made.

    Args:
        receiver: Takes what is sent.
        access: Who may send.
        address: Where to listen, in digits.
        port: The port; 0 for any that is free.
        certificate: What it shows, for TLS; None for none.

    Raises:
        CannotListenError: The port is taken, or may not be had.
        CertificateError: The certificate can't be read.
    """

    def __init__(
        self, receiver: Receiver, access: Access, address: str, port: int, certificate: Certificate | None = None
    ) -> None:
        self._receiver = receiver
        self._access = access
        self._ended: threading.Event | None = None
        limit = receiver.bounds.grpc_message
        self._pool = concurrent.futures.ThreadPoolExecutor(_CALLS, thread_name_prefix="usagetrace-grpc")
        self._server = grpc.server(
            self._pool,
            maximum_concurrent_rpcs=_REFUSED_CALLS,
            options=[
                # It would share the port with whoever listens there already.
                ("grpc.so_reuseport", 0),
                # Of the message as it comes, and of what is in it.
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_concurrent_streams", _STREAMS),
            ],
        )
        self._server.add_generic_rpc_handlers([self._service(name, signal) for name, signal in _SERVICES.items()])
        try:
            if certificate is None:
                self.port = self._server.add_insecure_port(shown(address, port))
            else:
                credentials = grpc.ssl_server_credentials([certificate.pair()])
                self.port = self._server.add_secure_port(shown(address, port), credentials)
        except RuntimeError as error:
            self._pool.shutdown()
            raise CannotListenError(
                f"{shown(address, port)}: gRPC can't listen there, most likely because another program does: stop it, "
                "take another port (--grpc-port), or do without (--no-grpc)"
            ) from error

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, seconds: float) -> None:
        """Take no further call; those under way have so many seconds. Returns at once."""
        self._ended = self._server.stop(seconds)

    def close(self, seconds: float) -> None:
        """Wait, at most so many seconds, for the calls under way, and let the threads go."""
        if self._ended is not None:
            self._ended.wait(seconds)
        self._pool.shutdown(wait=False)

    def _service(self, name: str, signal: str) -> grpc.GenericRpcHandler:
        handler = grpc.unary_unary_rpc_method_handler(self._export(signal))
        return grpc.method_handlers_generic_handler(name, {"Export": handler})

    def _export(self, signal: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return self._answer(signal, body, context)
            except RefusalError as refusal:
                refused = refusal
            except Exception as error:  # noqa: BLE001 -- grpc would print its traceback, which may hold what was sent
                guard.note(error)
                refused = RefusalError(FAULT, f"a fault of this server: {type(error).__name__}")
            _abort(context, refused)

        return export

    def _answer(self, signal: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self._access.require_token(metadata.get("authorization"))
        with self._receiver.admission.enter() as ticket:
            ticket.grow(len(body))
            outcome = self._receiver.submit(ticket, signal, body, "identity", json=False).result()
        return response(signal, outcome.rejected, outcome.message, json=False)


def _abort(context: grpc.ServicerContext, refusal: RefusalError) -> NoReturn:
    message = str(said(refusal.message))
    code = _CODES[refusal.kind.grpc]
    if refusal.retry_after_s is not None:
        status = status_pb2.Status(code=refusal.kind.grpc, message=message, details=[_retry_in(refusal.retry_after_s)])
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
    context.abort(code, message)
    raise AssertionError("abort raises")


def _retry_in(seconds: int) -> Any:
    """Return a RetryInfo: without one, exporters take a lack of resources for final."""
    info = error_details_pb2.RetryInfo()
    info.retry_delay.seconds = seconds
    packed = AnyMessage()
    packed.Pack(info)
    return packed
