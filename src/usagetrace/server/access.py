"""Who may send: whoever knows the token; where there is none, whoever is on this machine and says so.

Without a token a server listens on loopback alone. That keeps other machines out, and not a web page that a browser on
this machine shows: its own name may be made to point here. Such a request names a host that is not this machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from usagetrace.server.refusal import MISDIRECTED, UNAUTHORISED, RefusalError

# What a token may be made of, as in RFC 6750, section 2.1.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_CHALLENGE: Final = 'Bearer realm="usagetrace"'


def is_token(text: str) -> bool:
    """Return whether a text can be sent as a bearer token."""
    return _TOKEN.fullmatch(text) is not None


def is_loopback(address: str) -> bool:
    """Return whether an address of IP, in digits, is this machine's own."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def names_this_machine(host: str) -> bool:
    """Return whether a Host header names this machine by a name that nobody else can give to it.

    Args:
        host: The header: a name or an address, with or without a port.
    """
    name = host.strip().lower()
    bracketed = re.fullmatch(r"\[([0-9a-f:.]+)\](:\d+)?", name)
    if bracketed:
        return is_loopback(bracketed[1])
    name = re.sub(r":\d+$", "", name)
    return name in ("localhost", "localhost.") or is_loopback(name)


@dataclass(frozen=True, slots=True)
class Access:
    """The rule of a server.

    Attributes:
        token: What has to be sent; None where nothing has to be.
    """

    token: str | None = None

    def require_host(self, host: str | None) -> None:
        """Refuse a request for another host.

        Raises:
            RefusalError: There is no token, and the request is not for this machine by a name of loopback.
        """
        if self.token is None and (host is None or not names_this_machine(host)):
            raise RefusalError(
                MISDIRECTED, "without a token only requests for localhost, 127.0.0.1 or [::1] are answered"
            )  # fmt: skip

    def knows(self, authorization: str | None) -> bool:
        """Return whether a request comes from somebody who may send.

        Args:
            authorization: The header of HTTP, or the metadata of gRPC, of that name.
        """
        if self.token is None:
            return True
        scheme, _, given = (authorization or "").strip().partition(" ")
        # In a time that tells nothing of where they differ.
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token.encode())
        return scheme.lower() == "bearer" and same

    def require_token(self, authorization: str | None) -> None:
        """Refuse a request of somebody who may not send.

        Raises:
            RefusalError: There is a token, and this is not it.
        """
        if not self.knows(authorization):
            raise RefusalError(
                UNAUTHORISED, "expected the header Authorization: Bearer with this server's token",
                headers=(("WWW-Authenticate", _CHALLENGE),),
            )  # fmt: skip
