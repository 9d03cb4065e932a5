"""The certificate that a server shows: checked before anything listens, for HTTP and gRPC alike.

This module reads the two files and opens no socket. Certificates are read once: a new one needs a restart.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from usagetrace.errors import UsageTraceError


class CertificateError(UsageTraceError):
    """A certificate or a key that can't be used; the message says which, and why."""


def _no_password() -> NoReturn:
    # OpenSSL would ask on the terminal.
    raise ValueError("the key has a password: give one without")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, both in PEM.

    Attributes:
        certificate: The file with the certificate, and those between it and its authority behind it.
        key: The file with its key; None where the first file holds it too.
    """

    certificate: Path
    key: Path | None = field(default=None, repr=False)

    def require(self) -> None:
        """See that both can be used.

        Raises:
            CertificateError: One can't be read, is not in PEM, has a password, or they do not belong together.
        """
        for path in (self.certificate, self.key):
            if path is not None:
                self._read(path)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password=_no_password)
        except ValueError as error:
            raise CertificateError(f"{self.key or self.certificate}: {error}") from error
        except OSError as error:
            raise CertificateError(
                f"{self.certificate}: no certificate in PEM with its key; where the key is in a file of its own, name "
                "that with --tls-key"
                if self.key is None
                else f"{self.certificate} and {self.key}: not a certificate and its key in PEM, or they do not belong "
                "together"
            ) from error

    def pair(self) -> tuple[bytes, bytes]:
        """Return the contents of key and certificate, as gRPC takes them."""
        return self._read(self.key or self.certificate), self._read(self.certificate)

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise CertificateError(f"{path}: the file can't be read: {error.strerror}") from error
