"""``status`` and ``config``: what is said about recording is what the pipeline does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from click.testing import CliRunner

from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.cli.output import without_secrets
from usagetrace.cli.settings import endpoints, examine, shown_url
from usagetrace.config import declarations, load_settings
from usagetrace.errors import ConfigurationError
from usagetrace.events import Event

NOW = 1_793_534_400_000


def test_status_shows_on_where_and_the_last_events_in_full(home: Any, sample: Any) -> None:
    """A user reads every field of their own newest events."""
    path = home.record(*sample())
    found = home.json("status --last 4")
    assert found["recording"] == {"on": True, "reason": None, "faults": [], "local_file": True}
    assert found["stores"][0] | {"size_bytes": 0} == {
        "path": str(path), "size_bytes": 0, "events": 9, "sampled_away": 0, "oldest": "2026-11-01 07:00:00",
        "newest": "2026-11-01 12:00:00", "problem": None,
        "spool": {
            "path": str(path.parent / "spool"), "segments": 0, "size_bytes": 0, "waiting_events": 0, "waiting_bytes": 0,
            "writers": 0, "lost": 0, "damaged": 0, "problem": None,
        },
        "deliveries": [],
    }  # fmt: skip
    assert found["stores"][0]["size_bytes"] >= path.stat().st_size
    assert found["leaves_this_machine"] == {}
    assert found["retention_days"] == 90
    assert [event["id"] for event in found["last_events"]] == [9, 8, 7, 1]
    assert found["last_events"] == home.json("events --limit 4")["events"]
    assert "artifact_name" in [field["name"] for field in found["fields"]]
    text = home.run("status").stdout
    for part in ("Recording is on", str(path), "Nothing, by these settings", "usagetrace disable", "search", "skill-1"):
        assert part in text


@pytest.mark.parametrize("name", ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED"])
def test_status_names_the_variable_that_says_no(home: Any, name: str) -> None:
    """Off, and why; nothing leaves then, whatever endpoint is set."""
    home.environ |= {name: "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    found = home.json("status")
    assert not found["recording"]["on"]
    assert name in found["recording"]["reason"]
    assert found["leaves_this_machine"] == {}
    assert "Recording is off" in home.run("status").stdout


def test_status_names_the_file_that_says_no(home: Any) -> None:
    """The user's own file, and a project's."""
    path = home.write_settings("[analytics]\nenabled = false\n")
    assert str(path) in home.json("status")["recording"]["reason"]
    path.unlink()
    (home.work / "usagetrace.toml").write_text("[analytics]\nenabled = false\n", "utf-8")
    assert "usagetrace.toml" in home.json("status")["recording"]["reason"]


def test_status_lists_every_tool_and_survives_a_broken_one(home: Any) -> None:
    """Several stores, one of them no database: all are listed, the newest events come from all of them."""
    home.record(Event("deploy", "old", "skill", NOW - 5), service="alpha")
    home.record(Event("deploy", "new", "skill", NOW), service="beta")
    broken = home.store_path("gamma")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"noise" * 300)
    found = home.json("status")
    assert [state["events"] for state in found["stores"]] == [1, 1, 0]
    assert "not an SQLite database" in found["stores"][2]["problem"]
    assert [event["artifact_name"] for event in found["last_events"]] == ["new", "old"]
    assert "can't be read" in home.run("status").stdout


def test_status_creates_nothing(home: Any) -> None:
    """In an empty home it says so and leaves it empty."""
    assert "Nothing recorded yet" in home.run("status").stdout
    assert [path.name for path in home.path.rglob("*")] == ["work"]


ENDPOINTS = list(
    itertools.product(
        [None, "http://a:4318"], [None, "http://traces:1"], [None, "none", "otlp"], ["auto", "off"], [False, True]
    )
)


@pytest.mark.parametrize(("general", "traces", "exporter", "metrics", "from_file"), ENDPOINTS)
def test_what_leaves_is_named(
    home: Any, general: str | None, traces: str | None, exporter: str | None, metrics: str, from_file: bool
) -> None:
    """For each mixture of variables and settings, the signals named are the signals that are sent."""
    if from_file and general:
        home.write_settings(f"[otlp]\nendpoint = '{general}'\n")
    elif general:
        home.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = general
    if traces:
        home.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = traces
    if exporter:
        home.environ["OTEL_TRACES_EXPORTER"] = exporter
    home.environ["USAGETRACE_METRICS"] = metrics
    sent = set()
    if exporter != "none" and (general or traces):
        sent.add("traces")
    if exporter != "none" and general:
        sent.add("logs")
    if metrics != "off" and general:
        sent.add("metrics")
    found = home.json("status")["leaves_this_machine"]
    assert set(found) == sent
    if "traces" in found:
        # The standard exporter prefers the variable of its signal, unless an endpoint is handed to it.
        assert found["traces"] == (general if from_file and general else traces or general)
    assert found == endpoints(examine(home.environ, home.work).settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost:4318", "http://localhost:4318"),
        ("https://10.1.2.3:4318/otlp", "https://10.1.2.3:4318/otlp"),
        ("https://ada:s3cret@host/x?token=abc", "https://***@host/x?***"),
        ("http://[::1", "(not an URL)"),
    ],
)
def test_an_address_is_shown_without_its_secrets(home: Any, url: str, shown: str) -> None:
    """Who reads a screen or a bug report learns where data goes, and no password."""
    assert shown_url(url) == shown


def test_config_shows_each_setting_and_its_source(home: Any) -> None:
    """Every declared setting is there; environment, files and defaults are told apart, also while recording is off."""
    path = home.write_settings("[analytics]\nenabled = false\nretention-days = 30\n")
    home.environ |= {"USAGETRACE_EXIT_TIMEOUT": "2", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:pw@h:1"}
    found = home.json("config")
    rows = {row["name"]: row for row in found["settings"]}
    assert list(rows) == [declared.name for declared in declarations()]
    assert (rows["retention_days"]["value"], rows["retention_days"]["source"]) == (
        30,
        f"{path}: analytics.retention-days",
    )
    assert rows["exit_timeout"]["source"] == "environment variable USAGETRACE_EXIT_TIMEOUT"
    assert (rows["local"]["value"], rows["local"]["source"]) == (True, "default")
    assert rows["enabled"]["value"] is False
    assert "pw" not in rows["otlp_endpoint"]["value"]
    assert not found["recording"]["on"]
    text = home.run("config").stdout
    for declared in declarations():
        assert declared.key in text
        assert declared.help in text


@pytest.mark.parametrize("off", [False, True])
def test_config_check_lists_every_fault_also_while_off(home: Any, off: bool) -> None:
    """Exit code 1, one line a fault; they are those that a program would be told."""
    home.write_settings("[analytics]\nretention-days = -1\nnope = 1\n")
    home.environ["USAGETRACE_EXIT_TIMEOUT"] = "soon"
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environ=home.environ, cwd=home.work)
    if off:
        home.environ["DO_NOT_TRACK"] = "1"
    result = home.run("config --check", code=1)
    assert sorted(result.stderr.splitlines()) == sorted(raised.value.faults)
    assert len(raised.value.faults) == 3
    assert home.json("config --check", code=1)["faults"] == list(examine(home.environ, home.work).faults)


def test_config_check_of_good_settings_is_exit_code_0(home: Any) -> None:
    """No faults, said so."""
    assert "no faults" in home.run("config --check").stdout
    assert home.run("config --check").stderr == ""


def test_a_variable_that_can_not_be_read_is_a_fault(home: Any) -> None:
    """A no that is spelled oddly counts as a no, and is told."""
    home.environ["DO_NOT_TRACK"] = "perhaps"
    assert "DO_NOT_TRACK" in home.run("config --check", code=1).stderr


@pytest.mark.parametrize(
    "text", ["", "[analytics]\nretention-days = 7\n", "[service]\nname = 'x'\n[analytics]\nmetrics = 'on'\n"]
)
def test_what_is_examined_is_what_is_loaded(home: Any, text: str) -> None:
    """Values and sources equal those of a program that starts in the same place."""
    home.write_settings(text)
    home.environ |= {"OTEL_SERVICE_NAME": "tool", "USAGETRACE_DB_PATH": "~/x.db"}
    (home.work / "usagetrace.toml").write_text("[analytics]\nlocal = false\n", "utf-8")
    loaded = load_settings(environ=home.environ, cwd=home.work)
    examined = examine(home.environ, home.work)
    assert examined.settings == loaded
    assert examined.faults == ()


def test_config_shows_the_policy_of_redaction(home: Any) -> None:
    """Mode, keys, allow-list and names of own rules, of all sources joined; values only by number, no hash key."""
    home.write_settings(
        "[redaction]\nmode = 'hash'\nonly = ['query']\nvalues = ['bob@example.com']\nkeys = {query = 'keep'}\n"
        "[[redaction.rules]]\nname = 'ticket'\npattern = 'T-[0-9]+'\n"
    )
    (home.work / "usagetrace.toml").write_text("[redaction.keys]\nquery = 'mask'\nnote = 'drop'\n", "utf-8")
    said = {"keys": {"query": "mask", "note": "drop"}, "only": ["query"], "rules": ["ticket"], "values": 1}
    assert home.json("config")["redaction"] == {"mode": "hash", **said}
    text = home.run("config").stdout
    assert "A finding: hash." in text
    assert "query = mask" in text
    assert "note = drop" in text
    assert "Own rules: 1, ticket." in text
    assert "bob" not in text


def test_config_shows_the_default_of_redaction(home: Any) -> None:
    """Where nobody says anything, what is in force is shown all the same."""
    default = {"mode": "mask", "keys": {}, "only": None, "rules": [], "values": 0}
    assert home.json("config")["redaction"] == default


_TOKEN = "ghp" + "_" + "Abcd1234" * 5


@pytest.mark.parametrize(
    ("line", "secret", "stays"),
    [
        ("--db https://bob:{}@example.org/x status", "hunter2" + "pw", "expected a file, found an address"),
        ("audit --db postgres://bob:{}@10.1.2.3/x", "hunter2" + "pw", "expected a file, found an address"),
        ("--db /no/where/{}/x.db events", _TOKEN, "/no/where/[redacted:gh-token]/x.db"),
        ("status {}", _TOKEN, "unexpected extra argument"),
        ("status password={}", "hunter2" + "pw", "unexpected extra argument"),
        ("redact --file /no/where/{}", _TOKEN, "/no/where/[redacted:gh-token]"),
    ],
)
def test_what_was_typed_is_repeated_without_its_secrets(home: Any, line: str, secret: str, stays: str) -> None:
    """Screens and bug reports show messages; paths and addresses in them stay readable."""
    arguments = line.format(secret).split()
    cli = Cli(environ=home.environ, cwd=home.work, arguments=tuple(arguments))
    result = CliRunner().invoke(app, arguments, prog_name="usagetrace", obj=cli)
    assert secret not in result.output
    assert stays in result.output


@pytest.mark.parametrize(
    "message",
    [
        "redaction.keys.'password': expected one of mask, drop, hash, keep; found 'x'",
        "redaction.rules[0].pattern: password=(\\w+) matches the empty text",
        "otlp.endpoint: http://10.0.0.1:4318 does not answer",
        "/home/bob/api_token: x.db: not an SQLite database: move it away",
    ],
)
def test_what_a_message_needs_stays(message: str) -> None:
    """Names of settings, addresses and paths are no secrets."""
    assert without_secrets(message) == message
