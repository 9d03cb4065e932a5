"""Where targets come from, which source wins, and whose files are trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace import places
from usagetrace.autoinstrument import sources
from usagetrace.autoinstrument.sources import Found, find_targets
from usagetrace.autoinstrument.target import Target

Project = Callable[[str], Path]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of code, and no main program, but this one: what is installed here is no part of a test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path / "code")])
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))


def short(found: Found) -> list[tuple[str, Any]]:
    return [(target.function, target.event) for target in found.targets]


def user_file(text: str) -> Path:
    path = places.config_file(os.environ)
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    return path


def ship(folder: Path, name: str, value: str, **files: str) -> None:
    """Install a package that announces targets, as pip leaves it."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    for file, text in files.items():
        (package / f"{file}.toml").write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[usagetrace.targets]\n{name} = {value}\n")


def test_without_any_source_there_is_nothing(bare: None) -> None:
    """No target, no fault."""
    found = find_targets()
    assert (found.targets, found.faults, found.untrusted) == ([], [], [])


def test_the_stronger_source_counts_and_the_weaker_ones_add_the_rest(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, the variable, the project's file, the user's file, packages: one function after another."""
    levels = ["given", "environment", "project", "user", "shipped"]

    def text(level: int) -> str:
        names = ", ".join(f'"m:f{number}"' for number in range(level, 5))
        return f"[track]\n{levels[level]} = [{names}]\n"

    (tmp_path / "variable.toml").write_text(text(1))
    monkeypatch.setenv("USAGETRACE_TARGETS", str(tmp_path / "variable.toml"))
    Path("usagetrace.toml").write_text(text(2))
    user_file(text(3))
    ship(tmp_path / "code", "pack", "pack", usagetrace=text(4))
    everything = find_targets([{"function": [f"m:f{n}" for n in range(5)], "event": "given"}])
    assert short(everything) == [(f"m:f{n}", "given") for n in range(5)]
    # The strongest one names only the first function, the next one the first two, and so on.
    named = {"function": "m:f0", "event": "given"}
    (tmp_path / "variable.toml").write_text('[track]\nenvironment = ["m:f0", "m:f1"]\n')
    Path("usagetrace.toml").write_text('[track]\nproject = ["m:f0", "m:f1", "m:f2"]\n')
    places.config_file(os.environ).write_text('[track]\nuser = ["m:f0", "m:f1", "m:f2", "m:f3"]\n')
    (tmp_path / "code/pack/usagetrace.toml").write_text(text(0).replace("given", "shipped"))
    found = find_targets([named])
    assert short(found) == [(f"m:f{n}", level) for n, level in enumerate(levels)]
    assert found.faults == []


# --- arguments -------------------------------------------------------------------------------------------------


def test_arguments_are_tables_targets_or_a_file(bare: None, tmp_path: Path) -> None:
    """Values of tables may be callables; a `Target` stands as it is; a path is a file of targets."""
    path = tmp_path / "more.toml"
    path.write_text('[track]\nsync = "m:s"')

    def name(call: object) -> str:
        return "x"

    made = Target("m:t", "update")
    found = find_targets([{"function": "m:f", "event": "deploy", "artifact_name": name}, made])
    assert (found.faults, short(found)) == ([], [("m:f", "deploy"), ("m:t", "update")])
    assert found.targets[0].fields == {"artifact_name": name}
    assert found.targets[0].where == "instrument(targets=...)[1] (m:f)"
    assert found.targets[1] is made
    assert short(find_targets(path)) == short(find_targets(str(path))) == [("m:s", "sync")]
    assert short(find_targets(made)) == [("m:t", "update")]
    assert short(find_targets({"function": "m:f", "event": "deploy"})) == [("m:f", "deploy")]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (5, "instrument(targets=...): expected targets or a path, found a int"),
        (["m:f"], "instrument(targets=...)[1]: expected a table, found a text"),
        ([{}], "instrument(targets=...)[1]: names nothing to record; expected one of function, click, typer, argparse, "
               "fastapi"),
        ("/no/such.toml", "no such file of targets: /no/such.toml"),
    ],
)  # fmt: skip
def test_arguments_that_can_t_be_used_are_faults(bare: None, given: Any, fault: str) -> None:
    """Nothing is raised: an instrumentor that raises keeps the others from being loaded."""
    found = find_targets(given)
    assert (found.targets, found.faults[0]) == ([], fault)


def test_two_targets_on_one_function_in_one_source_are_a_fault(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among arguments and among the variable's pairs as well as in a file."""
    entry = {"function": "m:f", "event": "deploy"}
    monkeypatch.setenv("USAGETRACE_TARGETS", "deploy=n:f,update=n:f")
    found = find_targets([entry, {**entry, "event": "update"}])
    assert short(found) == [("m:f", "deploy"), ("n:f", "deploy")]
    assert found.faults == [
        "instrument(targets=...)[2] (m:f): two targets on one function; the other one is "
        "instrument(targets=...)[1] (m:f)",
        "environment variable USAGETRACE_TARGETS: update (n:f): two targets on one function; the other one is "
        "environment variable USAGETRACE_TARGETS: deploy (n:f)",
    ]


# --- the variable ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("deploy=m:f", [("m:f", "deploy")]),
        (" deploy = m:f , search = a.b:C.s ,", [("m:f", "deploy"), ("a.b:C.s", "search")]),
        ("", []),
        (" , ", []),
    ],
)
def test_pairs_name_an_event_and_a_function(bare: None, value: str, expected: list[Any]) -> None:
    """Separated by commas; blanks don't count."""
    found = find_targets(env={"USAGETRACE_TARGETS": value, "HOME": os.environ["HOME"]})
    assert (short(found), found.faults) == (expected, [])


def test_paths_are_separated_as_those_of_path_and_may_be_relative(bare: None, tmp_path: Path) -> None:
    """A comma or an equals sign in a path makes no pair of it; all of them are one source."""
    for name, event in {"a,b.toml": "deploy", "c=d.toml": "update"}.items():
        (tmp_path / name).write_text(f'[track]\n{event} = "m:f"\n{event}d = "m:{event}"')
    env = {"HOME": os.environ["HOME"]}
    value = os.pathsep.join(["a,b.toml", str(tmp_path / "c=d.toml")])
    found = find_targets(env={**env, "USAGETRACE_TARGETS": value}, cwd=str(tmp_path))
    assert short(found) == [("m:f", "deploy"), ("m:deploy", "deployd"), ("m:update", "updated")]
    assert found.faults == [
        f"{tmp_path / 'c=d.toml'}: track.update (m:f): two targets on one function; the other one is "
        f"{tmp_path / 'a,b.toml'}: track.deploy (m:f)"
    ]


def test_a_faulty_pair_is_told_as_one(bare: None) -> None:
    """Not as a file that is missing; the good pairs beside it count."""
    found = find_targets(env={"USAGETRACE_TARGETS": "deploy=m.f,sync=m:s,=m:x", "HOME": os.environ["HOME"]})
    assert short(found) == [("m:s", "sync")]
    assert [fault.partition(": ")[2] for fault in found.faults] == [
        "deploy.function: expected module:function, such as 'tool.core:deploy' or 'tool.core:Shelf.deploy', found "
        "'m.f'; did you mean 'm:f'?",
        " (m:x): event: is ''; expected the name of an event type, such as 'deploy'",
    ]


# --- files -----------------------------------------------------------------------------------------------------


def test_pyproject_has_targets_in_the_table_of_the_tool(bare: None) -> None:
    """`[tool.usagetrace]` is what a settings file's top level is, also where the variable names the file."""
    Path("pyproject.toml").write_text(
        '[track]\ndeploy = "not:ours"\n[tool.usagetrace.track]\nsync = "m:s"\n'
        '[[tool.usagetrace.targets]]\nfunction = "m:f"\nevent = "deploy"\nuse = "skill"\n'
        '[tool.usagetrace.fields.skill]\nartifact_type = "skill"\n'
    )
    expected = [("m:s", "sync"), ("m:f", "deploy")]
    found = find_targets()
    assert (short(found), found.faults) == (expected, [])
    assert found.targets[1].fields == {"artifact_type": "skill"}
    assert found.targets[1].where.endswith("pyproject.toml [tool.usagetrace]: targets[1] (m:f)")
    assert short(find_targets(env={"USAGETRACE_TARGETS": "pyproject.toml", "HOME": os.environ["HOME"]})) == expected


def test_the_file_of_usagetrace_config_stands_for_the_projects(bare: None, tmp_path: Path) -> None:
    """The project's own is not read then; one that is missing is a fault."""
    Path("usagetrace.toml").write_text('[track]\ndeploy = "project:f"')
    (tmp_path / "other.toml").write_text('[track]\ndeploy = "other:f"')
    env = {"HOME": os.environ["HOME"], "USAGETRACE_CONFIG": str(tmp_path / "other.toml")}
    assert short(find_targets(env=env)) == [("other:f", "deploy")]
    missing = find_targets(env={**env, "USAGETRACE_CONFIG": str(tmp_path / "none.toml")})
    assert missing.faults == [f"environment variable USAGETRACE_CONFIG: no such file: {tmp_path / 'none.toml'}"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[track\n", "not valid TOML: "),
        (b'[track]\ndeploy = "a:f"\ndeploy = "b:f"\n', "not valid TOML: "),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
    ],
)
@pytest.mark.parametrize("source", ["given", "variable", "project", "user", "shipped"])
def test_a_file_that_is_no_toml_is_a_fault_with_its_place(
    bare: None, tmp_path: Path, source: str, content: bytes, fault: str
) -> None:
    """Whichever source it is; what the other sources name counts."""
    path = {
        "project": Path("usagetrace.toml").absolute(),
        "user": places.config_file(os.environ),
        "shipped": tmp_path / "code/pack/usagetrace.toml",
    }.get(source, tmp_path / "given.toml")
    if source == "shipped":
        ship(tmp_path / "code", "pack", "pack")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    pair = {"function": "m:f", "event": "deploy"}
    env = dict(os.environ, **({"USAGETRACE_TARGETS": str(path)} if source == "variable" else {}))
    found = find_targets(path if source == "given" else [pair], env=env)
    assert short(found) == ([] if source == "given" else [("m:f", "deploy")])
    (said,) = found.faults
    assert said.startswith(f"{path}: {fault}")


# --- whose project ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["at", "below", "beside", "program"])
def test_a_projects_file_counts_unasked_only_where_the_program_takes_code_from(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Its folder is, or is above, a folder of code; one that merely is the working directory does not count."""
    project = Path.cwd()
    (project / "usagetrace.toml").write_text('[track]\ndeploy = "m:f"')
    user_file('[track]\nsync = "m:s"')
    code = {"at": project, "below": project / "src", "beside": tmp_path / "code"}.get(place)
    monkeypatch.setattr(sys, "path", [str(code)] if code else [])
    if place == "program":
        monkeypatch.setattr(sys.modules["__main__"], "__file__", str(project / "bin" / "tool.py"), raising=False)
    found = find_targets(trust_project=False)
    counts = place != "beside"
    assert short(found) == [*([("m:f", "deploy")] if counts else []), ("m:s", "sync")]
    assert found.untrusted == ([] if counts else [str(project / "usagetrace.toml")])
    assert found.faults == []
    # Where somebody asked for it, it always counts.
    assert short(find_targets()) == [("m:f", "deploy"), ("m:s", "sync")]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_code_below_a_folder_where_anybody_may_write_says_nothing_of_its_files(
    bare: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in /tmp: who puts a file there can't put code below it. A folder that code is taken from is another matter."""
    project = Path.cwd()
    project.chmod(0o1777)
    (project / "usagetrace.toml").write_text('[track]\ndeploy = "m:f"')
    monkeypatch.setattr(sys, "path", [str(project / "env" / "lib")])
    assert find_targets(trust_project=False).untrusted == [str(project / "usagetrace.toml")]
    monkeypatch.setattr(sys, "path", [str(project)])
    assert short(find_targets(trust_project=False)) == [("m:f", "deploy")]


def test_a_file_that_the_user_names_is_trusted(bare: None, tmp_path: Path) -> None:
    """The variables are the user's own word, wherever the files lie."""
    (tmp_path / "a.toml").write_text('[track]\ndeploy = "m:f"')
    for variable in ("USAGETRACE_CONFIG", "USAGETRACE_TARGETS"):
        env = {"HOME": os.environ["HOME"], variable: str(tmp_path / "a.toml")}
        assert short(find_targets(env=env, trust_project=False)) == [("m:f", "deploy")]


def test_a_project_without_targets_is_not_called_untrusted(bare: None) -> None:
    """Its settings are looked at by others."""
    Path("usagetrace.toml").write_text("[analytics]\nretention-days = 3")
    assert find_targets(trust_project=False).untrusted == []


# --- packages that ship targets --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["pack", "pack:usagetrace.toml", "pack.data:own.toml", "pack.data : own.toml"])
def test_a_package_ships_targets_and_is_not_imported(bare: None, tmp_path: Path, value: str) -> None:
    """The value names a package, and a file in it where that is not usagetrace.toml."""
    code = tmp_path / "code"
    ship(code, "pack", value, usagetrace='[track]\ndeploy = "pack:f"')
    (code / "pack/data").mkdir()
    (code / "pack/data/own.toml").write_text('[track]\ndeploy = "pack:f"')
    found = find_targets()
    assert (short(found), found.faults) == ([("pack:f", "deploy")], [])
    assert "pack" not in sys.modules


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("nowhere", "entry point pack = nowhere: no such package, or not one that is a folder; expected package or "
                    "package:file.toml"),
        ("pack.none", "entry point pack = pack.none: no such package, or not one that is a folder; expected package or "
                      "package:file.toml"),
        ("pack:none.toml", "no such file of targets: {code}/pack/none.toml"),
    ],
)  # fmt: skip
def test_an_entry_point_that_leads_nowhere_is_a_fault(bare: None, tmp_path: Path, value: str, fault: str) -> None:
    """It says which one."""
    ship(tmp_path / "code", "pack", value, usagetrace="")
    found = find_targets()
    assert found.faults == [fault.replace("{code}", str(tmp_path / "code"))]


def test_a_namespace_package_may_be_in_several_places(bare: None, tmp_path: Path, monkeypatch: Any) -> None:
    """The place that has the file counts."""
    for place in ("one", "two"):
        (tmp_path / place / "spread").mkdir(parents=True)
    (tmp_path / "two/spread/usagetrace.toml").write_text('[track]\ndeploy = "spread.m:f"')
    ship(tmp_path / "code", "pack", "spread")
    monkeypatch.setattr(sys, "path", [str(tmp_path / place) for place in ("code", "one", "two")])
    assert short(find_targets()) == [("spread.m:f", "deploy")]


# Fails as soon as anything of the package is imported, compiled or executed.
AUDIT = """
import sys
from usagetrace.autoinstrument.sources import find_targets

seen = []
def look(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] == "pack":
        seen.append(arguments[0])
    if event == "exec" and arguments[0].co_filename.startswith(sys.argv[1]):
        seen.append(arguments[0].co_filename)
sys.addaudithook(look)
found = find_targets()
print([t.function for t in found.targets], found.faults, seen, "pack" in sys.modules)
"""


def test_nothing_of_a_package_is_executed(tmp_path: Path) -> None:
    """An audit hook sees neither an import of it nor code of it, in a process of its own."""
    ship(tmp_path / "code", "pack", "pack", usagetrace='[track]\ndeploy = "pack:f"')
    paths = [str(tmp_path / "code"), str(Path(sources.__file__).parents[2])]
    env = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", AUDIT, paths[0]], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "['pack:f'] [] [] False\n"


def test_what_stands_in_sys_path_may_be_anything(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs put other things than texts there, and folders and files that are not there or can't be listed."""
    (tmp_path / "file.zip").write_bytes(b"")
    monkeypatch.setattr(sys, "path", [tmp_path, None, 3, str(tmp_path / "file.zip"), "/no/such", ""])
    Path("usagetrace.toml").write_text('[track]\ndeploy = "m:f"')
    found = find_targets(trust_project=False)
    assert (short(found), found.faults) == ([("m:f", "deploy")], [])


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Editors of one system write it before the first line."""
    path = tmp_path / "targets.toml"
    path.write_bytes(b'\xef\xbb\xbf[track]\r\ndeploy = "a:b"\r\n')
    found = find_targets(str(path))
    assert ([target.function for target in found.targets], found.faults) == (["a:b"], [])
