"""A body as it was before it was compressed, never more of it than a bound.

What a sender says of the size is not believed: the bound is on what comes out. Source of the codings: RFC 9110, section
8.4.1; ``deflate`` is the zlib format there, and some senders mean the bare one.
"""

from __future__ import annotations

import zlib
from typing import Final

from usagetrace.server.refusal import MALFORMED, TOO_LARGE, UNSUPPORTED, RefusalError

# Codings that are spoken, as a header lists them.
ACCEPTED: Final = "gzip, deflate, identity"
_GZIP, _ZLIB, _BARE = 31, 15, -15
# Members of one gzip stream: each costs a decompressor, however little is in it.
_MEMBERS: Final = 4096
# What is handed to zlib at once: it copies what it did not need, and at the end of each member that is the rest.
_PIECE: Final = 64 * 1024


def require_known(encoding: str) -> str:
    """Return the coding that a header names, in one form.

    Raises:
        RefusalError: It is not spoken here, or there are several.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return "identity"
    if name in ("gzip", "x-gzip"):
        return "gzip"
    if name == "deflate":
        return "deflate"
    raise RefusalError(
        UNSUPPORTED, f"this Content-Encoding is not spoken; expected one of {ACCEPTED}",
        headers=(("Accept-Encoding", ACCEPTED),),
    )  # fmt: skip


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body as it was before it was compressed.

    Args:
        body: The body as it came.
        encoding: As :func:`require_known` gives it.
        limit: Bytes that may come out, at most.

    Raises:
        RefusalError: More comes out, or the body is damaged or cut short.
    """
    try:
        if encoding == "gzip":
            return _members(body, limit)
        if encoding == "deflate":
            return _deflated(body, limit)
    except zlib.error as error:
        raise RefusalError(MALFORMED, f"the body is no sound {encoding} stream") from error
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _deflated(body: bytes, limit: int) -> bytes:
    # The two bytes that a zlib stream begins with; a bare one may begin with the same by chance.
    if len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0:
        try:
            return _stream(body, _ZLIB, limit)
        except zlib.error:
            return _stream(body, _BARE, limit)
    return _stream(body, _BARE, limit)


def _stream(body: bytes, form: int, limit: int) -> bytes:
    inflater = zlib.decompressobj(form)
    plain = inflater.decompress(body, limit + 1)
    if len(plain) > limit:
        raise _too_large(limit)
    if not inflater.eof:
        raise RefusalError(MALFORMED, "the compressed body ends too early")
    if inflater.unused_data:
        raise RefusalError(MALFORMED, "something follows the end of the compressed body")
    return plain


def _members(body: bytes, limit: int) -> bytes:
    """Return what all members of a gzip stream hold, in their order."""
    parts: list[bytes] = []
    left = limit
    position, members = 0, 0
    while position < len(body) or not members:
        members += 1
        if members > _MEMBERS:
            raise RefusalError(TOO_LARGE, f"the gzip stream has more than {_MEMBERS} members")
        inflater = zlib.decompressobj(_GZIP)
        while not inflater.eof:
            piece = body[position : position + _PIECE]
            if not piece:
                raise RefusalError(MALFORMED, "the compressed body ends too early")
            plain = inflater.decompress(piece, left + 1)
            left -= len(plain)
            if left < 0:
                raise _too_large(limit)
            position += len(piece) - len(inflater.unused_data)
            parts.append(plain)
    return b"".join(parts)


def _too_large(limit: int) -> RefusalError:
    return RefusalError(TOO_LARGE, f"the body is longer than {limit} bytes once decompressed: send smaller batches")
