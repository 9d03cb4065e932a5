"""The page on moving from the JSON file is followed word for word, in one process."""

from __future__ import annotations

import gc
import os
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from usagetrace.cli.app import app
from usagetrace.cli.context import Cli

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-from-json-metrics.md"


@pytest.mark.e2e
def test_the_five_phases_go_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file and every command in order; each prints what stands below it, and ends well."""
    from tests.test_docs import blocks_of, commands_of, plain, shown_as

    monkeypatch.chdir(tmp_path)
    ran = 0
    for block in blocks_of(PAGE):
        name = block.marked("file")
        if name is not None:
            Path(name).write_text(block.text, "utf-8")
        for command, shown in commands_of(block) if block.language == "console" else ():
            program, *arguments = shlex.split(command)
            if program == "python":
                runpy.run_path(arguments[0])
                # As at the end of the program that it is: what it left open is closed.
                gc.collect()
                printed = capsys.readouterr().out
            else:
                assert program == "usagetrace"
                result = CliRunner().invoke(app, arguments, obj=Cli(dict(os.environ), tmp_path))
                assert result.exit_code == 0, (command, result.output)
                printed = result.output
            assert shown_as(shown).fullmatch(plain(printed)), f"{block.place}: $ {command}\n{printed}"
            ran += 1
    assert ran == 13
