"""The legacy skill-metrics file on disk: read whole, replaced whole, one process at a time.

This module owns the lock and the replacing; what is in the file is :mod:`usagetrace.importers.skill_metrics`'s. A file
that can't be read is never written.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from usagetrace.errors import ImportFileError, StoreUnavailableError
from usagetrace.importers.skill_metrics import SkillMetricsReader
from usagetrace.spool.locks import LockedFile, NoLocksError

# How long another process's lock is waited for, in seconds: it writes the whole file.
LOCK_TIMEOUT_S: Final = 30.0
_LOOK_S: Final = 0.005


@contextlib.contextmanager
def locked(path: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock of a file; it lies beside it, and dies with its holder.

    Args:
        path: The file.
        timeout_s: How long to wait for it.

    Raises:
        StoreUnavailableError: It could not be had.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        held = _taken(str(lock), timeout_s)
    except NoLocksError:
        # Nothing better is to be had there: replacing the file as a whole still keeps it sound.
        yield
        return
    except OSError as error:
        raise StoreUnavailableError(f"{lock}: {error.strerror or type(error).__name__}") from error
    if held is None:
        raise StoreUnavailableError(f"{path}: another process has been writing it for {timeout_s:g} s; try again")
    try:
        yield
    finally:
        held.close()


def _taken(lock: str, timeout_s: float) -> LockedFile | None:
    end = time.monotonic() + timeout_s
    while True:
        held = LockedFile.take(lock, make=True)
        if held is not None or time.monotonic() > end:
            return held
        time.sleep(_LOOK_S)


def load(path: Path) -> dict[str, Any]:
    """Return what a file holds, looked at as a whole; an empty document where there is none.

    Raises:
        ImportFileError: It can't be read, or has a fault.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {"invocations": [], "skills": {}, "last_updated": None}
    except OSError as error:
        raise ImportFileError(str(path), error.strerror or type(error).__name__) from error
    SkillMetricsReader(path, after_cutover=True).check()
    try:
        document: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
    except ValueError:
        raise ImportFileError(str(path), "the file was changed while it was read: try again") from None
    return {"invocations": [], "skills": {}, "last_updated": None, **document}


def replace(path: Path, parts: Iterable[str]) -> None:
    """Put a file in place whole: whoever reads it meanwhile sees the old or the new one.

    Args:
        path: The file; where it is a link, what it leads to is replaced.
        parts: Its text, piece by piece.

    Raises:
        OSError: It can't be written; the old one is as it was.
    """
    target = Path(os.path.realpath(path))
    mode = 0o600
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(target.stat().st_mode)
    target.parent.mkdir(0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
