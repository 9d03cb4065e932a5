"""A process that reads bodies for a server: bodies come in by one pipe, what they hold goes out by another.

It holds no store and no port. It ends when its pipe ends, which is when the server closes it or is gone, however; the
signals that end a server are the server's, which has it finish what is under way. This module owns both ends' frames.
"""

from __future__ import annotations

import gc
import marshal
import os
import pickle
import queue
import signal
import struct
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, Final

from usagetrace.otlp.decode import Decoded
from usagetrace.server.reading import fault, read
from usagetrace.server.refusal import Kind, RefusalError
from usagetrace.store.metrics import MetricPoint
from usagetrace.store.streams import ReceivedPoint

if TYPE_CHECKING:
    from usagetrace.otlp.decode import Decoder

# Signals that a terminal or a service manager sends to every process of a server.
_IGNORED: Final = ("SIGINT", "SIGTERM", "SIGBREAK")
# Lengths of what a body is and of the body; the length of an answer.
_ASKED: Final = struct.Struct("<HQ")
_ANSWERED: Final = struct.Struct("<Q")
_READ, _REFUSED, _FAULT = 0, 1, 2
_POINT: Final = tuple(MetricPoint.__dataclass_fields__)


# --- frames ------------------------------------------------------------------------------------------------


def put_body(stream: IO[bytes], about: tuple[Any, ...], body: bytes) -> None:
    """Write a body and what there is to say of it.

    Raises:
        OSError: Nobody reads it.
    """
    head = marshal.dumps(about)
    stream.write(_ASKED.pack(len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def put_answer(stream: IO[bytes], answer: bytes) -> None:
    """Write an answer.

    Raises:
        OSError: Nobody reads it.
    """
    stream.write(_ANSWERED.pack(len(answer)))
    stream.write(answer)
    stream.flush()


def get_answer(stream: IO[bytes]) -> bytes:
    """Return the next answer.

    Raises:
        EOFError: There is none, or half of one.
        OSError: It can't be read.
    """
    return _exactly(stream, _ANSWERED.unpack(_exactly(stream, _ANSWERED.size))[0])


def _get_body(stream: IO[bytes]) -> tuple[tuple[Any, ...], bytes]:
    head, length = _ASKED.unpack(_exactly(stream, _ASKED.size))
    about = marshal.loads(_exactly(stream, head))  # noqa: S302 -- the server's own words
    return about, _exactly(stream, length)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise EOFError
    return found


# --- answers -----------------------------------------------------------------------------------------------


def pack(size: int, decoded: Decoded) -> bytes:
    """Return what a body holds as bytes: plain values only, which take the other side the least to read.

    Args:
        size: Length of the body once decompressed.
        decoded: What it holds.
    """
    points = [
        (each.stream, each.start_ns, each.time_ns, each.cumulative, tuple([getattr(each.point, f) for f in _POINT]))
        for each in decoded.points
    ]
    said = (_READ, size, decoded.rows, points, decoded.ignored, decoded.rejected, decoded.reasons)
    return marshal.dumps(said)


def unpack(answer: bytes) -> tuple[int, Decoded]:
    """Return what a body holds.

    Raises:
        RefusalError: It could not be read.
    """
    kind, *said = marshal.loads(answer)  # noqa: S302 -- of a process of this server's own
    if kind == _REFUSED:
        raise RefusalError(Kind(*said[0]), said[1])
    if kind == _FAULT:
        raise fault(*said)
    size, rows, points, ignored, rejected, reasons = said
    received = [ReceivedPoint(stream, start, time, total, MetricPoint(*p)) for stream, start, time, total, p in points]
    return size, Decoded(rows, received, ignored, rejected, reasons)


def answer(decoder: Decoder, limit: int, about: tuple[Any, ...], body: bytes) -> bytes:
    """Return the answer to a body, whatever it holds.

    Args:
        decoder: Reads it.
        limit: Bytes of it once decompressed.
        about: Signal, encoding, and whether it is JSON.
        body: The body as it came.
    """
    try:
        return pack(*read(decoder, about[0], body, about[1], about[2], limit))
    except RefusalError as refusal:
        return marshal.dumps((_REFUSED, (refusal.kind.http, refusal.kind.grpc), refusal.message))
    except Exception as error:  # noqa: BLE001 -- a fault of ours costs this request, not the process
        # The server says it, once for all its processes.
        return marshal.dumps((_FAULT, type(error).__name__, _printable(error)))


def _printable(error: Exception) -> str:
    return str(error).encode("utf-8", "replace").decode()


# --- the process -------------------------------------------------------------------------------------------


def main() -> None:
    """Answer bodies until there are no more."""
    for name in _IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    taken, given = _streams()
    try:
        decoder, limit = pickle.loads(_get_body(taken)[1])  # noqa: S301 -- what the server begins with
    except (EOFError, OSError):
        # The server ended before it could say so much.
        os._exit(0)
    # What is here by now stays: it is not to be looked through for garbage.
    gc.freeze()
    bodies: queue.SimpleQueue[tuple[tuple[Any, ...], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(taken, bodies), daemon=True).start()
    try:
        put_answer(given, b"")
        while True:
            about, body = bodies.get()
            said = answer(decoder, limit, about, body)
            del body
            put_answer(given, said)
            del said
    except OSError:
        # The server is gone. Not by way of what is left in the pipe.
        os._exit(0)


def _streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return the pipes, and have nobody else write into them."""
    taken, given = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return taken, given


def _take(stream: IO[bytes], bodies: queue.SimpleQueue[tuple[tuple[Any, ...], bytes]]) -> None:
    """Take bodies; at the end of the pipe, end the process, even while a body is read: nobody waits for it."""
    try:
        while True:
            bodies.put(_get_body(stream))
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    sys.exit("this is part of `usagetrace serve`")
