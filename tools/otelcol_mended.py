"""One module of the Collector, mended: a queue that is put back into order at a start loses nothing when cut off.

At a start the queue on disk takes what was on its way when the Collector ended, removes it, and puts it back piece by
piece, at some 2 ms each. A kill in between costs the rest. Here the removal comes last: a kill in between makes the
rest come twice, which ids see. This module owns that change alone; how a distribution is built is not known here.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

MODULE = "go.opentelemetry.io/collector/exporter/exporterhelper"
_FILE = Path("internal") / "queue" / "persistent_queue.go"
# The block that removes, and the line that everything has been put back before.
_REMOVAL = re.compile(r"^\tcleanupErr :=.*?^\t\}\n\n", re.DOTALL | re.MULTILINE)
_AFTER_ALL = re.compile(r"^\tif errCount > 0 \{$", re.MULTILINE)


def mended(source: str) -> str | None:
    """Return the queue's source with the removal at the end; None where it is another one than was looked at."""
    removals, ends = list(_REMOVAL.finditer(source)), list(_AFTER_ALL.finditer(source))
    if len(removals) != 1 or len(ends) != 1 or removals[0].end() > ends[0].start():
        return None
    (removal,), (end,) = removals, ends
    return source[: removal.start()] + source[removal.end() : end.start()] + removal[0] + source[end.start() :]


def replacement(version: str, folder: Path, run: Callable[[list[str]], str]) -> Path | None:
    """Put a mended copy of the module into a folder, and return where; None where that can't be done.

    Args:
        version: The module's version, which is that of the Collector's own components.
        folder: A folder for the copy.
        run: Runs a command and returns what it says on its standard output.
    """
    said = run(["go", "mod", "download", "-json", f"{MODULE}@{version}"])
    where = json.loads(said).get("Dir") if said.strip() else None
    if where is None:
        return None
    copy = folder / "exporterhelper"
    # Without the modes: Go's cache can't be written to.
    shutil.copytree(where, copy, copy_function=shutil.copyfile)
    for each in (copy, *copy.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    source = mended((copy / _FILE).read_text(encoding="utf-8"))
    if source is None:
        return None
    (copy / _FILE).write_text(source, encoding="utf-8")
    return copy
