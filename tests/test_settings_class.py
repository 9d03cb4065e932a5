"""The plain classes and text paths that stand where a short command can't pay for dataclasses and pathlib."""

from __future__ import annotations

import math
import os
import sys
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace import places
from usagetrace.config import Settings, declarations, default_service_name
from usagetrace.setting_files import find_project_file
from usagetrace.track.values import to_value

NAMES = [declared.name for declared in declarations()]


def test_every_declared_setting_has_a_type_and_no_other_has() -> None:
    """The class names the type of each declared setting, in the same order, and of what goes with them."""
    assert list(Settings.__annotations__) == [*NAMES, "redaction", "off_reason", "sources", "environ"]


@pytest.mark.parametrize("name", [*NAMES, "redaction", "off_reason", "sources", "environ", "surprise"])
def test_settings_cannot_be_changed(name: str) -> None:
    """No attribute can be set, known or not; the error names it."""
    settings = Settings()
    with pytest.raises(AttributeError, match=name):
        setattr(settings, name, True)
    assert settings == Settings()


def test_an_unknown_setting_is_refused_by_name() -> None:
    """A slip in a setting's name is an error that names it and what there is."""
    with pytest.raises(TypeError, match="retention: unknown, expected enabled, "):
        Settings(retention=3)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_equal_by_what_they_say(name: str) -> None:
    """Two settings are equal where all values are, whatever the environment; one other value makes them differ."""
    assert Settings(environ={"A": "1"}) == Settings(environ={})
    other: dict[str, Any] = {name: "other"}
    assert Settings(**other) != Settings()
    assert Settings() != name


def test_the_environment_is_not_shown() -> None:
    """The text of settings holds every value and nothing of the environment."""
    text = repr(Settings(environ={"API_KEY": "q8s7d6"}, service_name="shelf"))
    assert [name for name in NAMES if f"{name}=" not in text] == []
    assert "service_name='shelf'" in text
    assert "q8s7d6" not in text


@pytest.mark.parametrize("db_path", [None, Path("folder") / "x.db"])
def test_the_path_as_text_is_the_path(db_path: Path | None) -> None:
    """Both forms of the database's path are the same path."""
    settings = Settings(db_path=db_path, service_name="my tool", environ={"HOME": "/home/ada"})
    assert Path(settings.store_text()) == settings.store_path()
    assert Path(places.config_text({"HOME": "/home/ada"})) == places.config_file({"HOME": "/home/ada"})


@pytest.mark.parametrize("form", [str, Path])
def test_a_project_file_comes_in_the_form_that_was_asked_in(tmp_path: Path, form: type) -> None:
    """Text in, text out; path in, path out."""
    (tmp_path / "usagetrace.toml").write_text("")
    found = find_project_file(form(tmp_path), tmp_path / "elsewhere")
    assert (type(found), found) == (type(form(tmp_path)), form(tmp_path / "usagetrace.toml"))


@pytest.mark.skipif(os.name == "nt", reason="names are spelled with slashes")
@pytest.mark.parametrize(
    "program", ["tool.py", "/usr/bin/tool", "tool.exe", "./x/__main__.py", "__main__.py", "a b.py"]
)
@pytest.mark.parametrize("more", ["", "/opt/", "../", "dir/"])
def test_the_program_s_name_is_its_path_s_last_part(monkeypatch: pytest.MonkeyPatch, program: str, more: str) -> None:
    """The default service is what the program is called: a package by its folder, without an ending."""
    monkeypatch.setattr(sys, "argv", [more + program])
    path = PurePath(more + program)
    name = path.parent.name if path.name == "__main__.py" else path.name.removesuffix(".py").removesuffix(".exe")
    assert default_service_name({}) == (name or "python")


@pytest.mark.parametrize("argv", [[], [""], ["-c"], ["."], ["./"], ["/"], ["-"]])
def test_a_program_without_a_name_is_python(monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    """Where there is no script, the tool is called python."""
    monkeypatch.setattr(sys, "argv", argv)
    assert default_service_name({}) == "python"


MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MOMENT, "2026-01-02T03:04:05+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(minutes=1, milliseconds=5), 60.005),
    ],
)
def test_dates_and_times_are_told_without_importing_them(value: object, expected: object) -> None:
    """Dates and times become ISO 8601 and spans of time seconds, inside containers too."""
    assert to_value(value) == expected
    assert to_value({"at": [value]}) == {"at": [expected]}


@given(st.floats())
def test_only_numbers_that_json_has_stay_numbers(number: float) -> None:
    """Infinities and NaN become texts, every other number stays."""
    assert to_value(number) == (number if math.isfinite(number) else str(number))
