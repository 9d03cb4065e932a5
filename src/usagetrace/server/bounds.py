"""How much of anything a server takes at once; each bound has its answer, see :mod:`usagetrace.server.refusal`."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a server.

    Attributes:
        body: Bytes of one body as it is sent.
        decompressed: Bytes of one body once decompressed.
        grpc_message: Bytes of one message of gRPC, compressed or not.
        body_s: Seconds in which a body must have come.
        head_s: Seconds in which a connection must have said what it wants.
        idle_s: Seconds that a connection may rest between two requests; longer than exporters rest between two batches,
            which would find it closed just when they write to it.
        waiting_bytes: Bytes of bodies that wait, together.
        waiting_rows: Events that are read and wait to be written; beyond, no further body is read.
        waiting_requests: Requests that wait, together.
        connections: Connections of HTTP at once; further ones are closed.
        commit_rows: Rows of events after which a transaction takes no further request.
        commit_requests: Requests in one transaction.
        decode_s: Seconds that a process of its own may take to read one body.
        lock_ms: Milliseconds that a transaction waits for another process's lock.
        stop_s: Seconds that what has begun may take once the server is to stop.
        last_bodies_s: Seconds of them that bodies get which are still on their way.
    """

    body: int = 16 * MIB
    decompressed: int = 32 * MIB
    grpc_message: int = 4 * MIB
    body_s: float = 30.0
    head_s: float = 15.0
    idle_s: float = 120.0
    waiting_bytes: int = 64 * MIB
    waiting_rows: int = 32_768
    waiting_requests: int = 256
    connections: int = 512
    commit_rows: int = 8192
    commit_requests: int = 64
    decode_s: float = 30.0
    lock_ms: int = 2000
    stop_s: float = 4.0
    last_bodies_s: float = 1.0
