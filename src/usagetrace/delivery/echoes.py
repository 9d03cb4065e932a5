"""What an endpoint may not say back: the credentials that it was sent.

A receiver, or a proxy before it, may repeat headers or address of a request in its answer, and the answer's words are
shown and stored. Redaction knows a credential by its form; this module knows those of a route by their values.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, urlsplit

# Characters from which on a value is taken for a credential: a shorter one stands in many a word.
_LEAST: Final = 6


def secrets_of(url: str, headers: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return what must not come back of a request, longest first.

    Args:
        url: Its address; the values of its parameters count.
        headers: Those that somebody set; of ``authorization`` the parts count too, and what Basic encodes.
    """
    found = {value for value in _values(url, headers) if len(value) >= _LEAST}
    return tuple(sorted((value.encode("utf-8", "surrogatepass") for value in found), key=len, reverse=True))


def _values(url: str, headers: Mapping[str, str]) -> Iterator[str]:
    for _, value in parse_qsl(urlsplit(url).query):
        yield value
    for name, value in headers.items():
        yield value
        if name.endswith("authorization"):
            scheme, _, credentials = value.partition(" ")
            yield credentials
            if scheme.lower() == "basic":
                # No Basic at all, then: the value as it stands is known.
                with suppress(ValueError):
                    yield from b64decode(credentials).decode("utf-8", "replace").split(":", 1)[1:]


def without(body: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """Return an answer with every secret in it struck out, by as many asterisks: a message in protobuf stays one."""
    for secret in secrets:
        body = body.replace(secret, b"*" * len(secret))
    return body
