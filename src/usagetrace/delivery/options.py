"""Where each signal is sent and how, by the settings and the standard ``OTEL_EXPORTER_OTLP_*`` variables.

Precedence is the standard's: a signal's own variable, then the one for all signals; an endpoint that code or a
settings file names goes before both, as everywhere in this package. Every fault is told at once, and no message holds
a credential or a path. This module opens no connection.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit, urlunsplit

from usagetrace.config import Settings
from usagetrace.delivery.tls import Certificates
from usagetrace.errors import ConfigurationError

TRACES: Final = "traces"
METRICS: Final = "metrics"
LOGS: Final = "logs"
PROTOCOL: Final = "http/protobuf"
GRPC: Final = "grpc"
# Seconds for one request where nobody says more, and the most that anybody may say: also OTEL_EXPORTER_OTLP_TIMEOUT
# in the milliseconds of other languages.
TIMEOUT_S: Final = 10.0
MOST_TIMEOUT_S: Final = 60.0
_COMPRESSIONS: Final = ("gzip", "deflate", "none")
# RFC 9110, section 5.6.2, and what may stand in a field's value.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What no host's name or number has.
_UNNAMED: Final = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Route:
    """How one signal is sent.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        url: Where to, without credentials.
        headers: What goes with each request, credentials included; names in lower case.
        timeout_s: Seconds for one request, from looking up the name to the answer's last byte.
        compression: ``gzip``, ``deflate`` or ``none``.
        certificates: What to trust, and what to show, where the URL says https.
        protocol: ``http/protobuf``; ``grpc`` only where whoever asked for the route takes that too.
    """

    signal: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float = TIMEOUT_S
    compression: str = "gzip"
    certificates: Certificates = field(default_factory=Certificates, repr=False)
    protocol: str = PROTOCOL


def routes(
    settings: Settings,
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    signals: tuple[str, ...] = (TRACES, LOGS),
    grpc_too: bool = False,
) -> dict[str, Route]:
    """Return how each signal is sent; a signal that somebody said none of, or no address, has no route.

    Args:
        settings: The settings in force.
        endpoint: Base URL that goes before all others, with whatever protocol and exporters the settings name.
        headers: What goes with each request, before what the environment says.
        signals: Those that are wanted.
        grpc_too: Whether a route may be one of gRPC; then the protocol that is set holds for ``endpoint`` as well.

    Raises:
        ConfigurationError: Lists every fault: no endpoint at all, a protocol that is not HTTP, a variable or file
            that can't be read.
    """
    faults: list[str] = []
    found: dict[str, Route] = {}
    for signal in signals:
        said = _Said(settings.environ, signal, faults)
        if endpoint is not None:
            address: _Address | None = _Address(endpoint, said)
        else:
            address = None if said.is_none() else _address(settings, said)
        if address is None:
            continue
        protocol = PROTOCOL
        if grpc_too or endpoint is None:
            protocol = (settings.said_protocol() or address.said.value("PROTOCOL") or PROTOCOL).lower()
            _check_protocol(protocol, address.said, grpc_too=grpc_too)
        route = _route(signal, address, headers or {}, protocol)
        if route is not None:
            found[signal] = route
    if not found and not faults:
        faults.append(_nowhere(settings, signals))
    if faults:
        raise ConfigurationError(tuple(dict.fromkeys(faults)))
    return found


def shown(url: str) -> str:
    """Return an address without user, password and parameters; host, port and path stay, to say where data goes."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(not an URL)"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


class _Said:
    """What the environment says for one signal; a fault in it goes to a list.

    Args:
        environ: The environment.
        signal: The signal's name.
        faults: Collects one sentence for each fault.
    """

    def __init__(self, environ: Mapping[str, str], signal: str, faults: list[str]) -> None:
        self.signal = signal
        self._environ = environ
        self._upper = signal.upper()
        self._faults = faults

    def of(self, signal: str) -> _Said:
        """Return what is said for another signal."""
        return _Said(self._environ, signal, self._faults)

    def name(self, what: str) -> str:
        """Return the variable that says something: the signal's own, or else the general one."""
        own = f"OTEL_EXPORTER_OTLP_{self._upper}_{what}"
        return own if self._environ.get(own, "").strip() else f"OTEL_EXPORTER_OTLP_{what}"

    def own(self, what: str) -> str:
        """Return what the signal's own variable says."""
        return self._environ.get(f"OTEL_EXPORTER_OTLP_{self._upper}_{what}", "").strip()

    def value(self, what: str) -> str:
        """Return what is said, for the signal or for all."""
        return self._environ.get(self.name(what), "").strip()

    def fault(self, what: str, sentence: str) -> None:
        """Note what is wrong with a variable."""
        self._faults.append(f"environment variable {self.name(what)}: {sentence}")

    def complain(self, sentence: str) -> None:
        """Note what is wrong elsewhere."""
        self._faults.append(sentence)

    def is_none(self) -> bool:
        """Return whether somebody said that this signal goes nowhere."""
        return self._environ.get(f"OTEL_{self._upper}_EXPORTER", "").strip().lower() == "none"


@dataclass(frozen=True, slots=True)
class _Address:
    """An URL as somebody wrote it.

    Attributes:
        url: It.
        said: What the environment says of whatever goes there.
        whole: Whether it is a signal's own, path and all, and not the base of several.
    """

    url: str
    said: _Said
    whole: bool = False


def _address(settings: Settings, said: _Said) -> _Address | None:
    """Return where a signal goes by settings and environment; None for nowhere."""
    base = settings.said_endpoint()
    if base is not None:
        return _Address(base, said)
    if said.own("ENDPOINT"):
        return _Address(said.own("ENDPOINT"), said, whole=True)
    if settings.otlp_endpoint:
        return _Address(settings.otlp_endpoint, said)
    return _beside(said)


def _beside(said: _Said) -> _Address | None:
    """Return the place beside the one of another signal, where only that one has an endpoint; None for nowhere.

    Metrics are left out: who names an endpoint for traces alone is sent no metrics anywhere else either.
    """
    for other in (TRACES, LOGS):
        its = said.of(other)
        path, mark, query = its.own("ENDPOINT").partition("?")
        if said.signal != METRICS and path.endswith(f"/v1/{other}"):
            return _Address(f"{path.removesuffix(other)}{said.signal}{mark}{query}", its, whole=True)
    return None


def _check_protocol(protocol: str, said: _Said, *, grpc_too: bool) -> None:
    if protocol == PROTOCOL or (grpc_too and protocol == GRPC):
        return
    said.complain(
        f"the protocol {protocol!r} is set (otlp.protocol, {said.name('PROTOCOL')}), and events that waited are sent "
        f"by {PROTOCOL} alone: set that, with the endpoint's port for HTTP (4318, where gRPC has 4317)"
        if protocol in (GRPC, "http/json")
        else f"the protocol that {said.name('PROTOCOL')} names is unknown: expected {PROTOCOL}"
    )


def _nowhere(settings: Settings, signals: tuple[str, ...]) -> str:
    for signal in signals:
        name = f"OTEL_{signal.upper()}_EXPORTER"
        if settings.environ.get(name, "").strip().lower() == "none":
            return f"environment variable {name}: it says none, so nothing is sent"
    return "no endpoint is named: set OTEL_EXPORTER_OTLP_ENDPOINT, or endpoint under [otlp] in your settings file"


def _route(signal: str, address: _Address, headers: Mapping[str, str], protocol: str) -> Route | None:
    said = address.said
    url = _whole_url(signal, address, protocol)
    if url is None:
        seen = shown(address.url) if "://" in address.url else "without http:// before it"
        said.complain(f"the endpoint ({seen}) can't be used: expected an URL such as http://localhost:4318")
        return None
    timeout_s, compression = _timeout(said), _compression(said)
    certificates = Certificates(said.value("CERTIFICATE"), said.value("CLIENT_CERTIFICATE"), said.value("CLIENT_KEY"))
    for number, (name, value) in enumerate(headers.items(), 1):
        if not _is_field(name, value):
            said.complain(f"header {number}: expected a name and a value that HTTP can carry")
    sent = {
        **_login(urlsplit(address.url).netloc),
        **_headers(said),
        **{name.lower(): value for name, value in headers.items()},
    }
    if url.startswith("https:"):
        for variable, fault in certificates.faults():
            said.fault(variable, fault)
    return Route(signal, url, sent, timeout_s, compression, certificates, protocol)


def _whole_url(signal: str, address: _Address, protocol: str) -> str | None:
    """Return the URL that a signal is sent to, without credentials; None where there is none to be made of it."""
    text = address.url
    if protocol == GRPC:
        # As the standard exporter has it: a scheme says whether TLS is spoken, and without one a variable does.
        plain = address.said.value("INSECURE").lower()
        scheme, _, rest = text.rpartition("://")
        plain_too = plain == "true" if plain else scheme == "http"
        text = f"{'http' if plain_too else 'https'}://{rest}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or port == 0 or _UNNAMED.search(host):
        return None
    place = parts.netloc.rpartition("@")[2]
    if protocol == GRPC:
        return urlunsplit((parts.scheme, place, "", "", ""))
    path = parts.path if address.whole else f"{parts.path.rstrip('/')}/v1/{signal}"
    return urlunsplit((parts.scheme, place, path or "/", parts.query, ""))


def _login(netloc: str) -> dict[str, str]:
    """Return the header for the user and password in an URL."""
    login, at, _host = netloc.rpartition("@")
    if not at:
        return {}
    user, _, password = login.partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return {"authorization": f"Basic {b64encode(pair).decode('ascii')}"}


def _headers(said: _Said) -> dict[str, str]:
    """Return the headers that the environment names, written as the standard has it: ``name=value,name=value``."""
    found: dict[str, str] = {}
    for number, pair in enumerate(said.value("HEADERS").split(","), 1):
        if not pair.strip():
            continue
        name, equals, value = (unquote(part).strip() for part in pair.partition("="))
        if not equals or not _is_field(name, value):
            said.fault("HEADERS", f"entry {number}: expected name=value, with what is special written as in URLs (%20)")
        else:
            found[name.lower()] = value
    return found


def _is_field(name: str, value: str) -> bool:
    return bool(_TOKEN.fullmatch(name)) and not _CONTROL.search(value) and _is_latin(value)


def _is_latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _timeout(said: _Said) -> float:
    text = said.value("TIMEOUT")
    if not text:
        return TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        said.fault("TIMEOUT", "expected a number of seconds above 0")
        return TIMEOUT_S
    return min(seconds, MOST_TIMEOUT_S)


def _compression(said: _Said) -> str:
    word = said.value("COMPRESSION").lower() or "gzip"
    if word not in _COMPRESSIONS:
        said.fault("COMPRESSION", f"expected {' or '.join(_COMPRESSIONS)}")
        return "gzip"
    return word
