"""What an endpoint answered, and what that means for what was sent.

This module knows HTTP statuses and OTLP's response messages, and neither sockets nor settings. Everything that an
endpoint says is cut, made one line, and redacted before it is passed on: it may echo what it was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, Literal

from usagetrace.delivery.backoff import retry_after_seconds
from usagetrace.redaction.engine import Redactor

Kind = Literal["accepted", "retry", "too_large", "refused", "misconfigured", "unreachable"]
# What is wrong, in a word for programs; docs/how-to/check-an-endpoint.md says what each means.
Fault = Literal[
    "", "name", "not_there", "timed_out", "broken_off", "network", "stopped", "proxy", "no_http", "plain_to_tls",
    "tls_to_plain", "grpc", "grpc_to_http", "tls_untrusted", "tls_expired", "tls_host", "tls_client", "tls",
    "unauthorized", "forbidden", "path", "method", "form", "host", "redirect", "html", "busy", "too_large", "refused",
    "server", "nowhere", "settings", "not_installed",
]  # fmt: skip

SIGNALS: Final = ("traces", "metrics", "logs")
# Bytes of an answer that are read; OTLP's are far smaller.
MOST_BYTES: Final = 65_536
# Characters of an endpoint's own words that are passed on.
_MOST_WORDS: Final = 300

# What OTLP's specification names as worth another try, and 408: the endpoint had no patience for a slow network.
_LATER: Final = frozenset((408, 429, 502, 503, 504))
# Statuses that speak of the address, the sender or the form, and never of one event among others.
_SETTINGS: Final[Mapping[int, tuple[Fault, str]]] = {
    401: ("unauthorized", "asks for credentials: set OTEL_EXPORTER_OTLP_HEADERS, as in authorization=Bearer%20..."),
    402: ("forbidden", "asks for payment"),
    403: ("forbidden", "does not allow this sender: check the credentials in OTEL_EXPORTER_OTLP_HEADERS"),
    404: ("path", "has nothing at {path}{hint}"),
    405: ("method", "does not take POST at {path}{hint}"),
    406: ("form", "can't answer in protobuf"),
    407: ("proxy", "is behind a proxy that asks for credentials: put them into the proxy's address in HTTPS_PROXY"),
    410: ("path", "has nothing at {path} any more"),
    411: ("form", "asks for a length, which something on the way took out"),
    415: ("form", "does not take this form: try OTEL_EXPORTER_OTLP_COMPRESSION=none, and see that it takes protobuf"),
    421: ("host", "does not answer to this host's name"),
    426: ("form", "asks for another protocol than HTTP/1.1"),
    431: ("form", "finds the headers too large: check OTEL_EXPORTER_OTLP_HEADERS"),
    451: ("forbidden", "may not answer, by law"),
    501: ("method", "does not know POST: it is no OTLP receiver"),
    505: ("form", "does not speak HTTP/1.1"),
}  # fmt: skip
# How servers say, over plain HTTP, that they expected TLS: Go's and nginx's words.
_WANTS_TLS: Final = re.compile(r"HTTP request (?:was sent )?to (?:an )?HTTPS (?:port|server)", re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_UNSEEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request.

    Attributes:
        kind: What to do: ``accepted``: go on. ``retry``: again, later. ``too_large``: again, in parts. ``refused``:
            something in it is not taken (a status that OTLP wants not to be retried). ``misconfigured``: no request
            will be taken until somebody changes a setting here or there. ``unreachable``: again, later.
        status: The HTTP status; None where no answer came.
        retry_after_s: Seconds that the endpoint asked to wait, or None.
        message: One sentence for people, redacted; empty where all went well. It goes on from the endpoint's name:
            "asks for credentials: ...".
        rejected: Spans, points or records that the endpoint took the request without.
        fault: One word for what is wrong, for programs; empty where nothing is.
        server: What answered, as its ``Server`` header says, redacted.
    """

    kind: Kind
    status: int | None = None
    retry_after_s: float | None = None
    message: str = ""
    rejected: int = 0
    fault: Fault = ""
    server: str = ""


def read_answer(
    signal: str, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float, path: str = ""
) -> Reply:
    """Return what an answer means.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        status: The HTTP status.
        headers: The answer's; names in any case.
        body: The first :data:`MOST_BYTES` of the answer.
        now_s: The present, in seconds since 1970 UTC.
        path: The URL's, that was asked for.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    form = fields.get("content-type", "").partition(";")[0].strip().lower()
    server = _server(fields.get("server", "")[:_MOST_WORDS])
    if 200 <= status < 300:
        return _taken(signal, status, form, body, server)
    if 300 <= status < 400:
        return Reply("misconfigured", status, message=_redirected(fields), fault="redirect", server=server)
    # Packed words were not asked for, and can't be read.
    packed = fields.get("content-encoding", "identity").strip().lower() != "identity"
    said = "" if packed else _explanation(form, body)
    if status in _LATER:
        wait = retry_after_seconds(fields.get("retry-after"), now_s)
        message = _with(f"is busy or away (HTTP {status})", said)
        return Reply("retry", status, wait, message, fault="busy", server=server)
    if status == 413:
        return Reply("too_large", status, message=_with("finds the request too large (HTTP 413)", said),
                     fault="too_large", server=server)  # fmt: skip
    if status == 400 and _WANTS_TLS.search(body[:4096].decode("latin-1")):
        return Reply("misconfigured", status, message=PLAIN_TO_TLS, fault="plain_to_tls", server=server)
    if status in _SETTINGS:
        fault, meaning = _SETTINGS[status]
        meaning = meaning.format(path=path or "this path", hint=_path_hint(path, signal))
        return Reply("misconfigured", status, message=_with(f"{meaning} (HTTP {status})", said), fault=fault,
                     server=server)  # fmt: skip
    kind_of_fault: Fault = "server" if status >= 500 else "refused"
    meaning = "failed" if status >= 500 else "did not take the request"
    return Reply(
        "refused", status, message=_with(f"{meaning} (HTTP {status})", said), fault=kind_of_fault, server=server
    )


PLAIN_TO_TLS: Final = "speaks TLS there, and was spoken to without: write https:// in the endpoint"


def _taken(signal: str, status: int, form: str, body: bytes, server: str) -> Reply:
    if form in ("text/html", "application/xhtml+xml") and body.strip():
        title = words("".join(_TITLE.findall(body.decode("utf-8", "replace"))[:1]))
        message = _with("answered with a page for people, as a login or a proxy does, and is no OTLP receiver", title)
        return Reply("misconfigured", status, message=message, fault="html", server=server)
    rejected, said = _partial(signal, form, body)
    message = ""
    if rejected:
        message = _with(f"took the request, but not {rejected} of it", said)
    elif said:
        message = _with("took all of it, with a remark", said)
    return Reply("accepted", status, message=message, rejected=rejected, server=server)


def _partial(signal: str, form: str, body: bytes) -> tuple[int, str]:
    """Return what a response rejects, and its words; nothing where it can't be read: the status has said it all."""
    if not body or len(body) >= MOST_BYTES:
        return 0, ""
    try:
        if form == "application/json":
            part = json.loads(body).get("partialSuccess") or {}
            number = next((value for name, value in part.items() if name.startswith("rejected")), 0)
            return max(int(number), 0), words(str(part.get("errorMessage", "")))
        partial = _parsed(signal, body).partial_success
        number = next((value for field, value in partial.ListFields() if field.name.startswith("rejected")), 0)
        return max(int(number), 0), words(partial.error_message)
    except Exception:  # noqa: BLE001 -- a foreign body may be anything; the request was taken all the same
        return 0, ""


def collector_module(signal: str, kind: str) -> Any:
    """Return a module of OTLP's service for a signal: ``pb2``, its messages, or ``pb2_grpc``, its stubs."""
    name = {"traces": "trace", "metrics": "metrics", "logs": "logs"}[signal]
    return import_module(f"opentelemetry.proto.collector.{name}.v1.{name}_service_{kind}")


def _parsed(signal: str, body: bytes) -> Any:
    messages = collector_module(signal, "pb2")
    name = next(name for name in vars(messages) if name.startswith("Export") and name.endswith("ServiceResponse"))
    return getattr(messages, name).FromString(body)


def _explanation(form: str, body: bytes) -> str:
    """Return an error's own words: of a google.rpc.Status in either form, a page's title, or the text as it is."""
    if not body:
        return ""
    text = body.decode("utf-8", "replace")
    try:
        if form == "application/json":
            found = json.loads(text)
            return words(str(found.get("message", ""))) if isinstance(found, dict) else ""
        if form in ("application/x-protobuf", "application/protobuf"):
            return words(import_module("google.rpc.status_pb2").Status.FromString(body).message)
    except Exception:  # noqa: BLE001 -- a foreign body may be anything; what it is of, the status says
        return ""
    if form in ("text/html", "application/xhtml+xml"):
        return words("".join(_TITLE.findall(text)[:1]))
    return words(text) if form.startswith("text/") else ""


def _path_hint(path: str, signal: str) -> str:
    """Return what seems to be wrong with a path."""
    end = f"/v1/{signal}"
    doubled = next((other for other in SIGNALS if path.removesuffix(end).rstrip("/").endswith(f"/v1/{other}")), "")
    if path.endswith(end) and doubled:
        return f": {end} is added to the endpoint for all signals, so take /v1/{doubled} out of it"
    if path and not path.endswith(end):
        return f": {end} is missing, for OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT is taken as it is"
    return ": it is no OTLP receiver for HTTP, or has another path before /v1" if path else ""


def _redirected(fields: Mapping[str, str]) -> str:
    from usagetrace.delivery.options import shown

    place = fields.get("location", "")
    where = f" to {words(shown(place))}" if place else ""
    return f"sends elsewhere{where}, which is never followed: set the endpoint to where it is"


def words(text: str) -> str:
    """Return foreign words as one line that may be shown: redacted first, cut afterwards."""
    line = _UNSEEN.sub(" ", text[:MOST_BYTES]).strip()
    if not line:
        return ""
    try:
        safe = Redactor().text(line)
    except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted is not said
        return f"({type(error).__name__})"
    return safe if len(safe) <= _MOST_WORDS else f"{safe[: _MOST_WORDS - 3]}..."


@lru_cache(maxsize=8)
def _server(name: str) -> str:
    """Return a server's name as it may be shown; the same one answers again and again."""
    return words(name)


def _with(sentence: str, said: str) -> str:
    return f"{sentence}: {said}" if said else sentence
