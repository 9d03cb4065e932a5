"""``enable`` and ``disable``: one switch in the user's file, and every other byte as it was."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.cli.settingsfile import write_enabled
from usagetrace.config import load_settings
from usagetrace.consent import consent, read_toml
from usagetrace.errors import ConfigurationError

# Texts as people write them, with the switch at each of the places TOML allows.
BEFORE = {
    "nothing": ("", "[analytics]\nenabled = {}\n"),
    "comment only": ("# mine\n", "# mine\n\n[analytics]\nenabled = {}\n"),
    "no line break at the end": ("[otlp]", "[otlp]\n\n[analytics]\nenabled = {}\n"),
    "table": ("# a\n[analytics] # b\nlocal = true # c\n", "# a\n[analytics] # b\nenabled = {}\nlocal = true # c\n"),
    "table at the end": ("[analytics]", "[analytics]\nenabled = {}\n"),
    "switch": ("[analytics]\n  enabled  =  {not}   # why\n[otlp]\n", "[analytics]\n  enabled  =  {}   # why\n[otlp]\n"),
    "quoted": ("['analytics']\n\"enabled\" = {not}\n", "['analytics']\n\"enabled\" = {}\n"),
    "text for a bool": ('[analytics]\nenabled = "{not}"\n', "[analytics]\nenabled = {}\n"),
    "dotted": ("analytics.retention-days = 5\n", "analytics.enabled = {}\nanalytics.retention-days = 5\n"),
    "dotted switch": ("analytics . enabled = {not}\n", "analytics . enabled = {}\n"),
    "inline": ("analytics = { retention-days = 5 }\n", "analytics = { enabled = {}, retention-days = 5 }\n"),
    "inline, empty": ("analytics = {}\n", "analytics = { enabled = {} }\n"),
    "inline switch": ("analytics = {enabled = {not}, local = true}\n", "analytics = {enabled = {}, local = true}\n"),
    "windows": ("[analytics]\r\nlocal = true\r\n", "[analytics]\r\nenabled = {}\r\nlocal = true\r\n"),
    "another enabled": (
        "[other]\nenabled = {not}\n[analytics]\nenabled = {not}\n",
        "[other]\nenabled = {not}\n[analytics]\nenabled = {}\n",
    ),
    "a trap in a text": (
        "note = '''\n[analytics]\nenabled = {not}\n'''\n[analytics]\nlocal = true\n",
        "note = '''\n[analytics]\nenabled = {not}\n'''\n[analytics]\nenabled = {}\nlocal = true\n",
    ),
    "letters": ("# über 概要 \n[a]\nb = 'ä'\n", "# über 概要 \n[a]\nb = 'ä'\n\n[analytics]\nenabled = {}\n"),
}  # fmt: skip


def fill(text: str, enabled: bool) -> bytes:
    words = ("true", "false") if enabled else ("false", "true")
    text = text.replace("{not}", words[1])
    return (text if text == "analytics = {}\n" else text.replace("{}", words[0])).encode()


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("name", BEFORE)
def test_only_the_switch_changes(tmp_path: Path, name: str, enabled: bool) -> None:
    """Comments, order, spaces and line ends stay byte for byte; a second time changes nothing."""
    path = tmp_path / "config.toml"
    before, after = BEFORE[name]
    path.write_bytes(fill(before, enabled))
    assert write_enabled(path, enabled) is True
    assert path.read_bytes() == fill(after, enabled)
    assert write_enabled(path, enabled) is False
    assert path.read_bytes() == fill(after, enabled)


@pytest.mark.parametrize(
    "content",
    [b"[analytics", b"enabled = maybe", b"\xff\xfe[analytics]", b"[analytics]\nenabled = true\nenabled = true\n",
     b"analytics = true\n", b"analytics = 'x'\n"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["enable", "disable"])
def test_a_file_that_can_not_be_edited_is_refused_and_left_alone(home: Any, command: str, content: bytes) -> None:
    """The message names the file; not a byte changes."""
    path = home.write_settings("")
    path.write_bytes(content)
    result = home.run(command, code=1)
    assert str(path) in result.stderr
    assert "nothing was written" in result.stderr
    assert path.read_bytes() == content


names = st.sampled_from(["analytics", "enabled", "otlp", "a.b", "local", "x"])
values = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.sampled_from(["false", "enabled = true", "[analytics]"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else repr(value)


@given(table=st.dictionaries(names, values, max_size=4), enabled=st.booleans(), sections=st.booleans())
def test_everything_else_reads_as_before_or_nothing_was_written(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any], enabled: bool, sections: bool
) -> None:
    """For any settings: afterwards the switch is set and the rest equal, or the file is refused and untouched."""
    lines = [f'"{key}" = {toml(item)}' for key, item in table.items() if not (sections and isinstance(item, dict))]
    for key, item in table.items() if sections else ():
        if isinstance(item, dict):
            lines += [f'["{key}"]', *(f'"{inner}" = {toml(each)}' for inner, each in item.items())]
    path = tmp_path_factory.mktemp("settings") / "config.toml"
    path.write_text("\n".join(lines), "utf-8")
    before = path.read_bytes()
    try:
        write_enabled(path, enabled)
    except ConfigurationError:
        analytics = table.get("analytics", {})
        assert not isinstance(analytics, dict) or isinstance(analytics.get("enabled"), list | dict)
        assert path.read_bytes() == before
        return
    assert read_toml(path) == {**table, "analytics": {**table.get("analytics", {}), "enabled": enabled}}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_new_file_is_its_owners_alone(home: Any) -> None:
    """0600 in a 0700 directory, whatever the umask."""
    old = os.umask(0)
    try:
        home.run("disable")
    finally:
        os.umask(old)
    assert stat.S_IMODE(home.config_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.config_file.parent.stat().st_mode) == 0o700
    assert [path.name for path in home.config_file.parent.iterdir()] == ["config.toml"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and POSIX modes")
def test_a_linked_file_stays_a_link_and_keeps_its_mode(home: Any, tmp_path: Path) -> None:
    """Settings that lie in a repository of their own are changed there."""
    real = tmp_path / "dotfiles.toml"
    real.write_text("# mine\n", "utf-8")
    real.chmod(0o644)
    home.config_file.parent.mkdir(parents=True)
    home.config_file.symlink_to(real)
    home.run("disable")
    assert home.config_file.is_symlink()
    assert "enabled = false" in real.read_text("utf-8")
    assert stat.S_IMODE(real.stat().st_mode) == 0o644


def test_the_switch_is_what_a_tool_obeys(home: Any) -> None:
    """After disable no argument of a program can record; after enable it may."""
    home.run("disable")
    assert not consent(home.environ).allowed
    assert not load_settings({"enabled": True}, environ=home.environ, cwd=home.work).enabled
    home.run("enable")
    assert load_settings(environ=home.environ, cwd=home.work).enabled


@pytest.mark.parametrize(
    ("name", "value"), [("DO_NOT_TRACK", "1"), ("USAGETRACE_DISABLED", "yes"), ("USAGETRACE_ENABLED", "0")]
)
def test_enable_says_when_something_else_still_says_no(home: Any, name: str, value: str) -> None:
    """The file is written, and the variable that wins is named."""
    home.environ[name] = value
    result = home.run("enable")
    assert "still off" in result.stderr
    assert name in result.stderr
    assert "enabled = true" in home.config_file.read_text("utf-8")


def test_a_directory_that_can_not_be_made_is_told_in_one_line(home: Any) -> None:
    """Exit code 1 and the place."""
    (home.path / ".config").write_text("a file where a directory should be", "utf-8")
    home.environ["XDG_CONFIG_HOME"] = str(home.path / ".config")
    result = home.run("disable", code=1)
    assert len(result.stderr.splitlines()) == 1
    assert ".config" in result.stderr
