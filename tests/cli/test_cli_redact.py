"""``usagetrace redact``: what would become of a text, by which rules, on which lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.cli.redact import PIECE, read_pieces
from usagetrace.redaction import default_redactor

MAIL = "bob@example.com"
BEGIN, END = "-----BEGIN RSA PRIVATE" + " KEY-----", "-----END RSA PRIVATE" + " KEY-----"
PEM = "\n".join([BEGIN, *["MIIEowIBAAKCAQEA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL"] * 20, END])


def run(home: Any, arguments: str, text: str | bytes, code: int = 0) -> Any:
    cli = Cli(environ=home.environ, cwd=home.work)
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    result = CliRunner().invoke(app, ["redact", *arguments.split()], input=raw, prog_name="usagetrace", obj=cli)
    assert result.exit_code == code, (result.output, result.exception)
    return result


TEXTS = {
    "nothing private": ("canvas\nskill\n", "canvas\nskill\n"),
    "no last line end": ("canvas", "canvas"),
    "empty": ("", ""),
    "lines": (f"a=1\nby {MAIL}\n\n/srv/a/b.csv\n", "a=1\nby [redacted:email]\n\nb.csv\n"),
    "a private key": (f"x\n{PEM}\ny\n", "x\n[redacted:private-key]\ny\n"),
    "JSON": ('{\n  "password": "x",\n  "n": 1\n}\n', '{\n  "password": "[redacted:secret]",\n  "n": 1\n}\n'),
    "Windows line ends": (f"by {MAIL}\r\nx\r\n", "by [redacted:email]\r\nx\r\n"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("door", ["stdin", "file"])
def test_a_text_is_shown_as_it_would_be(home: Any, name: str, door: str) -> None:
    """From standard input or a file; what is not private comes out byte for byte."""
    text, expected = TEXTS[name]
    path = home.work / "input"
    path.write_bytes(text.encode())
    result = run(home, "" if door == "stdin" else f"--file {path}", text if door == "stdin" else "")
    assert result.stdout_bytes == expected.encode()


def test_bytes_that_are_no_text_survive(home: Any) -> None:
    """Redaction around them works all the same."""
    raw = b"\xff\xfe\x00 " + MAIL.encode() + b" \x80\n"
    assert run(home, "", raw).stdout_bytes == b"\xff\xfe\x00 [redacted:email] \x80\n"
    assert json.loads(run(home, "--format json", raw).stdout)["acted"] == [{"line": 1, "rule": "email", "times": 1}]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("password", "hunter2\n", "[redacted:secret]\n"),
        ("token_count", "4096\n", "4096\n"),
        ("project.path", "/srv/my files/x\n", "x\n"),
    ],
)
def test_a_key_is_judged(home: Any, key: str, text: str, expected: str) -> None:
    """The text is taken for the value of an attribute of that name; the last line end is not part of it."""
    assert run(home, f"--key {key}", text).stdout == expected


def test_the_explanation_names_lines_and_never_values(home: Any) -> None:
    """A finding of several lines counts with its first; lines behind it are numbered as in the input."""
    text = f"a=1\n{PEM}\nby {MAIL} and c@example.com\npassword=q8s7d6f5 /srv/a/b.csv\n"
    result = run(home, "--explain", text)
    table = [line.split() for line in result.stdout.partition("In all")[0].splitlines()[1:] if line]
    assert table == [["2", "private-key", "1"], ["24", "email", "2"], ["25", "path", "1"], ["25", "secret", "1"]]
    for word in ("example", "q8s7d6f5", "MIIEow", "/srv"):
        assert word not in result.output
    assert run(home, "--explain", "canvas\n").stdout == "No rule acted.\n"


def test_the_explanation_of_a_document_names_its_lines(home: Any) -> None:
    """Inside JSON too, where a text holds line ends that are none of the document."""
    document = json.dumps({"note": f"x\n\n{MAIL}", "db": {"password": "x"}, "list": ["a", MAIL]}, indent=2)
    shown = json.loads(run(home, "--format json", document + "\n").stdout)
    lines = [number for number, line in enumerate(document.splitlines(), 1) if MAIL in line or "password" in line]
    assert [each["line"] for each in shown["acted"]] == lines
    assert {each["rule"] for each in shown["acted"]} == {"email", "secret"}
    assert json.loads(shown["text"])["db"] == {"password": "[redacted:secret]"}


def test_a_long_text_is_taken_in_pieces(home: Any) -> None:
    """No finding is lost where a text is long or dense, keys stay whole, and lines are numbered through."""
    lines = [f"line {n} of a log that goes on" for n in range(12_000)]
    for n in (0, 2_500, 6_000, 11_999):
        lines[n] = f"by {MAIL}"
    lines[3_000] = PEM
    text = "\n".join(lines) + "\n"
    expected = text.replace(MAIL, "[redacted:email]").replace(PEM, "[redacted:private-key]")
    assert run(home, "", text).stdout == expected
    shown = json.loads(run(home, "--format json", text).stdout)
    assert shown["text"] == expected
    more = PEM.count("\n")
    assert [each["line"] for each in shown["acted"]] == [1, 2_501, 3_001, 6_001 + more, 12_000 + more]


def test_a_dense_text_is_taken_in_halves(home: Any) -> None:
    """More findings than one value may hold are all shown, none as the rest of a text."""
    text = "".join(f"by user{n}@example.com\n" for n in range(2_600))
    assert run(home, "", text).stdout == "by [redacted:email]\n" * 2_600
    acted = json.loads(run(home, "--format json", text).stdout)["acted"]
    assert [(each["line"], each["rule"]) for each in acted] == [(n + 1, "email") for n in range(2_600)]


def test_a_long_document_in_one_line_is_whole(home: Any) -> None:
    """Members of a list that is no piece of whole lines are looked at, not cut off."""
    text = json.dumps([{"id": number, "name": "report", "token_count": number} for number in range(8_000)])
    assert run(home, "", text).stdout == text


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 400))
def test_pieces_are_the_whole(lines: list[bytes], times: int) -> None:
    """Nothing is lost between pieces, each ends with a line, and a short text is one piece."""
    raw = b"\n".join(lines * times)
    pieces = list(read_pieces(io.BytesIO(raw)))
    assert b"".join(pieces) == raw
    assert [piece for piece in pieces[:-1] if not piece.endswith(b"\n")] == []
    if len(raw) <= PIECE:
        assert len(pieces) <= 1


MODES = {
    "mask": ("by [redacted:email]\n", "[redacted:key]\n"),
    "drop": ("by [redacted:email]\n", "[redacted:key]\n"),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_settings_in_force_count(home: Any, mode: str) -> None:
    """Mode, keys and rules of the user's own file, as for what is recorded."""
    home.write_settings(
        f"[redaction]\nmode = '{mode}'\nkeys = {{query = 'mask', gone = 'drop'}}\n"
        "[[redaction.rules]]\nname = 'ticket'\npattern = 'T-[0-9]+'\n"
    )
    text, masked = MODES[mode]
    assert run(home, "", f"by {MAIL}\n").stdout == text
    assert run(home, "--key query", "canvas\n").stdout == masked
    assert run(home, "", "T-12\n").stdout == "[redacted:ticket]\n"
    gone = run(home, "--key gone", "canvas\n")
    assert (gone.stdout.strip(), "leave this attribute out" in gone.stderr) == ("", True)
    assert json.loads(run(home, "--key gone --format json", "canvas\n").stdout)["text"] is None
    found = run(home, "--key note", f"by {MAIL}\n").stdout.strip()
    assert found == ("by [redacted:email]" if mode == "mask" else "")
    assert "ticket" in run(home, "--rules", "").stdout


def test_faulty_settings_are_told(home: Any) -> None:
    """Exit code 1, every fault on standard error, and nothing is shown in their place."""
    home.write_settings("[redaction]\nmode = 'blur'\nsurprise = 1\n")
    result = run(home, "", f"by {MAIL}\n", code=1)
    assert result.stdout == ""
    assert "redaction.mode: expected mask or drop or hash" in result.stderr
    assert "redaction.surprise: unknown key" in result.stderr


def test_a_file_that_is_not_there_is_wrong_usage(home: Any) -> None:
    """Exit code 2, and the file is named."""
    assert "nowhere" in run(home, "--file nowhere", "", code=2).stderr


def test_all_rules_are_listed_with_a_reason(home: Any) -> None:
    """Those that find shapes, those for keys, paths and names; in JSON as well."""
    listed = json.loads(run(home, "--rules --format json", "").stdout)
    names = [each["name"] for each in listed["rules"]]
    assert {"email", "home", "path", "secret", "person", "jwt", "private-key", "url-credentials"} <= set(names)
    assert [each for each in listed["rules"] if not each["why"].strip()] == []
    table = run(home, "--rules", "").stdout
    assert [name for name in names if name not in table] == []


@pytest.mark.parametrize("beside", ["--key password", "--file -", "--explain"])
def test_what_says_what_to_read_is_refused_beside_the_list_of_rules(home: Any, beside: str) -> None:
    """No option is taken and then not heeded."""
    said = home.run(f"redact --rules {beside}", 2).stderr
    assert f"reads nothing: leave {beside.split()[0]} out" in said


def test_it_runs_as_a_program(home: Any) -> None:
    """In a pipe, with bytes, and without recording anything."""
    done = subprocess.run(
        [sys.executable, "-m", "usagetrace", "redact"],
        input=b"\xff by " + MAIL.encode() + b"\n",
        capture_output=True,
        env=home.process_environ(),
        cwd=home.work,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\xff by [redacted:email]\n", b"")
    assert [path for path in home.path.rglob("*") if path.is_file()] == []
    assert default_redactor().text(f"by {MAIL}") == "by [redacted:email]"
