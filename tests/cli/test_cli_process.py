"""The command line as a real process: pipes, terminals, missing libraries, odd surroundings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event

NOW = 1_793_534_400_000
HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202e[bold]x"
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals, files and limits")


def start(home: Any, *arguments: str, environ: dict[str, str] | None = None, **options: Any) -> Any:
    env = dict(home.process_environ(**(environ or {})))
    return subprocess.run(
        [sys.executable, "-m", "usagetrace.cli", *arguments],
        env=env, cwd=options.pop("cwd", home.work), timeout=60, stdin=subprocess.DEVNULL, check=False, **options,
    )  # fmt: skip


def on_terminal(home: Any, *arguments: str, **environ: str) -> str:
    """Run a command on a terminal of 100 columns and return what reached it."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    received = bytearray()

    def drain() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                return
            if not data:
                return
            received.extend(data)

    reader = threading.Thread(target=drain)
    reader.start()
    result = start(home, *arguments, environ={"TERM": "xterm-256color", **environ}, stdout=slave, stderr=slave)
    os.close(slave)
    reader.join(10)
    os.close(master)
    assert result.returncode == 0, received
    return received.decode("utf-8")


@posix
@pytest.mark.parametrize("command", ["report", "top", "events", "status", "config", "db stats"])
def test_a_terminal_gets_colour_and_nothing_else_from_names(home: Any, command: str) -> None:
    """The only escape sequences are colours of ours; what a name holds is shown."""
    home.record(Event("deploy", HOSTILE, HOSTILE, NOW, metadata={"k": HOSTILE}, status="error", error_type=HOSTILE))
    text = on_terminal(home, *command.split())
    assert "\x1b[1" in text
    without = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")
    assert not [c for c in without if c != "\n" and not c.isprintable()]
    # Red is a colour that only the name asks for.
    assert "\x1b[31m" not in text


@posix
@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_the_user_or_the_terminal_does_not_want_it(home: Any, environ: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal: no escape sequence at all."""
    home.record(Event("deploy", "canvas", "skill", NOW))
    text = on_terminal(home, "report", **environ)
    assert "canvas" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("environ", [{}, {"FORCE_COLOR": "1"}, {"TERM": "xterm-256color", "COLUMNS": "20"}])
def test_a_pipe_gets_plain_ascii_columns_of_any_width(home: Any, environ: dict[str, str]) -> None:
    """No colour, no frame, no line broken, whatever the environment asks of terminals."""
    home.record(Event("deploy", "canvas-with-a-rather-long-name", "skill", NOW, "default", "~/project"))
    result = start(home, "report", environ=environ, capture_output=True)
    assert result.returncode == 0
    text = result.stdout.decode()
    assert text.isascii()
    assert "\x1b" not in text
    assert any(re.match(r"skill +canvas-with-a-rather-long-name +1 +1 +0 ", line) for line in text.splitlines())
    assert result.stderr == b""


@posix
def test_a_reader_that_leaves_early_hears_nothing_more(home: Any) -> None:
    """| head: no traceback, no message."""
    home.record(*(Event("deploy", f"a{n}", "skill", NOW, metadata={"k": "v" * 500}) for n in range(3000)))
    command = [sys.executable, "-m", "usagetrace.cli", "events", "--limit", "3000", "--format", "json"]
    with subprocess.Popen(
        command, env=dict(home.process_environ()), cwd=home.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_one_line(home: Any) -> None:
    """What could not be written is a failure, not a silence."""
    home.record(Event("deploy", "canvas", "skill", NOW))
    with Path("/dev/full").open("wb") as full:
        result = start(home, "report", "--format", "json", stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr == b"usagetrace: No space left on device\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize("arguments", [["report"], ["--help"]])
def test_without_its_libraries_one_line_says_how_to_install_them(home: Any, missing: str, arguments: list[str]) -> None:
    """Exit code 1, the exact command, no traceback."""
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        f"del sys.modules[{missing!r}]\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from usagetrace.cli import main\n"
        "sys.exit(main())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=dict(home.process_environ()), capture_output=True, check=False
    )
    assert result.returncode == 1
    assert result.stdout == b""
    assert len(result.stderr.splitlines()) == 1
    assert b"pip install 'usagetrace[cli]'" in result.stderr
    assert missing.encode() in result.stderr


def test_neither_the_package_nor_its_reports_load_the_command_lines_libraries(home: Any) -> None:
    """click and Rich are for the command line alone."""
    code = (
        "import sys, usagetrace, usagetrace.reports, usagetrace.reports.queries, usagetrace.cli\n"
        "assert not {'click', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=dict(home.process_environ()), check=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_of_a_pipe_is_a_failure(home: Any, encoding: str) -> None:
    """A letter that an encoding lacks becomes an escape."""
    home.record(Event("deploy", "übersicht-概要", "skill", NOW))
    result = start(home, "top", environ={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert "bersicht-" in result.stdout.decode(encoding)


def test_json_goes_to_standard_output_alone(home: Any) -> None:
    """Messages don't disturb who reads the document."""
    result = start(home, "report", "--format", "json", capture_output=True)
    assert json.loads(result.stdout)["totals"]["events"] == 0
    assert b"nothing recorded yet" in result.stderr


def test_without_a_home_in_the_environment_a_named_database_is_read(home: Any) -> None:
    """An empty HOME is no failure."""
    path = home.record(Event("deploy", "canvas", "skill", NOW))
    result = start(home, "--db", str(path), "top", environ={"HOME": ""}, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert b"canvas" in result.stdout


@posix
def test_a_working_directory_that_is_gone_is_told_in_one_line(home: Any, tmp_path: Path) -> None:
    """Exit code 1, no traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, sys\nfrom usagetrace.cli import main\n"
        f"os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "status"], env=dict(home.process_environ()), capture_output=True, check=False
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert b"directory" in result.stderr
