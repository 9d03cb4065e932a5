"""What to trust and what to show where an endpoint is spoken to by TLS."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM; an empty text for none.

    Attributes:
        trusted: Whom to trust, instead of the authorities that the system and ``certifi`` know.
        shown: What to show to the endpoint, where it asks.
        key: The key of that; none where the file that is shown holds it too.
    """

    trusted: str = ""
    shown: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """Return a context that checks the endpoint's certificate and name.

        Raises:
            OSError: A file can't be read, or is not what it should be.
            ValueError: The key has a password.
        """
        if self.trusted:
            context = _trusting(self.trusted)
        else:
            context = ssl.create_default_context()
            _trust_certifi(context)
        self._show(context)
        return context

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what can't be used: the last part of the variable's name, and a sentence."""
        for variable, path in (
            ("CERTIFICATE", self.trusted),
            ("CLIENT_CERTIFICATE", self.shown),
            ("CLIENT_KEY", self.key),
        ):
            problem = _unreadable(path) if path else ""
            if problem:
                yield variable, problem
                return
        if self.key and not self.shown:
            yield (
                "CLIENT_KEY",
                "there is no certificate that it is the key of: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            )
            return
        try:
            if self.trusted:
                _trusting(self.trusted)
        except (OSError, ValueError):
            yield "CERTIFICATE", "the file holds no certificate in PEM"
            return
        try:
            # Without the system's authorities, which take long to read.
            self._show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        except ValueError as error:
            yield "CLIENT_KEY" if self.key else "CLIENT_CERTIFICATE", str(error)
        except OSError:
            yield "CLIENT_CERTIFICATE", "certificate and key are not in PEM, or do not belong together"

    def _show(self, context: ssl.SSLContext) -> None:
        if self.shown:
            context.load_cert_chain(self.shown, self.key or None, password=_no_password)


def _trusting(trusted: str) -> ssl.SSLContext:
    """Return a context that trusts what a file, or a directory of files, says and nobody else."""
    folder = os.path.isdir(trusted)
    return ssl.create_default_context(cafile=None if folder else trusted, capath=trusted if folder else None)


def _trust_certifi(context: ssl.SSLContext) -> None:
    """Trust what the standard exporters trust as well; it comes with them."""
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())


def _unreadable(path: str) -> str:
    try:
        with open(path, "rb"):
            return ""
    except IsADirectoryError:
        return ""
    except OSError as error:
        return f"the file can't be read: {error.strerror}"


def _no_password() -> str:
    # Without this OpenSSL asks for it on the terminal, and waits.
    raise ValueError("the key has a password: give one without, or an endpoint that asks for none")
