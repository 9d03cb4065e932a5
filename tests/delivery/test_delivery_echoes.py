"""Credentials that an endpoint says back are neither shown nor stored."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tests.support.scripted_otlp import OK, Answer, Request, scripted_server
from usagetrace.config import Settings
from usagetrace.delivery.echoes import secrets_of, without
from usagetrace.delivery.forwarder import Forwarder
from usagetrace.delivery.transport import Transport
from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.deliveries import Deliveries

# No form that redaction could know it by.
KEY = "-".join(("orchard", "Zq7fooBAR"))
NOW = 1_793_534_400_000


def basic(user: str, password: str) -> str:
    """Return the header of a login."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("url", "headers", "said", "shown"),
    [
        ("http://h/v1/traces", {"x-tenant": KEY}, f"no {KEY}", f"no {'*' * len(KEY)}"),
        ("http://h/v1/traces", {"authorization": f"Bearer {KEY}"}, f"not {KEY}!", f"not {'*' * len(KEY)}!"),
        ("http://h/v1/traces", {"authorization": basic("ada", KEY)}, f"ada, {KEY}?", f"ada, {'*' * len(KEY)}?"),
        ("http://h/v1/traces", {"authorization": "Basic %"}, "fine", "fine"),
        (f"http://h/v1/traces?key={KEY}", {}, f"?key={KEY}", f"?key={'*' * len(KEY)}"),
        # Too short to be a credential, and a part of many a word.
        ("http://h/v1/traces", {"x-version": "1"}, "in 10 s", "in 10 s"),
    ],
)
def test_what_was_sent_is_struck_out(url: str, headers: dict[str, str], said: str, shown: str) -> None:
    """Values of headers and parameters, whatever stands around them; the length stays."""
    assert without(said.encode(), secrets_of(url, headers)).decode() == shown


def test_the_longest_goes_first() -> None:
    """A value that another one begins with leaves nothing of that one behind."""
    secrets = secrets_of("http://h", {"x-one": KEY, "x-two": f"{KEY}-and-more"})
    assert without(f"{KEY}-and-more".encode(), secrets) == b"*" * len(f"{KEY}-and-more")


def test_a_key_in_a_refusal_gets_into_no_store(tmp_path: Path) -> None:
    """An endpoint that refuses an event names the key that came with it: neither report nor database has that."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write(
            [Event("deploy", f"a{n}", "skill", NOW + n, duration_ms=1.0, span_id=f"{n + 1:016x}") for n in range(5)]
        )

    def script(request: Request) -> Answer:
        return Answer(400, text=f"a3 is not of tenant {request.headers['x-tenant']}") if "a3" in request.names else OK

    with scripted_server(script) as server:
        transport = Transport.from_settings(Settings(environ={}), endpoint=server.endpoint, headers={"x-tenant": KEY})
        forwarder = Forwarder(path, transport)
        report = forwarder.run_once()
        forwarder.stop()
        forwarder.close()
    with Store(path) as store:
        (aside,) = Deliveries(store, server.endpoint).reasons()
    assert (report.delivered, aside.artifact_name) == (4, "a3")
    assert aside.reason == f"did not take the request (HTTP 400): a3 is not of tenant {'*' * len(KEY)}"
    assert [each.reason for each in report.set_aside] == [aside.reason]
    assert KEY.encode() not in b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
