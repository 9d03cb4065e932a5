"""``status --check``: the endpoints that tools here send to are asked, and nobody where the user said no."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.delivery.endpoint_kit import Answer, closed_port, http_endpoint
from usagetrace.delivery.reply import Fault

SECRET = "ghp_" + "e5F6" * 9
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "check-an-endpoint.md"
SHAPES = Path(__file__).parents[2] / "docs" / "reference" / "json-shapes.md"


def test_an_endpoint_that_is_fine(home: Any) -> None:
    """Exit code 0; each signal with its address, as the environment has it, and without the password in it."""
    with http_endpoint() as endpoint:
        home.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint.url.replace("://", f"://ada:{SECRET}@")
        text = home.run("status --check").stdout
        found = home.json("status --check")
    assert text.startswith("Every endpoint answers\n")
    for part in (f"{endpoint.url}/v1/traces", f"{endpoint.url}/v1/metrics", "traces: it answers (HTTP 200, "):
        assert part in text
    assert (found["ok"], found["reason"]) == (True, None)
    assert [(one["signal"], one["ok"], one["fault"]) for one in found["endpoints"]] == [
        ("traces", True, None), ("metrics", True, None)
    ]  # fmt: skip
    assert SECRET not in text + json.dumps(found)
    assert {gzip.decompress(seen.body) for seen in endpoint.seen} == {b""}
    assert all("authorization" in seen.headers for seen in endpoint.seen)


def test_an_endpoint_that_is_not(home: Any) -> None:
    """Exit code 1 as soon as one signal is not taken, with what to change."""
    with http_endpoint(Answer(404)) as endpoint:
        text = home.run(f"status --check --endpoint {endpoint.url}/v1/traces", 1).stdout
    assert text.startswith("Not every endpoint takes what is sent\n")
    assert "traces: it has nothing at /v1/traces/v1/traces: " in text
    found = home.json(f"status --check --endpoint http://127.0.0.1:{closed_port()}", 1)
    assert (found["ok"], {one["fault"] for one in found["endpoints"]}) == (False, {"not_there"})


def test_metrics_that_are_not_sent_are_not_asked_for(home: Any) -> None:
    """Only what these settings send."""
    home.environ["USAGETRACE_METRICS"] = "off"
    with http_endpoint() as endpoint:
        found = home.json(f"status --check --endpoint {endpoint.url}")
    assert [one["signal"] for one in found["endpoints"]] == ["traces"]
    assert [seen.path for seen in endpoint.seen] == ["/v1/traces"]


def test_of_an_outbox_what_it_sends_is_asked_for(home: Any) -> None:
    """Spans and log records: an outbox holds events, and no metrics."""
    home.environ["USAGETRACE_OTLP_DELIVERY"] = "outbox"
    with http_endpoint() as endpoint:
        home.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint.url
        found = home.json("status --check")
    assert [(one["signal"], one["protocol"]) for one in found["endpoints"]] == [
        ("traces", "http/protobuf"), ("logs", "http/protobuf")
    ]  # fmt: skip
    assert len(endpoint.seen) == 2


@pytest.mark.parametrize("no", ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED", "file", "fault"])
def test_where_the_user_said_no_nobody_is_contacted(home: Any, no: str) -> None:
    """Neither what the settings name nor what is typed; the reason is told, and the exit code is 1."""
    if no == "file":
        home.write_settings("[analytics]\nenabled = false\n")
    elif no == "fault":
        home.environ["USAGETRACE_RETENTION_DAYS"] = "soon"
    else:
        home.environ[no] = "true"
    with http_endpoint() as endpoint:
        home.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint.url
        text = home.run("status --check", 1).stdout
        found = home.json(f"status --check --endpoint {endpoint.url}", 1)
    assert endpoint.seen == []
    assert text.startswith("No endpoint was asked\nRecording is off, because ")
    assert (found["ok"], found["endpoints"]) == (False, [])
    assert found["reason"].startswith("recording is off, because ")


def test_nothing_to_ask(home: Any) -> None:
    """Without an endpoint that is said, with how to name one; one that is no URL is a fault."""
    assert "No endpoint is named: set OTEL_EXPORTER_OTLP_ENDPOINT" in home.run("status --check", 1).stdout
    assert "expected an URL such as" in home.run("status --check --endpoint localhost:4318", 1).stdout


def test_an_endpoint_to_ask_wants_the_question(home: Any) -> None:
    """`--endpoint` alone would have no effect."""
    assert "--endpoint says what --check asks" in home.run("status --endpoint http://127.0.0.1:1", 2).stderr


def test_without_the_extra_its_command_is_named(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What sends comes with an extra."""
    for name in [name for name in sys.modules if name.startswith("usagetrace.delivery")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "urllib3", None)
    home.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    assert "pip install 'usagetrace[otlp]'" in home.run("status --check", 1).stderr


def test_the_documented_shape(home: Any) -> None:
    """The second shape of the reference's section on this command."""
    section = SHAPES.read_text("utf-8").partition("\n## status\n")[2].partition("\n## ")[0]
    _, documented = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.S))
    (endpoint,) = documented.pop("endpoints")
    found = home.json(f"status --check --endpoint http://127.0.0.1:{closed_port()}", 1)
    assert {**documented, "endpoints": 0}.keys() == found.keys()
    assert {tuple(endpoint)} == {tuple(one) for one in found["endpoints"]}


def test_the_page_explains_every_fault() -> None:
    """Each word that a program may meet is in the table, and no other."""
    table = PAGE.read_text("utf-8").partition("## The words of JSON")[2]
    words = [word for row in re.findall(r"^\| (`.*?) \|", table, re.M) for word in re.findall(r"`(\w+)`", row)]
    assert sorted(words) == sorted([*get_args(Fault)[1:], "fault"])
