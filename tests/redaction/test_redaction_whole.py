"""Whole values below keys that mean a secret: references stay, places of databases lose only what logs in to them."""

from __future__ import annotations

import json

import pytest

from usagetrace.redaction import Redactor
from usagetrace.redaction.policy import Policy

SECRET = "kX9vQ2m" + "Lp7RtZ4wYb"
KEYS = ("password", "api_key", "app.client_secret", "dsn")
REFERENCES = (
    "${DB_PASSWORD}", "${env:DB_PASSWORD}", "${db.password:-}", "${{ secrets.DB_PASSWORD }}", "{{ name }}",
    "{{ .Values.db.password }}", "{{ name | quote }}", "$(NAME)", "%(name)s", "%DB_PASSWORD%", "$DB_PASSWORD", "<name>",
    "<your api-key>", "***",
)  # fmt: skip
PASSWORDS = (
    "$" + SECRET, "{" + SECRET + "}", "${" + SECRET + "}", "{{" + SECRET + "}}", "<" + SECRET + ">", "$Secret1!",
    "p{a}ss", "${a}" + SECRET, "${DB_PASSWORD:-" + "hunter2}", "{{ x | default('" + "hunter2') }}", "$$", "{}",
    "%" + SECRET, "<" + "hunter2>",
)  # fmt: skip
# Where something is, and what of it is gone.
PLACES = (
    (f"postgres://u:{SECRET}@db.example.org/x", "postgres://[redacted:url-credentials]@db.example.org/x"),
    (f"Server=db;Pwd={SECRET};Connect Timeout=30", "Server=db;Pwd=[redacted:secret];Connect Timeout=30"),
    (f"host=h9 password={SECRET} dbname=x", "host=h9 password=[redacted:secret] dbname=x"),
    ("postgres://db.example.org/x", "postgres://db.example.org/x"),
    ("Server=db;Database=x;Trusted_Connection=True", "Server=db;Database=x;Trusted_Connection=True"),
)
# None of these is told apart well enough.
UNCLEAR = (
    SECRET, f"u:{SECRET}@tcp(h9:3306)/x", "postgres://u:" + "p?s:x/y@h/x", "Server=h;Pwd=" + "two words;Encrypt=yes",
    "Server=h;Pwd=" + "secret", "Server=h;Pwd='" + f"{SECRET};x';Encrypt=yes", "Server=h;Pwd=" + "(Ot)77[Er]5",
)  # fmt: skip
ENGINES = (
    Redactor("/home/ada", "adalove", "zephyr-box"),
    # The same through a policy.
    Redactor("/home/ada", "adalove", "zephyr-box", policy=Policy()),
)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("key", KEYS)
def test_reference_below_a_secret_key_stays(engine: Redactor, key: str) -> None:
    """What only names a secret stays below a key that means one: alone, in lists, mappings and JSON."""
    for value in REFERENCES:
        assert engine.redact(key, value) == value
        assert engine.redact(key, [value, value]) == [value, value]
        assert engine.redact("payload", {key: {"first": value}}) == {key: {"first": value}}
        text = json.dumps({key: value})
        assert engine.redact("payload", text) == text


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", PASSWORDS)
def test_password_that_looks_like_a_reference_goes(engine: Redactor, key: str, value: str) -> None:
    """A password with a dollar sign or braces, and a reference with a default beside it, are masked whole."""
    assert engine.redact(key, value) == "[redacted:secret]"
    assert engine.redact("payload", json.dumps({key: value})) == json.dumps({key: "[redacted:secret]"})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("value", "left"), PLACES)
def test_place_loses_only_its_credentials(engine: Redactor, value: str, left: str) -> None:
    """Below a key that says where a database is, hosts and options stay."""
    for key in ("dsn", "DATABASE_DSN", "connection_string", "ConnectionString", "app.conn_str"):
        assert engine.redact(key, value) == left
        assert engine.redact("payload", {key: value}) == {key: left}
        assert engine.redact("payload", json.dumps({key: value})) == json.dumps({key: left})
        assert engine.redact("note", f'{key} = "{value}"') == f'{key} = "{left}"'


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", UNCLEAR)
def test_unclear_place_goes_whole(engine: Redactor, value: str) -> None:
    """Where it can't be told for sure what of a value logs in, all of it goes."""
    assert engine.redact("dsn", value) == "[redacted:secret]"


@pytest.mark.parametrize("flag", ["-b ", "-b", "-sb ", "--cookie ", "--cookie=", "-b \\\n  "])
@pytest.mark.parametrize("quote", ['"', "'", '\\"', "$'"])
def test_all_cookies_of_curl_go(flag: str, quote: str) -> None:
    """However curl's cookies are quoted, no value of one is left, and what follows stays."""
    close = quote.lstrip("$")
    text = f"curl {flag}{quote}lang=en; sid={SECRET}; x={SECRET}{close} https://h9.example.com/x"
    new = ENGINES[0].text(text)
    assert SECRET not in new
    assert new.endswith(f"{close} https://h9.example.com/x")


@pytest.mark.parametrize("words", [["-b", "{}"], ["-b{}"], ["--cookie", "{}"], ["--cookie={}"], ["-s", "-b", "{}"]])
@pytest.mark.parametrize("cookies", [f"sid={SECRET}", f"lang=en; sid={SECRET}", f"JSESSIONID={SECRET}; t=" + SECRET])
def test_all_cookies_in_arguments_go(words: list[str], cookies: str) -> None:
    """The same as a list of arguments; the address stays."""
    new = ENGINES[0].redact("argv", ["curl", *(word.format(cookies) for word in words), "https://h9.example.com"])
    assert SECRET not in repr(new)
    assert isinstance(new, list)
    assert new[-1] == "https://h9.example.com"


@pytest.mark.parametrize("other", ["https://docs.example.com/guide", "report-2026-03.csv", "v1.2.3", "src/main.py"])
def test_neighbour_of_a_whole_assignment_stays(other: str) -> None:
    """An item behind one that holds its value itself is no value; behind a name alone it is."""
    for first in (f"https://h9.example.com/?token={SECRET}", f"password={SECRET}", f"api_key:{SECRET}"):
        new = ENGINES[0].redact("items", [first, other])
        assert isinstance(new, list)
        assert SECRET not in new[0]
        assert new[1] == other
    for name in ("api_key", "X-Api-Key", "api_key=", "spring:password"):
        assert ENGINES[0].redact("items", [name, SECRET]) == [name, "[redacted:secret]"]


def test_session_of_a_site_is_a_secret_and_the_attribute_is_none() -> None:
    """A cookie's run-together name means a secret; ``session.id`` in two words stays."""
    for key in ("sessionid", "SESSIONID", "csrftoken", "sessiontoken", "accesstoken", "authtoken"):
        assert ENGINES[0].redact(key, SECRET) == "[redacted:secret]"
        assert SECRET not in ENGINES[0].text(f"{key}={SECRET}")
    for key in ("session.id", "session_id", "sessionId", "SESSION_ID"):
        assert ENGINES[0].redact(key, SECRET) == SECRET
