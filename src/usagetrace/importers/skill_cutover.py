"""The note beside a legacy skill-metrics file that says it was cut over: from then on the database alone is written.

Whoever writes or imports the file asks here. The note lies beside the file, so that it is seen by whoever looks there.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from usagetrace.errors import ImportFileError

_SUFFIX: Final = ".cutover"


@dataclass(frozen=True, slots=True)
class Cutover:
    """What the note says.

    Attributes:
        at: When it was cut over: ISO 8601 in UTC.
        database: The database that took over.
        copy: The copy of the file as it was then.
        sha256: Of the file as it was then, as hexadecimal text.
        invocations: How many it listed.
    """

    at: str
    database: str
    copy: str
    sha256: str
    invocations: int


def marker_path(path: str | os.PathLike[str]) -> Path:
    """Return where the note of a file lies, whether or not there is one."""
    return Path(f"{os.fspath(path)}{_SUFFIX}")


def find_cutover(path: str | os.PathLike[str]) -> Cutover | None:
    """Return what the note of a file says; None where there is none.

    Raises:
        ImportFileError: There is one that can't be read.
    """
    marker = marker_path(path)
    try:
        return Cutover(**json.loads(marker.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImportFileError(str(marker), error.strerror or type(error).__name__) from error
    except (ValueError, TypeError) as error:
        raise ImportFileError(
            str(marker), "expected what a cutover writes; remove the file if there was none, else cut over again"
        ) from error


def is_cut_over(path: str | os.PathLike[str]) -> bool:
    """Return whether a file was cut over; a note that can't be read counts."""
    return os.path.lexists(marker_path(path))


def cutover_text(cutover: Cutover) -> str:
    """Return a note as text."""
    return f"{json.dumps(asdict(cutover), indent=2)}\n"
