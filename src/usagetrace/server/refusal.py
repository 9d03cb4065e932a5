"""What can be answered instead of success, once for both doors: the status of HTTP and the code of gRPC.

This module owns the list; how a refusal is written out is each door's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from usagetrace.errors import UsageTraceError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of refusal.

    Attributes:
        http: Status of HTTP.
        grpc: Code of gRPC, which is also the code of a ``google.rpc.Status``.
    """

    http: int
    grpc: int


# The body can't be understood: damaged, cut short, not what its headers say. Sending it again is no use.
MALFORMED: Final = Kind(400, 3)
# No token, or a wrong one.
UNAUTHORISED: Final = Kind(401, 16)
# There is nothing at this path.
UNKNOWN_PATH: Final = Kind(404, 5)
# The path is known, the method is not.
METHOD: Final = Kind(405, 12)
# The body did not come within its time.
SLOW: Final = Kind(408, 4)
# Too many bytes or too many items in one request: smaller ones are taken. Not gRPC's code for a lack of resources,
# which asks exporters to send the same again.
TOO_LARGE: Final = Kind(413, 3)
# A content type or an encoding that is not spoken here.
UNSUPPORTED: Final = Kind(415, 3)
# The request names a host that this server is not: a web page that had its own name point here.
MISDIRECTED: Final = Kind(421, 7)
# More waits than may wait: the same request is taken a little later.
BUSY: Final = Kind(429, 8)
# A fault of ours.
FAULT: Final = Kind(500, 13)
# The store can't be written now, or the server is stopping: the same request is taken later.
UNAVAILABLE: Final = Kind(503, 14)

# After how many seconds the same is sent again to a server that is stopping: another one may be in its place by then.
_STOPPING_S: Final = 5


class RefusalError(UsageTraceError):
    """A request that is not taken.

    Args:
        kind: What is answered.
        message: Why, for whoever sent it; holds nothing of what was sent but what is redacted.
        retry_after_s: Seconds after which the same request may be sent again; None where that is no use.
        headers: Further headers of HTTP.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        retry_after_s: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s
        self.headers = headers

    def alone(self) -> RefusalError:
        """Return the same without where it was raised: that holds what was sent, for as long as anybody holds it."""
        return RefusalError(self.kind, self.message, retry_after_s=self.retry_after_s, headers=self.headers)


def stopping() -> RefusalError:
    """Return what is answered to whoever comes while the server is stopping."""
    return RefusalError(UNAVAILABLE, "the server is stopping", retry_after_s=_STOPPING_S)
