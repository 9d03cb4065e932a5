"""What an endpoint is told of the machine and the program: a few attributes, each of which can be switched off."""

from __future__ import annotations

import platform
import socket
import sys
import time
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from usagetrace import environment, providers, redaction
from usagetrace.config import Settings, load_settings
from usagetrace.redaction.carriers import CarrierCache

ALL = ("version", "os", "arch", "locale", "timezone")
NAMES = {
    "version": {"service.version"},
    "os": {"os.type", "os.version"},
    "arch": {"host.arch"},
    "locale": {"usage.locale"},
    "timezone": {"usage.timezone.offset"},
}
SDK = {"telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version", "service.name"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is known."""
    monkeypatch.setenv("LC_ALL", "de_AT.UTF-8")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "release", lambda: "6.18.44-custom-build-of-ada")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def settings(*parts: str, **more: Any) -> Settings:
    """Return settings that allow these parts."""
    return Settings(service_name="shelf", service_version="1.2.0", environment=parts, **more)


@pytest.mark.parametrize("off", [None, *ALL])
def test_each_can_be_switched_off(off: str | None) -> None:
    """All of them stand on the resource, under standard names where there are some; one that is off does not."""
    allowed = [part for part in ALL if part != off]
    resource = providers._resource(settings(*allowed))
    expected = SDK.union(*(NAMES[part] for part in allowed))
    assert set(resource.attributes) == expected


def test_none_is_none() -> None:
    """Nothing but the service's name and the SDK's own is told."""
    assert set(providers._resource(settings()).attributes) == SDK


def test_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of versions, kinds, language and region, minutes ahead of UTC: nothing that somebody made up."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    if hasattr(time, "tzset"):
        time.tzset()
    try:
        found = environment.attributes(settings(*ALL))
    finally:
        monkeypatch.delenv("TZ")
        if hasattr(time, "tzset"):
            time.tzset()
    assert found == {
        "service.version": "1.2.0", "os.type": "linux", "os.version": "6.18.44", "host.arch": "amd64",
        "usage.locale": "de-AT", "usage.timezone.offset": 330,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("en_US.UTF-8", "en-US"), ("C.UTF-8", None), ("POSIX", None), ("C", None), ("zh_Hant_TW", "zh-Hant-TW"),
        ("es_419", "es-419"), ("sr_RS@latin", "sr-RS"), ("eo", "eo"), ("ada@example.org", None), ("/home/ada", None),
        ("english", None), ("de_Ada-Lovelace", None),
    ],
)  # fmt: skip
def test_locales(monkeypatch: pytest.MonkeyPatch, said: str, expected: str | None) -> None:
    """Language, script and region; whatever else stands in the variable is not told."""
    monkeypatch.setenv("LC_ALL", said)
    assert environment.attributes(settings("locale")).get("usage.locale") == expected


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("aarch64", "arm64"), ("AMD64", "amd64"), ("armv7l", "arm32"), ("i686", "x86"), ("ppc64le", "ppc64"),
        ("", None), ("adas-own", None),
    ],
)  # fmt: skip
def test_processors(monkeypatch: pytest.MonkeyPatch, machine: str, expected: str | None) -> None:
    """The conventions' words; a kind that is not known is not told."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert environment.attributes(settings("arch")).get("host.arch") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("darwin", "darwin"), ("win32", "windows"), ("freebsd14", "freebsd"), ("sunos5", "solaris"), ("aix", "aix")],
)
def test_systems(monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    """The conventions' words for what Python calls them."""
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.2.1", ("", "", ""), ""))
    monkeypatch.setattr(platform, "version", lambda: "10.0.20348")
    found = environment.attributes(settings("os"))
    assert found["os.type"] == expected
    assert found["os.version"] == {"darwin": "14.2.1", "win32": "10.0.20348"}.get(name, "6.18.44")


def test_redaction_lets_them_through() -> None:
    """What leaves has them as they are; a host's name beside them does not leave."""
    told = providers._resource(settings(*ALL))
    cache = CarrierCache(redaction.default_redactor())
    assert cache.resource(told) is told
    host = socket.gethostname()
    redacted = cache.resource(Resource({**told.attributes, "host.name": host}))
    assert redacted.attributes["host.name"] != host
    assert {key: value for key, value in redacted.attributes.items() if key != "host.name"} == dict(told.attributes)


def test_what_somebody_says_in_the_standard_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine; the tool's version is what the settings say."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "os.version=7,service.version=0,deployment.environment.name=ci")
    found = providers._resource(settings(*ALL)).attributes
    assert (found["os.version"], found["service.version"], found["deployment.environment.name"]) == ("7", "1.2.0", "ci")


@pytest.mark.parametrize(("said", "expected"), [("none", ()), ("os,arch", ("os", "arch")), (None, ALL)])
def test_the_setting(monkeypatch: pytest.MonkeyPatch, said: str | None, expected: tuple[str, ...]) -> None:
    """``analytics.environment`` names what is told; all of it by default."""
    if said is not None:
        monkeypatch.setenv("USAGETRACE_ENVIRONMENT", said)
    assert load_settings().environment == expected
