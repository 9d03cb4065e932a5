"""``usagetrace demo``: a small real tool is used for a while, and its report is shown.

The tool runs in a process of its own, whose environment knows none of the user's settings: it writes into the demo's
folder alone and sends nothing anywhere. That is why it may run while recording is off.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from usagetrace.cli import tables
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.output import Page, say
from usagetrace.cli.report import overview_of
from usagetrace.cli.settings import examine
from usagetrace.cli.stores import open_for_reading
from usagetrace.cli.waiting import bring_in
from usagetrace.reports import ALL

# What could send the demo's events elsewhere, or switch it off.
_PREFIXES = ("OTEL_", "USAGETRACE_")
_TIMEOUT_S = 120

_NEXT = """
Decorate your own tool's functions, and its report looks like this one:

    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type, project_path): ...
"""


@click.command()
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put the demo's files in this new or empty folder instead of a temporary one.",
)
@pass_cli
def demo(cli: Cli, keep: Path | None) -> None:
    """Run a small real tool in a folder of its own and show the report of what it did."""
    folder = _folder(keep)
    off = examine(cli.environ, cli.cwd).off_reason
    if off:
        say(f"Recording is off ({off}). The demo runs because you asked for it; it writes only below {folder}.")
    say(f"Running a small tool in {folder} ...")
    database = folder / "analytics.db"
    _run_tool(cli.environ, folder)
    bring_in(database)
    if not database.exists():
        raise click.ClickException(f"the demo's tool recorded nothing; its files are in {folder}")
    page = Page(cli.environ)
    with open_for_reading(database) as store:
        tables.draw_overview(page, overview_of(store, ALL))
    page.heading("The database")
    page.line(str(database))
    page.line(f"Look into it:  usagetrace --db {_quoted(database)} events")
    page.line(f"When you have seen enough, delete {folder}")
    for line in _NEXT.strip("\n").split("\n"):
        page.line(line)
    page.write()


def _run_tool(environ: Mapping[str, str], folder: Path) -> None:
    try:
        process = subprocess.run(  # noqa: S603 -- this interpreter, a module of this package, a folder
            [sys.executable, "-m", "usagetrace.cli.demo_tool", str(folder)],
            env=_environment(environ, folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise click.ClickException(f"the demo's tool took over {_TIMEOUT_S} s; its files are in {folder}") from error
    said = process.stderr.decode("utf-8", "replace").rstrip("\n")
    if said:
        say(said)
    if process.returncode != 0:
        raise click.ClickException(f"the demo's tool failed ({process.returncode}); its files are in {folder}")


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="usagetrace-demo-")).resolve()
    folder = keep.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(f"--keep: {folder} is not empty: name a new or an empty folder")
    return folder


def _environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return an environment in which the tool finds its own settings: none but where to write."""
    home = str(folder)
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_PREFIXES) and name not in ("DO_NOT_TRACK", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    }
    return {
        **kept,
        "HOME": home,
        "USERPROFILE": home,
        "APPDATA": home,
        "LOCALAPPDATA": home,
        "OTEL_SERVICE_NAME": "usagetrace-demo",
        "USAGETRACE_DB_PATH": str(folder / "analytics.db"),
        # A folder that lies inside somebody's project must not make that project's settings count here.
        "USAGETRACE_CONFIG": str(_no_settings(folder)),
        # The interpreter looks for the user's packages below HOME, which is another one here.
        **({"PYTHONUSERBASE": base} if (base := _user_base()) else {}),
        "PYTHONUTF8": "1",
    }


def _no_settings(folder: Path) -> Path:
    path = folder / "usagetrace.toml"
    path.write_text("# The demo runs with the defaults.\n", "utf-8")
    return path


def _user_base() -> str:
    import site

    return os.environ.get("PYTHONUSERBASE") or site.getuserbase()


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
