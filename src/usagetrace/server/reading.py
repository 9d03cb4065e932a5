"""What a body holds: decompressed, read, redacted; what can't be read is refused.

This module owns what each decoder does with one body, in whichever process it is. Where that is, the others say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from usagetrace.guard import warn_once
from usagetrace.otlp.decode import MalformedError, TooManyError
from usagetrace.server.compression import decompress
from usagetrace.server.refusal import FAULT, MALFORMED, TOO_LARGE, RefusalError

if TYPE_CHECKING:
    from usagetrace.otlp.decode import Decoded, Decoder


class Reader(Protocol):
    """Reads bodies, one after the other; it belongs to one thread, but for the last three methods."""

    @property
    def rest_s(self) -> float | None:
        """Seconds after which it wants to look after itself where nothing came; None where it needs not."""

    def start(self) -> None:
        """Make ready."""

    def look(self) -> None:
        """See that it is ready still."""

    def read(self, signal: str, body: bytes, encoding: str, *, json: bool) -> tuple[int, Decoded]:
        """Return how long a body is once decompressed, and what it holds.

        Raises:
            RefusalError: It can't be read.
        """
        ...

    def trouble(self) -> str | None:
        """Return why it can't read now; None where it can."""

    def watch(self) -> None:
        """End what takes longer than it may; from any thread."""

    def end(self) -> None:
        """Let it go, whatever it does just now; from any thread."""


class Here:
    """Reads in this process.

    Args:
        decoder: Reads bodies.
        limit: Bytes of one body once decompressed.
    """

    rest_s: Final = None

    def __init__(self, decoder: Decoder, limit: int) -> None:
        self._decoder = decoder
        self._limit = limit

    def start(self) -> None:
        """Do nothing: it is ready."""

    def look(self) -> None:
        """Do nothing: it stays so."""

    def read(self, signal: str, body: bytes, encoding: str, *, json: bool) -> tuple[int, Decoded]:
        """Return how long a body is once decompressed, and what it holds. See :class:`Reader`."""
        return read(self._decoder, signal, body, encoding, json, self._limit)

    def trouble(self) -> str | None:
        """Return None."""
        return None

    def watch(self) -> None:
        """Do nothing: what a body may hold bounds how long it takes."""

    def end(self) -> None:
        """Do nothing: a thread ends by itself."""


def read(decoder: Decoder, signal: str, body: bytes, encoding: str, json: bool, limit: int) -> tuple[int, Decoded]:
    """Return how long a body is once decompressed, and what it holds.

    Args:
        decoder: Reads it.
        signal: ``traces``, ``metrics`` or ``logs``.
        body: The body as it came.
        encoding: How it is compressed.
        json: Whether it is JSON rather than protobuf.
        limit: Bytes of it once decompressed.

    Raises:
        RefusalError: It can't be read.
    """
    plain = decompress(body, encoding, limit)
    try:
        return len(plain), decoder.decode(signal, plain, json=json)
    except MalformedError as error:
        raise RefusalError(MALFORMED, str(error)) from error
    except TooManyError as error:
        raise RefusalError(TOO_LARGE, str(error)) from error


def fault(kind: str, said: object) -> RefusalError:
    """Return what is answered where a fault of ours kept a body from being read, and say so once.

    Args:
        kind: The name of the exception.
        said: What it says.
    """
    warn_once(
        f"server:decode:{kind}",
        "a request could not be read and was refused: %s; please report it with what sent it",
        said,
    )
    return RefusalError(FAULT, f"it could not be read: {kind}")
