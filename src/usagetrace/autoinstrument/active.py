"""The targets that are in force in this process: watched for, applied when their modules are executed, taken back.

The light core below ``usagetrace.auto`` and the instrumentor. It loads nothing that records before a module with a
target has been imported, imports none of those modules itself, and raises nothing: a target that can't be applied is
named in one warning, and the others are applied.
"""

from __future__ import annotations

import threading
from functools import partial

from usagetrace.autoinstrument import finder, propagation
from usagetrace.guard import guard, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any, Final

    from usagetrace.autoinstrument.patches import Ledger, Patch
    from usagetrace.autoinstrument.sources import Found
    from usagetrace.autoinstrument.target import Target

# What has become of a target.
WAITING: Final = "waiting"
ACTIVE: Final = "active"
FAILED: Final = "failed"
# What can't be tracked, because tracking calls it: each call would record the recording of another one.
_OWN: Final = frozenset(("usagetrace", "wrapt", "opentelemetry"))


class State:
    """What has become of one target in this process.

    Attributes:
        target: The target.
        state: ``waiting`` for its module to be imported, ``active``, or ``failed``.
        message: Why it failed.
        patches: What was replaced for it: a module that was executed twice has two.
    """

    __slots__ = ("message", "patches", "state", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.state = WAITING
        self.message = ""
        self.patches: list[Patch] = []

    @property
    def calls(self) -> int:
        """How often the target's function was called since it was put in force."""
        return sum(patch.calls for patch in self.patches)


class Instrumentation:
    """A set of targets in force."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._watched: list[tuple[str, Any]] = []
        self._ledger: Ledger | None = None
        self._begun = False
        self._lock = threading.RLock()

    def states(self) -> list[State]:
        """Return what has become of each target, in the order in which they were given."""
        return list(self._states.values())

    def begin(self, targets: Iterable[Target]) -> None:
        """Put targets in force, those of modules that are there already at once. One that is in force stays.

        Args:
            targets: Of each function one.
        """
        by_module: dict[str, list[State]] = {}
        for target in targets:
            if target.function in self._states:
                continue
            state = self._states[target.function] = State(target)
            if target.module.partition(".")[0] in _OWN:
                self._fail(state, "what records can't be recorded")
            else:
                by_module.setdefault(target.module, []).append(state)
        self._begun = True
        for name, states in by_module.items():
            if name == "__main__":
                continue
            told = partial(self._executed, states)
            self._watched.append((name, told))
            finder.watch(name, told)
        self._watch_main(by_module)

    def end(self) -> None:
        """Take everything back: each function becomes what it was."""
        with self._lock:
            watched, self._watched, self._begun = self._watched, [], False
            for name, told in watched:
                finder.unwatch(name, told)
            if self._ledger is not None:
                from usagetrace.autoinstrument import fired

                fired.settle(self.states())
                self._ledger.restore()
            self._states = {}

    def _watch_main(self, by_module: dict[str, list[State]]) -> None:
        """Look for the targets whose module is the program itself, which no import tells of."""
        from usagetrace.autoinstrument.main_script import names_of_main, watch_main

        by_name: dict[str, list[State]] = {}
        for module in names_of_main():
            for state in by_module.get(module, ()):
                by_name.setdefault(state.target.qualname.partition(".")[0], []).append(state)
        if by_name:
            watch_main(by_name, partial(self._main_defined, by_name))

    def _main_defined(self, by_name: dict[str, list[State]], module: ModuleType, name: str) -> None:
        """Apply the targets of one name of the main module, but those that were found elsewhere meanwhile."""
        # Under `python -m package` both the package and its `__main__` may be meant, and one imports the other's names.
        waiting = [state for state in by_name[name] if state.state == WAITING]
        if waiting:
            self._executed(waiting, module, False)

    def _executed(self, states: list[State], module: ModuleType, imported_before: bool) -> None:
        """Apply the targets of a module that has been executed."""
        if not self._begun:
            # Taken back meanwhile, in another thread.
            return
        # The second is told of by whoever writes the local store.
        from usagetrace.autoinstrument import fired  # noqa: F401
        from usagetrace.autoinstrument.patches import Ledger

        with self._lock:
            if self._ledger is None:
                self._ledger = Ledger()
            ledger = self._ledger
            applied = []
            # Functions first: a command that is named as one is left to that target.
            for state in sorted(states, key=lambda state: bool(state.target.framework)):
                applied += self._apply(ledger, state, module)
            ledger.hand_on(applied, module, everywhere=imported_before)
        if any(patch.target.preload for patch in applied):
            from usagetrace.autoinstrument.preload import preload

            preload()

    def _apply(self, ledger: Ledger, state: State, module: ModuleType) -> list[Patch]:
        from usagetrace.autoinstrument.patches import TargetError
        from usagetrace.errors import UsageTraceError

        try:
            if state.target.framework:
                from usagetrace.autoinstrument.frameworks import apply

                patches = apply(ledger, state.target, module)
            else:
                patches = [ledger.apply(state.target, module)]
        except TargetError as error:
            self._fail(state, str(error), warn=not state.target.optional)
            return []
        except (UsageTraceError, TypeError) as error:
            self._fail(state, str(error))
            return []
        except Exception as error:  # noqa: BLE001 -- a program's objects may raise anything when they are looked at
            guard.note(error)
            self._fail(state, f"{type(error).__name__} while it was looked at")
            return []
        state.state, state.message = ACTIVE, ""
        state.patches.extend(patches)
        return patches

    def _fail(self, state: State, message: str, *, warn: bool = True) -> None:
        state.state, state.message = FAILED, message
        if warn:
            target = state.target
            warn_once(f"target:{target.function}", "%s: %s is not recorded: %s", target.where, target.function, message)


# Of this process.
instrumentation: Final = Instrumentation()


def begin(given: Any = None, *, trust_project: bool = True) -> None:
    """Put in force what the arguments, the environment, the settings files and the installed packages name.

    Does nothing where the user said no. Never raises: each fault is one warning.

    Args:
        given: As :func:`usagetrace.autoinstrument.sources.find_targets` takes it.
        trust_project: False for a program that somebody runs anywhere.
    """
    with guard:
        from usagetrace.consent import consent

        if not consent().allowed:
            return
        propagation.begin()
        from usagetrace.autoinstrument import later

        if given is not None or not later.read_later(_put, trust_project=trust_project):
            from usagetrace.autoinstrument.sources import find_targets

            _put(find_targets(given, trust_project=trust_project))


def _put(found: Found) -> None:
    for fault in found.faults:
        warn_once(f"target:{fault}", "%s", fault)
    instrumentation.begin(found.targets)


def end() -> None:
    """Take back what :func:`begin` put in force."""
    with guard:
        from usagetrace.autoinstrument import later

        later.forget()
        propagation.end()
        instrumentation.end()
