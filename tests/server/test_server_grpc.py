"""OTLP by gRPC: the same receiver, and each refusal with its own code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.server.running import PATIENCE_S, Running, locked, running, spans
from usagetrace.server.bounds import Bounds
from usagetrace.server.grpc_door import GrpcDoor
from usagetrace.server.listening import CannotListenError

SERVICE = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"
TRACES = SERVICE.format("trace", "Trace")
TOKEN = "t" * 20


@contextlib.contextmanager
def calling(server: Running, path: str = TRACES, **options: Any) -> Iterator[Any]:
    """Give what calls a service of a server with bytes."""
    with grpc.insecure_channel(server.server.grpc, **options) as channel:
        yield channel.unary_unary(path)


def failed(call: Any, *args: Any, **more: Any) -> Any:
    """Return the error that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, timeout=PATIENCE_S, **more)
    return caught.value


def retry_after(error: Any) -> int | None:
    """Return the seconds that an error asks to wait; None where it says nothing of it."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            status = Status.FromString(value)
            assert status.code == error.code().value[0]
            info = RetryInfo()
            assert status.details[0].Unpack(info)
            return int(info.retry_delay.seconds)
    return None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with both doors, no token, and small bounds."""
    database = tmp_path_factory.mktemp("grpc") / "analytics.db"
    with running(database, grpc=True, bounds=Bounds(grpc_message=50_000, lock_ms=50)) as server:
        yield server


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_spans_are_stored(server: Running, compression: Any) -> None:
    """A request is stored, however it is compressed, and the answer is an empty success."""
    name = f"by {compression.name}"
    with calling(server, compression=compression) as call:
        assert call(spans(name, padding="x" * 500), timeout=PATIENCE_S) == b""
    assert name in server.names()


@pytest.mark.parametrize(("package", "service"), [("trace", "Trace"), ("metrics", "Metrics"), ("logs", "Logs")])
def test_all_signals_are_served(server: Running, package: str, service: str) -> None:
    """Each of the three services takes an empty request."""
    with calling(server, SERVICE.format(package, service)) as call:
        assert call(b"", timeout=PATIENCE_S) == b""


def test_what_came_by_http_is_known(server: Running) -> None:
    """A span that comes by both doors counts once."""
    body = spans("by both")
    with calling(server) as call:
        call(body, timeout=PATIENCE_S)
    assert server.post(body).status == 200
    assert server.names().count("by both") == 1


def test_what_is_rejected_is_told(server: Running) -> None:
    """A span without ids is told in partial_success."""
    with calling(server) as call:
        said = call(spans("bad").replace(b"bad\1\1\1\1\1", b"\0" * 8), timeout=PATIENCE_S)
    assert ExportTraceServiceResponse.FromString(said).partial_success.rejected_spans == 1


def test_a_damaged_message_is_the_callers_fault(server: Running) -> None:
    """What is no protobuf is an invalid argument, not a fault of the server, and nobody is asked to send it again."""
    with calling(server) as call:
        error = failed(call, b"\xff" * 20)
    assert (error.code(), retry_after(error)) == (grpc.StatusCode.INVALID_ARGUMENT, None)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_that_is_too_large(server: Running, compression: Any) -> None:
    """A message beyond the bound, as it comes or once decompressed, is refused, and not to be sent again as it is."""
    with calling(server, compression=compression, options=[("grpc.max_send_message_length", -1)]) as call:
        error = failed(call, b"\0" * 5_000_000)
    assert (error.code(), retry_after(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


def test_a_locked_store_asks_to_come_again(server: Running) -> None:
    """While the store can't be written the answer is UNAVAILABLE, with the time after which to try again."""
    with calling(server) as call, locked(server.database):
        error = failed(call, spans("later"))
    assert (error.code(), retry_after(error)) == (grpc.StatusCode.UNAVAILABLE, 2)


def test_no_error_repeats_a_secret(server: Running) -> None:
    """A message that is a secret does not come back in the error."""
    secret = "ghp_" + "a1B2c3D4" * 5
    with calling(server) as call:
        assert secret not in failed(call, secret.encode()).details()


def test_a_token_is_wanted(tmp_path: Path) -> None:
    """With a token, calls without it end with UNAUTHENTICATED, and those with it are taken."""
    with running(tmp_path / "a.db", token=TOKEN, grpc=True) as server, calling(server) as call:
        for metadata in ([], [("authorization", "Bearer x")], [("authorization", TOKEN)]):
            assert failed(call, spans("x"), metadata=metadata).code() is grpc.StatusCode.UNAUTHENTICATED
        call(spans("let in"), metadata=[("authorization", f"Bearer {TOKEN}")], timeout=PATIENCE_S)
        assert server.names() == ["let in"]


def test_a_busy_server_asks_to_come_again(tmp_path: Path) -> None:
    """More calls than may wait end with RESOURCE_EXHAUSTED and RetryInfo, without which exporters give up."""
    bounds = Bounds(waiting_requests=1)
    with running(tmp_path / "a.db", grpc=True, bounds=bounds) as server, calling(server) as call:
        assert call(b"", timeout=PATIENCE_S) == b""
        with ThreadPoolExecutor(1) as pool, locked(server.database):
            asked = pool.submit(call, spans("first"), timeout=PATIENCE_S)
            while not server.server.receiver.admission.waiting[0]:
                assert not asked.done()
            error = failed(call, spans("second"))
            assert (error.code(), retry_after(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)
            server.server.stop()
        # Stopped in the middle: what was taken is answered.
        assert asked.result(PATIENCE_S) == b""
        server.thread.join(PATIENCE_S)
        assert server.names() == ["first"]


def test_a_taken_port_is_told(server: Running) -> None:
    """A second server does not share the port, and says which option helps."""
    with pytest.raises(CannotListenError, match="--grpc-port"):
        GrpcDoor(server.server.receiver, server.server._access, "127.0.0.1", int(server.server.grpc.rpartition(":")[2]))
