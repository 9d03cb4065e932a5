"""Settings: who wins, what is refused, and that reading leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.config import Settings, declarations, load_settings
from usagetrace.errors import ConfigurationError
from usagetrace.setting_files import find_project_file

# Setting -> (values for argument, environment, project file, user file, as raw values), in order of precedence.
VALUES: dict[str, list[Any]] = {
    "enabled": [True, "true", True, True],
    "local": [False, "true", False, True],
    "db_path": ["/arg.db", "/env.db", "/project.db", "/user.db"],
    "retention_days": [1, "2", 3, 4],
    "archive_dir": ["/arg", "/env", "/project", "/user"],
    "exit_timeout": [0.1, "0.2", 0.3, 4],
    "service_name": ["arg", "env", "project", "user"],
    "service_version": ["1", "2", "3", "4"],
    "otlp_endpoint": ["http://a:1", "http://b:2", "http://localhost:3", "http://d:4"],
    "otlp_delivery": ["outbox", "direct", "outbox", "direct"],
    "otlp_protocol": ["grpc", "http/protobuf", "grpc", "http/protobuf"],
    "metrics": ["on", "off", "on", "off"],
    "environment": [["os"], "arch,locale", ["version"], ["timezone"]],
    "event_strict": [True, "false", True, True],
    "event_clock_skew": [1, "2", 3, 4.5],
    "event_max_age_days": [1, "2", 3, 4],
    "sampling": [{"search": 0.1}, "search=0.2", {"search": 0.3}, {"search": 0.4}],
}
# What a project's file may not say.
NOT_OF_PROJECTS = ("archive_dir", "environment")
SOURCES = ("argument", "environment", "project", "user")
DECLARED = {declared.name: declared for declared in declarations()}


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """Give an environment of its own, with functions that write the project's and the user's file."""
    return World(tmp_path)


class World:
    """An environment, a project directory, and a user's directory."""

    def __init__(self, root: Path) -> None:
        self.home = root / "somebody"
        self.project = self.home / "project"
        self.project.mkdir(parents=True)
        self.config = self.home / ".config" / "usagetrace" / "config.toml"
        self.environ: dict[str, str] = {"HOME": str(self.home), "USERPROFILE": str(self.home)}
        self.environ["APPDATA"] = str(self.home / ".config")
        self.environ["XDG_CONFIG_HOME"] = str(self.home / ".config")

    def user(self, text: str | bytes) -> None:
        """Write the user's settings file."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_bytes(text if isinstance(text, bytes) else text.encode())

    def tool(self, text: str | bytes, name: str = "usagetrace.toml") -> Path:
        """Write the project's settings file."""
        path = self.project / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, **overrides: Any) -> Settings:
        """Load the settings."""
        return load_settings(overrides, environ=self.environ, cwd=self.project)

    def faults(self, **overrides: Any) -> list[str]:
        """Return the faults that loading reports."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(**overrides)
        return list(caught.value.faults)


def toml(key: str, value: Any) -> str:
    """Return one setting as TOML."""
    if isinstance(value, dict):
        return f"[{key}]\n" + "".join(f"{name} = {said}\n" for name, said in value.items())
    table, _, name = key.partition(".")
    text = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
    return f"[{table}]\n{name} = {text}\n"


def test_every_setting_is_declared_once_and_in_the_matrix() -> None:
    """Names, variables and keys are unique, every setting has help, and the matrix below misses none."""
    assert set(DECLARED) == set(VALUES)
    for part in (lambda d: [d.key], lambda d: list(d.env)):
        said = list(itertools.chain.from_iterable(part(declared) for declared in DECLARED.values()))
        assert len(said) == len(set(said))
    assert all(declared.help.endswith(".") for declared in DECLARED.values())


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("present", [p for n in range(5) for p in itertools.combinations(range(4), n)])
def test_precedence(world: Any, name: str, present: tuple[int, ...]) -> None:
    """Of the sources that speak, argument beats environment beats project file beats user file beats default."""
    declared, values = DECLARED[name], VALUES[name]
    if 1 in present:
        world.environ[declared.env[0]] = values[1]
    if 2 in present:
        world.tool(toml(declared.key, values[2]))
    if 3 in present:
        world.user(toml(declared.key, values[3]))
    if name in NOT_OF_PROJECTS and 2 in present:
        with pytest.raises(ConfigurationError, match=rf"{re.escape(declared.key)}: a project file may not set it"):
            world.load()
        return
    settings = world.load(**({name: values[0]} if 0 in present else {}))
    actual = getattr(settings, name)
    if not present:
        assert actual == (declared.default if name != "service_name" else actual)
        assert name not in settings.sources
        return
    assert actual == declared.parse(values[present[0]])
    label = settings.sources[name]
    places = ["configure(", "environment variable", str(world.project), str(world.config)]
    assert [label.startswith(place) for place in places].index(True) == present[0]


def test_pyproject_is_a_project_file(world: Any) -> None:
    """[tool.usagetrace] in pyproject.toml counts; usagetrace.toml beside it wins; other pyprojects are ignored."""
    world.tool("[tool.other]\nx = 1\n", "pyproject.toml")
    assert world.load().retention_days == 90
    world.tool("[tool.usagetrace.analytics]\nretention-days = 7\n", "pyproject.toml")
    assert world.load().retention_days == 7
    world.tool("[analytics]\nretention-days = 8\n")
    assert world.load().retention_days == 8


@pytest.mark.parametrize(
    "text",
    [
        "[tool]\nusagetrace.analytics.enabled = false\n",
        "[tool]\nusagetrace = { analytics = { enabled = false } }\n",
        "[ tool . usagetrace . analytics ]\nenabled = false\n",
        '[tool."usagetrace".analytics]\nenabled = false\n',
    ],
)
def test_other_spellings_of_the_table_count(world: Any, text: str) -> None:
    """A project's no in pyproject.toml counts, however TOML lets one spell the table."""
    world.tool(text, "pyproject.toml")
    assert world.load().enabled is False


def test_file_named_in_the_environment(world: Any, tmp_path: Path) -> None:
    """USAGETRACE_CONFIG names the file to read, may name any endpoint, and must exist."""
    named = tmp_path / "mine.toml"
    named.write_text('[otlp]\nendpoint = "http://collector.example:4318"\n')
    world.tool("[analytics]\nretention-days = 8\n")
    world.environ["USAGETRACE_CONFIG"] = str(named)
    settings = world.load()
    assert (settings.otlp_endpoint, settings.retention_days) == ("http://collector.example:4318", 90)
    named.unlink()
    assert "no such file" in world.faults()[0]


# --- types and ranges ------------------------------------------------------------------------------------------

WRONG: dict[str, list[Any]] = {
    "enabled": ["maybe", 1, 0, 2.0, [True]],
    "local": ["maybe", 1],
    "db_path": ["", "  ", 5, True],
    "retention_days": [-1, 1.5, "x", True, [1]],
    "exit_timeout": [-0.1, 61, "x", True],
    "service_name": ["", "  ", 5],
    "service_version": ["", 5],
    "otlp_endpoint": ["localhost", "localhost:", "ftp://a", "http://", 5],
    "otlp_protocol": ["http/xml", "", 5, True],
    "metrics": ["maybe", 5],
    "environment": ["os,cpu", "", 5, ["os", 5], "none,os"],
    "event_strict": ["maybe", 1],
    "event_clock_skew": [-1, 86401, "x", True],
    "event_max_age_days": [-1, 1.5],
    "sampling": [5, True, ["search"]],
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES, ids=[f"{n}-{v!r}" for n, v in CASES])
def test_wrong_values_are_faults(world: Any, name: str, value: Any) -> None:
    """A value of the wrong type or range is a fault that names the source, what was expected, and what was found."""
    (fault,) = world.faults(**{name: value})
    assert fault.startswith(f"configure({name}=...): expected")
    assert fault.endswith(f"found {value!r}")


BREAKS: list[tuple[str, Any]] = [
    ("retention_days", float("nan")),
    ("retention_days", "inf"),
    ("otlp_endpoint", "http://[::1"),
    ("otlp_endpoint", "http://localhost:port"),
    ("otlp_endpoint", "http://localhost:99999"),
    ("db_path", "~no-such-user-here/x.db"),
]


@pytest.mark.parametrize(("name", "value"), BREAKS)
def test_values_that_break_a_parser_are_faults(world: Any, name: str, value: Any) -> None:
    """A value that Python's own parsers choke on is a fault as any other."""
    assert len(world.faults(**{name: value})) == 1


@given(
    value=st.text(max_size=20) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(st.none())
)
@pytest.mark.parametrize("name", VALUES)
def test_any_value_is_taken_or_a_fault(tmp_path: Path, name: str, value: Any) -> None:
    """Whatever is given, settings come back or a ConfigurationError does."""
    try:
        taken: Settings | None = load_settings({name: value}, environ={"HOME": str(tmp_path)}, cwd=tmp_path)
        faults: tuple[str, ...] = ()
    except ConfigurationError as error:
        taken, faults = None, error.faults
    assert (taken is None) == bool(faults)
    # Of a list of pairs each may be one.
    assert name == "sampling" or len(faults) <= 1


@pytest.mark.parametrize("word", ["false", "False", " FALSE ", "0", "no", "off", "n", "f"])
@pytest.mark.parametrize("source", SOURCES)
def test_the_string_false_is_not_true(world: Any, word: str, source: str) -> None:
    """A word for no means no in every source, also where TOML holds it as a string."""
    text = f'[analytics]\nenabled = "{word}"\n'
    if source == "environment":
        world.environ["USAGETRACE_ENABLED"] = word
    elif source == "project":
        world.tool(text)
    elif source == "user":
        world.user(text)
    settings = world.load(**({"enabled": word} if source == "argument" else {}))
    assert settings.enabled is False
    assert settings.off_reason


def test_every_fault_is_listed_at_once(world: Any) -> None:
    """Faults of arguments, environment, project file and user file come together, each with its place."""
    world.environ["USAGETRACE_LOCAL"] = "maybe"
    world.tool(
        'surprise = 1\n[analytics]\nretention-days = "x"\ndb_path = "y"\n[otlp]\nendpoint = "http://far.example"\n'
    )
    world.user('[service]\nversion = 5\n[analytics]\nmetrics = "loud"\n[nonsense]\n')
    faults = world.faults(exit_timeout=-1)
    parts = [
        "configure(exit_timeout=...)", "USAGETRACE_LOCAL", "surprise: unknown table", "analytics.retention-days",
        "analytics.db_path: unknown key", "otlp.endpoint: a project file may only name this machine",
        "service.version", "analytics.metrics", "nonsense: unknown table",
    ]  # fmt: skip
    assert [sum(part in fault for fault in faults) for part in parts] == [1] * len(parts)
    assert len(faults) == len(parts)


def test_faults_behind_a_stronger_source_are_listed(world: Any) -> None:
    """A wrong value in the user's file is a fault, also where the environment overrules it today."""
    world.user("[analytics]\nretention-days = -1\n")
    world.environ["USAGETRACE_RETENTION_DAYS"] = "7"
    assert len(world.faults()) == 1


@pytest.mark.parametrize("table", ["targets", "redaction"])
def test_tables_of_other_modules_are_known(world: Any, table: str) -> None:
    """[[targets]] and [redaction] are tables that there may be."""
    world.tool("[[targets]]\nfunction = 'a:b'\n" if table == "targets" else "[redaction]\nmode = 'drop'\n")
    assert world.load().enabled is True


# --- files that can't be read ----------------------------------------------------------------------------------

UNREADABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "not UTF-8": (lambda path: path.write_bytes(b"\xff\xfe[analytics]"), "not UTF-8 at byte 0"),
    "not TOML": (lambda path: path.write_text("[analytics\nx"), "not valid TOML"),
    "duplicate key": (lambda path: path.write_text("a = 1\na = 2"), "not valid TOML"),
    "a directory": (lambda path: path.mkdir(), "directory"),
    "a table that is a number": (lambda path: path.write_text("otlp = 5"), "otlp: expected a table"),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_file_that_cannot_be_read_is_a_fault(world: Any, tmp_path: Path, how: str) -> None:
    """A file that exists and can't be used is a fault that names the file and why."""
    make, why = UNREADABLE[how]
    named = tmp_path / "named.toml"
    make(named)
    world.environ["USAGETRACE_CONFIG"] = str(named)
    (fault,) = world.faults()
    assert str(named) in fault
    assert why in fault.replace("Is a directory", "directory")


@pytest.mark.parametrize("how", [how for how in UNREADABLE if how != "a table that is a number"])
def test_users_file_that_cannot_be_read_means_no(world: Any, how: str) -> None:
    """A user's file that can't be read means off, whatever code and environment say; nothing raises."""
    world.config.parent.mkdir(parents=True)
    UNREADABLE[how][0](world.config)
    world.environ["USAGETRACE_ENABLED"] = "true"
    settings = world.load(enabled=True)
    assert settings.enabled is False
    assert str(world.config) in settings.off_reason


def test_pyproject_whose_table_is_none_is_a_fault(world: Any) -> None:
    """A pyproject.toml whose tool.usagetrace is not a table is a fault; one without any table of tools is not ours."""
    world.tool("tool = 5 # tool.usagetrace\n", "pyproject.toml")
    assert world.load().enabled is True
    world.tool("tool.usagetrace = 5\n", "pyproject.toml")
    assert len(world.faults()) == 1


# --- the project's file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        ("http://localhost:4318", True), ("http://127.0.0.1:4318", True), ("http://[::1]:4318", True),
        ("http://LOCALHOST:4318", True), ("https://collector.example", False), ("http://localhost.example", False),
        ("http://127.0.0.1.example", False), ("http://localhost@far.example", False), ("http://0.0.0.0:4318", False),
    ],
)  # fmt: skip
def test_a_project_may_only_name_this_machine(world: Any, endpoint: str, allowed: bool) -> None:
    """A repository's file can't send events elsewhere; the user's own file can."""
    world.tool(toml("otlp.endpoint", endpoint))
    if allowed:
        assert world.load().otlp_endpoint == endpoint
    else:
        assert "this machine" in world.faults()[0]
    (world.project / "usagetrace.toml").unlink()
    world.user(toml("otlp.endpoint", endpoint))
    assert world.load().otlp_endpoint == endpoint


def test_search_for_the_project_file_stops(tmp_path: Path) -> None:
    """The search goes up and ends, inclusively, at a directory with .git, at the home directory, and at the root."""
    home = tmp_path / "home" / "ada"
    deep = home / "work" / "repo" / "src" / "deep"
    deep.mkdir(parents=True)
    above = tmp_path / "home" / "usagetrace.toml"
    above.touch()
    assert find_project_file(deep, home) is None
    (home / "usagetrace.toml").touch()
    assert find_project_file(deep, home) == home / "usagetrace.toml"
    (home / "work" / "repo" / ".git").mkdir()
    assert find_project_file(deep, home) is None
    (home / "work" / "repo" / "usagetrace.toml").touch()
    assert find_project_file(deep, home) == home / "work" / "repo" / "usagetrace.toml"
    (home / "work" / "repo" / ".git").rmdir()
    (home / "work" / "repo" / ".git").write_text("gitdir: elsewhere")
    (home / "work" / "repo" / "usagetrace.toml").unlink()
    assert find_project_file(deep, home) is None
    assert find_project_file(Path("/"), home) is None


def test_search_stops_at_a_home_that_is_a_link(tmp_path: Path) -> None:
    """A home directory behind a symbolic link ends the search all the same."""
    (tmp_path / "real" / "ada" / "work").mkdir(parents=True)
    (tmp_path / "real" / "usagetrace.toml").touch()
    (tmp_path / "alias").symlink_to(tmp_path / "real" / "ada")
    assert find_project_file(tmp_path / "real" / "ada" / "work", tmp_path / "alias") is None


def test_a_working_directory_that_is_gone_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory that was deleted there is no project file; settings load."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert load_settings(environ={"HOME": str(tmp_path)}).enabled is True
    finally:
        os.chdir(tmp_path)


def test_reading_creates_nothing(world: Any, tmp_path: Path) -> None:
    """Loading settings and asking for paths makes no file and no directory."""
    before = sorted(tmp_path.rglob("*"))
    path = world.load(service_name="tool/../x").store_path()
    assert sorted(tmp_path.rglob("*")) == before
    assert ".." not in path.parts
    assert path.name == "analytics.db"


@given(name=st.text(min_size=1, max_size=100))
def test_store_path_is_one_folder_below_the_data_directory(name: str) -> None:
    """Whatever a service is called, its folder is one safe name below the data directory."""
    from usagetrace import places

    folder = places.service_folder(name)
    assert folder not in ("", ".", "..")
    assert len(folder) <= 64
    assert not set(folder) & set('/\\:*?"<>|\0 ')
    path = places.store_path({"XDG_DATA_HOME": "/data", "HOME": "/home/ada"}, name)
    assert path.parent.parent.name == "usagetrace"
