"""Requests that nobody should send, and what each deserves. Bytes on a socket, as any program may write them."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import re
import socket
import time
import zlib
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.server.running import JSON, PROTOBUF, spans

PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")
Chance = random.Random
# What one attack expects: the statuses that are right for it. None: it may be closed without an answer.
Right = frozenset[int | None]

BUSY: Right = frozenset((429,))
TAKEN: Right = frozenset((200,))
MALFORMED: Right = frozenset((400,))


class Line:
    """A connection on which a request is written by hand."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send; a server that has closed says more by what it answered."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def half_close(self) -> None:
        """Say that nothing follows."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def statuses(self, count: int) -> list[int | None]:
        """Return the statuses of so many answers; None for one that does not come."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while len(answers(data)) < count and (more := self._socket.recv(65536)):
                data += more
        found: list[int | None] = list(answers(data))
        return found + [None] * (count - len(found))


def answers(data: bytes) -> list[int]:
    """Return the statuses of the answers in what a server sent, those whose body is there."""
    found = []
    while (end := data.find(b"\r\n\r\n")) >= 0:
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data[:end])
        rest = data[end + 4 :]
        size = int(length[1]) if length else len(rest)
        if len(rest) < size:
            break
        found.append(int(data.split(b" ", 2)[1]))
        data = rest[size:]
    return found


def request(
    body: bytes, path: str = "/v1/traces", kind: str = PROTOBUF, encoding: str = "", length: int | None = None
) -> bytes:
    """Return a request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    if encoding:
        head += f"Content-Encoding: {encoding}\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def one(port: int, data: bytes) -> list[int | None]:
    """Send one request; return its status."""
    with Line(port) as line:
        line.send(data)
        return line.statuses(1)


# --- attacks: each returns the statuses that came, and those that are right --------------------------------

Attack = Callable[[int, Chance], tuple[list[int | None], Right]]
VALID = [spans(*(f"valid-{number}" for number in range(size)), trace=size) for size in (1, 10, 100)]


def valid(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """What it is for."""
    return one(port, request(gzip.compress(chance.choice(VALID)), encoding="gzip")), TAKEN


def damaged(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """A sound request with some bytes changed, cut out or put in."""
    body = bytearray(chance.choice(VALID))
    for _ in range(chance.randint(1, 20)):
        place = chance.randrange(len(body))
        change = chance.randrange(3)
        if change == 0:
            body[place] = chance.randrange(256)
        elif change == 1:
            del body[place : place + chance.randint(1, 8)]
        else:
            body[place:place] = chance.randbytes(chance.randint(1, 8))
    return one(port, request(bytes(body), chance.choice(PATHS))), TAKEN | MALFORMED


def noise(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """Random bytes in any form and coding."""
    body = chance.randbytes(chance.randint(1, 3000))
    kind, encoding = chance.choice((PROTOBUF, JSON)), chance.choice(("", "gzip", "deflate"))
    return one(port, request(body, chance.choice(PATHS), kind, encoding)), MALFORMED


def bomb(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """200 MB in 200 kB, or, what is in the bound and no request, 30 MB of zeros in 30 kB."""
    encoding, body = chance.choice(BOMBS)
    return one(port, request(body, encoding=encoding)), frozenset((413,))


def _bombs() -> list[tuple[str, bytes]]:
    zeros = bytes(1_000_000)
    inner = zlib.compressobj(9)
    deflated = b"".join(inner.compress(zeros) for _ in range(200)) + inner.flush()
    return [("gzip", gzip.compress(zeros) * 200), ("deflate", deflated), ("gzip", gzip.compress(b"") * 200_000)]


BOMBS = _bombs()


def full(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """30 MB that are allowed and hold nothing that can be read."""
    return one(port, request(FULL, encoding="gzip")), MALFORMED | BUSY


FULL = gzip.compress(bytes(30_000_000))


def many_attributes(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """A span with 100,000 attributes, in protobuf or JSON: its event has those that there is room for."""
    if chance.random() < 0.3:
        pairs = [{"key": f"usage.metadata.{n}", "value": {"intValue": n}} for n in range(100_000)]
        span = {"name": "deploy", "traceId": "a" * 32, "spanId": "b" * 16, "attributes": pairs}
        body = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "usagetrace"}, "spans": [span]}]}]}
        return one(port, request(json.dumps(body).encode(), kind=JSON)), TAKEN | BUSY
    return one(port, request(MANY)), TAKEN | BUSY


def _many() -> bytes:
    sent = ExportTraceServiceRequest.FromString(spans("many"))
    span = sent.resource_spans[0].scope_spans[0].spans[0]
    for number in range(100_000):
        pair = span.attributes.add()
        pair.key = f"usage.metadata.key{number}"
        pair.value.string_value = f"value {number}"
    return bytes(sent.SerializeToString())


MANY = _many()


def too_many(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """More spans than a request may have."""
    return one(port, request(TOO_MANY, encoding="gzip")), frozenset((413,)) | BUSY


TOO_MANY = gzip.compress(spans("s") * 100_001, compresslevel=1)


def large(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """Very many spans, all sound, in a small body."""
    return one(port, request(LARGE, encoding="gzip")), TAKEN | BUSY


LARGE = gzip.compress(spans(*(f"large{number:06d}" for number in range(50_000)), padding="x" * 200), compresslevel=1)


def deep(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """Values in values in values."""
    depth = chance.choice((50, 90, 200, 5000))
    if chance.random() < 0.5:
        value = '{"arrayValue":{"values":[' * depth + '{"intValue":1}' + "]}}" * depth
        span = f'{{"name":"x","attributes":[{{"key":"usage.metadata.x","value":{value}}}]}}'
        body = f'{{"resourceSpans":[{{"scopeSpans":[{{"scope":{{"name":"usagetrace"}},"spans":[{span}]}}]}}]}}'
        return one(port, request(body.encode(), kind=JSON)), TAKEN | MALFORMED
    value_bytes = b""
    for _ in range(depth):
        # A value that is an array of one value.
        value_bytes = _field(5, _field(1, value_bytes))
    span_bytes = ONE_SPAN + _field(9, _field(1, b"usage.metadata.deep") + _field(2, value_bytes))
    scope = _field(1, _field(1, b"usagetrace"))
    return one(port, request(_field(1, _field(2, scope + _field(2, span_bytes))))), TAKEN | MALFORMED


ONE_SPAN = (
    ExportTraceServiceRequest.FromString(spans("deep")).resource_spans[0].scope_spans[0].spans[0].SerializeToString()
)


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that has a length."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2]) + bytes(length) + content


def wrong_length(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """A body that is longer than it says, or shorter, or whose length is no number."""
    body = chance.choice(VALID)
    with Line(port) as line:
        if chance.random() < 0.4:
            line.send(request(body, length=len(body) + chance.randint(1, 99999)))
            line.half_close()
            return line.statuses(1), frozenset((None,))
        if chance.random() < 0.5:
            line.send(request(body, length=chance.choice((-1, "x", "1, 2", "9" * 30))))  # type: ignore[arg-type]
            return line.statuses(1), MALFORMED | frozenset((413,))
        line.send(request(body, length=chance.randrange(len(body))))
        line.half_close()
        # What is left is taken for the next request, and is none.
        return line.statuses(2), TAKEN | MALFORMED | frozenset((None,))


def chunks(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """A body in chunks, sound or not."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
    body = chance.choice(VALID)
    cut = chance.randrange(len(body))
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:cut], body[cut:]) if piece)
    sound = chance.random() < 0.5
    end = b"0\r\n\r\n" if sound else chance.choice((b"zz\r\n", b"-1\r\n\r\n", b"ffffffffffffffffffff\r\n"))
    with Line(port) as line:
        line.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + end)
        if not sound:
            line.half_close()
        return line.statuses(1), TAKEN if sound else MALFORMED | frozenset((None,))


def pipelined(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """Many requests without waiting for an answer, some of them damaged."""
    bodies = [chance.choice((VALID[0], VALID[1], b"\xff\xff")) for _ in range(30)]
    with Line(port) as line:
        line.send(b"".join(map(request, bodies)))
        found = line.statuses(len(bodies))
    expected = [200 if body in VALID else 400 for body in bodies]
    return [None] if found != expected else [200], TAKEN


def heads(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """Heads that are too long, no head at all, or of another protocol."""
    head = chance.choice((
        b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01" + chance.randbytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        chance.randbytes(300).replace(b"\n", b""),
        b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/traces HTTP/9.9\r\n\r\n",
    ))  # fmt: skip
    with Line(port) as line:
        line.send(head)
        line.half_close()
        # A head without a host is one, and is for nobody here.
        return line.statuses(1), MALFORMED | frozenset((421, None))


def elsewhere(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """Paths, methods, types and codings that there are not."""
    body = VALID[0]
    data, status = chance.choice((
        (request(body, "/v1/" + "x" * chance.randint(0, 2000)), 404),
        (request(body, "/v1/%2e%2e/%ff%00"), 404),
        (request(body).replace(b"POST", b"DELETE", 1), 405),
        (request(body, kind="text/" + "x" * chance.randint(1, 2000)), 415),
        (request(body, encoding="x" * chance.randint(1, 2000)), 415),
        (request(body).replace(b"localhost", b"evil.example", 1), 421),
    ))  # fmt: skip
    return one(port, data), frozenset((status,))


def slow(port: int, chance: Chance) -> tuple[list[int | None], Right]:
    """A body that comes a byte at a time, and is given up."""
    with Line(port) as line:
        line.send(request(b"", length=1000))
        for _ in range(10):
            line.send(b"\0")
            time.sleep(0.02)
    return [None], frozenset((None,))


LIGHT: tuple[Attack, ...] = (
    valid, damaged, noise, deep, wrong_length, chunks, pipelined, heads, elsewhere, slow,
)  # fmt: skip
# Each keeps the server at work for a second: rarer, or nothing else would get its turn.
HEAVY: tuple[Attack, ...] = (bomb, full, many_attributes, too_many, large)
