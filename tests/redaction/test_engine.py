"""Laws of the engine: idempotent, structure kept, input never changed, no planted secret survives, linear time."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.errors import RedactionError
from usagetrace.redaction import Redactor, default_redactor, redact
from usagetrace.redaction.engine import DEPTH_LIMIT, SEEN_LIMIT

ENGINE = Redactor(home="/home/ada", user_name="ada", host_name="ada-thinkpad")
SECRET = "ghp" + "_" + "Planted9" * 5

# What st.text() takes by itself, said so that hypothesis makes no table of the codec: that takes a second a process.
ANY = st.characters(exclude_categories=["Cs"])
texts = st.text(ANY, max_size=60) | st.text(alphabet="/\\:@=.-_ '\"[]{}ab01~", max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=20)
keys = st.text(ANY, min_size=1, max_size=12) | st.sampled_from(["path", "token_count", "name", "http.url", "password"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4) | st.tuples(inner),
    max_leaves=8,
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["deploy", "canvas", "a b", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60)
@given(keys, values)
def test_redacting_twice_is_redacting_once(key: str, value: object) -> None:
    """A redacted value is left alone by a second pass, and the input is not changed by the first."""
    before = copy.deepcopy(value)
    once = ENGINE.redact(key, value)
    assert before == value
    assert once == ENGINE.redact(key, once)


@given(plain)
def test_harmless_values_come_back_as_the_same_object(value: object) -> None:
    """Nothing private in it: the very same object, types and structure untouched."""
    assert ENGINE.redact("usage.metadata.x", value) is value


def plant(value: object, where: list[int]) -> object:
    """Return a value with the secret beside what it holds, at a depth chosen by numbers."""
    for choice in where:
        forms: list[Any] = [[value], {"k": value}, (1, value), json.dumps({"j": value}, default=str), {"a": [value, 2]}]
        value = forms[choice % len(forms)]
    return value


@given(st.lists(st.integers(0, 4), max_size=6), st.sampled_from(["{}", "x {} y", "令牌{}。", "key='{}'", "/srv/{}/x"]))
def test_no_planted_secret_survives_at_any_depth(where: list[int], around: str) -> None:
    """Wherever a secret lies in a value, JSON inside JSON included, it is gone from the result."""
    assert "Planted9" not in repr(ENGINE.redact("x", plant(around.format(SECRET), where)))


@given(st.lists(st.integers(0, 4), max_size=5))
def test_everything_below_a_secret_key_is_masked(where: list[int]) -> None:
    """A key that means a secret masks texts of any shape below it, at any depth."""
    assert "plainword" not in repr(ENGINE.redact("db.password", plant("plainword", where)))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("password", "hunter2", "[redacted:secret]"),
        ("password", b"hunter2", b"[redacted:secret]"),
        ("password", None, None),
        ("password", True, True),
        ("password", "", ""),
        ("password", 12345678, "[redacted:secret]"),
        ("tokens", 1500, 1500),
        ("token_count", 15, 15),
        ("user", 1001, 1001),
        ("phone", 491701234567, "[redacted:person]"),
        ("credentials", {"a": ["x", 1], "ok": True}, {"a": ["[redacted:secret]"] * 2, "ok": True}),
        ("x", (1, 1.0, True, None), (1, 1.0, True, None)),
        ("argv", ["t", "--password", "abc", "src/x"], ["t", "--password", "[redacted:secret]", "src/x"]),
        ("argv", ["t", "--token-count", "5"], ["t", "--token-count", "5"]),
        ("x", '{"pin": 1234, "n": 1.50, "ok": [true]}', '{"pin": "[redacted:secret]", "n": 1.50, "ok": [true]}'),
        ("x", '{"a":{"api_key":["q","w"]}}', '{"a":{"api_key":["[redacted:secret]","[redacted:secret]"]}}'),
        ("x", "ada and Ada, not adam or canada", "[redacted:user] and [redacted:user], not adam or canada"),
        ("x", "ssh ADA-THINKPAD now", "ssh [redacted:host] now"),
        ("app.version", "2.0.1.5", "2.0.1.5"),
        ("x", "10.20.30.40", "[redacted:ip]"),
        ("x", "ssh bob@10.20.30.40", "ssh bob@[redacted:ip]"),
        ("x", "jwt vs session tokens: which", "jwt vs session tokens: which"),
        ("x", "usage: [--token TOKEN] [--password PASSWORD]", "usage: [--token TOKEN] [--password PASSWORD]"),
        ("x", bytearray(b"/home/ada/x"), bytearray(b"~/x")),
        ("x", PurePosixPath("/home/ada/x"), "~/x"),
        ("x", {"/home/ada/k": 1}, {"~/k": 1}),
        ("x", {"a" + "@" + "b.de": 1, "c" + "@" + "d.de": 2}, {"[redacted:email]": 1, "[redacted:email]#2": 2}),
    ],
)
def test_values_by_key_and_type(key: str, value: object, expected: object) -> None:
    """Types and structure survive; only what is private is replaced."""
    result = ENGINE.redact(key, value)
    assert expected == result
    assert type(expected) is type(result)


@pytest.mark.parametrize("name", ["root", "user", "app", "admin", "localhost", "deploy", "vm", "me", "42"])
def test_common_names_are_not_masked_as_words(name: str) -> None:
    """A user or host whose name is an ordinary word leaves harmless texts whole."""
    engine = Redactor(home="", user_name=name, host_name=name)
    text = f"the {name} of it"
    assert engine.text(text) is text


def test_equal_numbers_of_other_types_are_not_mixed_up() -> None:
    """1, True and 1.0 are equal and still come back as what they were, in any order."""
    for value in (1, True, 1.0, 0, False, 0.0):
        assert ENGINE.redact("n", value) is value


def test_attributes_keep_the_object_where_nothing_changed() -> None:
    """A mapping without anything private is returned itself; keys are redacted like values."""
    harmless = {"a": 1, "b": ["x"]}
    assert ENGINE.attributes(harmless) is harmless
    assert ENGINE.attributes(MappingProxyType({"/home/ada/k": "/home/ada"})) == {"~/k": "~"}


def test_deeper_than_the_limit_is_masked() -> None:
    """What lies too deep to be looked into does not pass, and neither does a cycle."""
    deep: object = SECRET
    for _ in range(DEPTH_LIMIT + 5):
        deep = [deep]
    assert "Planted9" not in repr(ENGINE.redact("x", deep))
    cycle: list[object] = ["/home/ada/x"]
    cycle.append(cycle)
    assert "[redacted:depth]" in repr(ENGINE.redact("x", cycle))


def test_what_cannot_be_looked_into_raises() -> None:
    """A value whose text can't be had is refused, and the error does not tell its content."""

    class Mute:
        def __str__(self) -> str:
            raise ValueError(SECRET)

    with pytest.raises(RedactionError) as caught:
        ENGINE.redact("x", Mute())
    assert "Planted9" not in str(caught.value)
    assert caught.value.__cause__ is None
    bomb: list[object] = []
    for _ in range(DEPTH_LIMIT - 2):
        bomb = [bomb, bomb]
    with pytest.raises(RedactionError):
        ENGINE.redact("x", [bomb, bomb])


def test_the_caches_stay_bounded() -> None:
    """Ever new keys and values do not make a process grow without end."""
    engine = Redactor(home="/home/ada", user_name="", host_name="")
    for number in range(SEEN_LIMIT + 100):
        engine.redact(f"k{number}", f"/home/ada/{number}")
    sizes = [len(engine._kinds), len(engine._seen), *(len(seen) for seen in engine._by_kind.values())]
    assert max(sizes) <= SEEN_LIMIT


UNITS = [
    "a",
    "/",
    "a/",
    " /a/b",
    "\\",
    "a@",
    "a.",
    "://",
    "http://a:b@",
    "eyJ-",
    "1",
    "1 ",
    "1-",
    "1.",
    "a:",
    "::",
    "ab:",
    "-----BEGIN " + "PRIVATE KEY-----",
    "password=",
    'password="',
    'password=\\"',
    "token: ",
    "--password ",
    "?a=b&",
    "{",
    "[1,",
    "ghp" + "_",
    "sk-",
    "C:\\a b ",
    "\\\\aa\\b ",
    "/home/ada/",
    "'/a b ",
    "Cookie: a=b; ",
    "+1 ",
    "<a>x",
    "[redacted:x] ",
    "/a Ab",
    "password=a,b",
    "密/码",
    "-u a:b ",
    "password is ",
    "a=a:",
    "%2Fhome%2F",
]


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear_in_length(unit: str) -> None:
    """Eight times the length costs far less than the sixty-four times that a quadratic pattern would."""

    def seconds(length: int) -> float:
        text = "token secret " + (unit * (length // len(unit) + 1))[:length]
        begin = time.process_time()
        ENGINE.redact("x", text)
        return time.process_time() - begin

    limit = 30 * min(seconds(10_000) for _ in range(3)) + 0.1
    # The first that is fast enough says it: on a busy machine any single one may be slow.
    assert any(seconds(80_000) < limit for _ in range(3))


def test_the_module_function_and_the_lazy_names() -> None:
    """Importing the package loads no SDK; the processor's name is there when asked for."""
    code = (
        "import sys, usagetrace.redaction as r; r.redact('a', 'b');"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry.sdk')];"
        "r.RedactingSpanProcessor, r.RedactingSpanExporter, r.RedactingMetricExporter"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert default_redactor() is default_redactor()
    assert redact("apiKey", "x1") == "[redacted:secret]"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        __import__("usagetrace.redaction", fromlist=["x"]).nothing  # noqa: B018 -- the access is the test
