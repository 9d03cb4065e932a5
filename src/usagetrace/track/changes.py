"""Notices that settings files changed while a process runs, and puts in force what they say of sampling then.

Looked at every few seconds at most, off the caller's path: by the thread that drains the local file, or, where there is
none, by a short thread of its own (:func:`look_soon`). What code and environment said stays. A file that has become
faulty changes nothing, and one warning names the fault.
"""

from __future__ import annotations

import os
import threading
import time

from usagetrace import places
from usagetrace.guard import guard, warn_once
from usagetrace.sampling_table import Rules, rules_of
from usagetrace.setting_files import read_files, upward
from usagetrace.setting_types import InvalidTableError, InvalidValueError, entry_faults
from usagetrace.track import rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

    # What tells that a file changed; None where there is none.
    Stamp = tuple[int, int, int] | None

VARIABLE: Final = "USAGETRACE_SAMPLING"
_NAMES: Final = ("usagetrace.toml", "pyproject.toml")
# Seconds between two looks.
_INTERVAL: Final = 2.0


class Watch:
    """The settings files of a process, and what was seen of them.

    Args:
        environ: The environment.
        start: Where the search for a project's file began; the working directory may be another one by now.
        rules: What is in force; None where nobody says anything.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        start: str,
        rules: Rules | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._start = start
        self._lasting = Rules() if rules is None else Rules({name: rules[name] for name in rules.lasting})
        self._clock = clock
        # None until the first look: it reads the files, for they may have changed since the settings were loaded.
        self._seen: list[Stamp] | None = None
        self._due = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the last look was some seconds ago."""
        return self._clock() >= self._due

    def look(self, brought: int = 0) -> None:
        """Look at the files, unless that was done a moment ago, and read them where one of them changed.

        Args:
            brought: Not used: how many events were brought into the store, which whoever drains tells everybody.
        """
        if self.is_due:
            self.take_turn()()

    def take_turn(self) -> Callable[[], None]:
        """Return what looks now; nobody else does within the next seconds."""
        self._due = self._clock() + _INTERVAL
        return self._look

    def _look(self) -> None:
        seen = [_stamp(path) for path in self._paths()]
        if seen == self._seen:
            return
        self._seen = seen
        faults: list[str] = []
        rules = Rules(self._lasting)
        for source in read_files(self._environ, self._start, faults):
            said = source.table.get("sampling")
            if said is not None:
                rules.take(_rules(f"{source.label}: sampling.", said, faults), lasting=False)
        if not faults:
            rates.apply(rules)
            return
        # Read again at the next look: what could not be opened now may be there then, and look no different.
        self._seen = None
        warn_once(
            "sampling:changed",
            "settings changed and have faults; how much is kept of which events stays as it was:\n  %s",
            "\n  ".join(faults),
        )

    def stop(self) -> None:
        """Do nothing: a look takes no time."""

    def _paths(self) -> Iterator[str]:
        yield places.config_text(self._environ)
        named = self._environ.get("USAGETRACE_CONFIG", "").strip()
        if named:
            yield named
            return
        for directory in upward(self._start):
            for name in _NAMES:
                yield os.path.join(directory, name)


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _rules(label: str, said: object, faults: list[str]) -> Rules:
    try:
        return rules_of(said)
    except InvalidTableError as error:
        faults.extend(entry_faults(label, error.faults))
    except InvalidValueError as error:
        faults.append(f"{label.rstrip('.: ')}: {error}")
    return Rules()


# Of the process, where no thread drains that would look.
_current: Watch | None = None


def begin(watch: Watch | None) -> None:
    """Have :func:`look_soon` look at these files from here on; None for none."""
    global _current
    _current = watch


def begin_alone() -> None:
    """Put in force what environment and files say, and look at them from here on: nobody loads all settings here."""
    faults: list[str] = []
    said = os.environ.get(VARIABLE, "").strip()
    rules = _rules(f"environment variable {VARIABLE}: ", said, faults) if said else Rules()
    rules.lasting.update(rules)
    if faults:
        warn_once("sampling:environment", "how much is kept of which events: %s", "\n  ".join(faults))
    try:
        start = os.getcwd()
    except FileNotFoundError:
        start = os.sep
    watch = Watch(os.environ, start, rules)
    rates.apply(rules)
    watch.look()
    begin(watch)


def look_soon() -> None:
    """Look on a thread of its own, where the last look was some seconds ago. Costs its caller a look at the clock."""
    watch = _current
    if watch is None or not watch.is_due:
        return
    target = watch.take_turn()
    try:
        threading.Thread(target=guard(target), name="usagetrace-settings", daemon=True).start()
    except RuntimeError as error:
        # None starts while the interpreter ends.
        guard.note(error)
