"""The committed targets of foreign programs fit them, and most of them are suggested unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.examples.instrumented_kit import EXAMPLES, environment
from usagetrace.autoinstrument.sources import find_targets
from usagetrace.cli.app import app
from usagetrace.cli.context import Cli

PROGRAMS = ("papis", "pip", "vdirsyncer")
# Reads packages, and tells what was suggested and which modules were imported, by the interpreter's own account.
SUGGEST = """
import json, sys
imported = []
sys.addaudithook(lambda event, given: imported.append(given[0]) if event == "import" else None)
from usagetrace.autoinstrument.suggest import suggest
proposed = {name: [proposal.function for proposal in suggest(name).proposals] for name in sys.argv[1:]}
print(json.dumps({"proposed": proposed, "imported": imported, "loaded": list(sys.modules)}))
"""


def functions_in(file: Path) -> set[str]:
    """Return the functions that a file of targets names."""
    found = find_targets(env={"USAGETRACE_TARGETS": str(file), "HOME": str(file.parent)}, cwd=str(file.parent))
    assert not found.faults
    return {target.function for target in found.targets}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_target_fits_its_program(program: str, tmp_path: Path) -> None:
    """``targets check`` looks at every target, and has nothing to say."""
    file = EXAMPLES / program / "usagetrace.toml"
    line = ["targets", "check", "--config", str(file), "--format", "json"]
    cli = Cli(environ=environment(HOME=str(tmp_path)), cwd=tmp_path, arguments=tuple(line))
    ended = CliRunner().invoke(app, line, prog_name="usagetrace", obj=cli)
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told["findings"] == []
    assert told["targets"] == len(functions_in(file)) > 0


def test_most_targets_are_suggested_and_nothing_is_imported(tmp_path: Path) -> None:
    """Of the targets that are finally used, four of five are among the proposals for the three packages together.

    An audit hook sees every import that the interpreter begins; none is of the packages that are read.
    """
    ended = subprocess.run(
        [sys.executable, "-c", SUGGEST, *PROGRAMS],
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = json.loads(ended.stdout)
    found, used = 0, 0
    for program in PROGRAMS:
        wanted = functions_in(EXAMPLES / program / "usagetrace.toml")
        proposed = wanted & set(told["proposed"][program])
        print(f"{program}: {len(proposed)} of {len(wanted)}; not suggested: {sorted(wanted - proposed)}")
        found, used = found + len(proposed), used + len(wanted)
    assert found >= 0.8 * used
    begun = {name.partition(".")[0] for name in (*told["imported"], *told["loaded"])}
    assert "usagetrace" in begun
    assert begun.isdisjoint(PROGRAMS)
