"""From what the sources of settings say of redaction to the one policy in force.

The user's word is the environment's, a file's that the user names there, and the user's own file's. To it comes what
the tool's code says, and a project's file, which may lie in somebody else's repository: it can make redaction stricter
and never weaker. Where sources differ, the stricter one counts. Files are read by :mod:`usagetrace.setting_files`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from usagetrace.errors import ConfigurationError
from usagetrace.redaction.policy import KEY_MODES, MODES, Policy
from usagetrace.redaction.policy_check import TABLE_KEYS, table_faults
from usagetrace.setting_files import read_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, Final

    from usagetrace.setting_files import Source

# Sets the mode.
MODE_VARIABLE: Final = "USAGETRACE_REDACTION_MODE"
_TABLE: Final = "redaction"
_ARGUMENT: Final = "configure(redaction=...): "


def redaction_policy(environ: Mapping[str, str] | None = None, cwd: str | Path | None = None) -> Policy | None:
    """Return what environment and files say of redaction, whether or not anything is recorded; None for the default.

    Args:
        environ: The environment; ``os.environ`` by default.
        cwd: Where the search for a project file starts; the working directory by default.

    Raises:
        ConfigurationError: Lists every fault of the files themselves and of what they say of redaction.
    """
    env: Mapping[str, str] = os.environ if environ is None else environ
    faults: list[str] = []
    policy = policy_of(None, env, read_files(env, cwd, faults), faults)
    if faults:
        raise ConfigurationError(faults)
    return policy


def policy_of(given: object, env: Mapping[str, str], files: Sequence[Source], faults: list[str]) -> Policy | None:
    """Return the policy that all sources together say; None where none says anything, or where one has a fault.

    Args:
        given: The argument of ``configure()``: a :class:`Policy`, a mapping like the table in a file, or None.
        env: The environment.
        files: The settings files, the strongest first.
        faults: Gets one sentence for each fault.
    """
    before = len(faults)
    own: list[Policy] = []
    projects: list[Policy] = []
    # What each kind of source says of the mode; a source that says nothing does not make the default of it.
    users, code, project = "", "", ""
    word = env.get(MODE_VARIABLE, "").strip().lower()
    if word:
        users = word
        if word not in MODES:
            faults.append(f"environment variable {MODE_VARIABLE}: expected {' or '.join(MODES)}, found {word[:60]!r}")
    for source in files:
        if _TABLE not in source.table:
            continue
        table = source.table[_TABLE]
        made = _policy(table, f"{source.label}: {_TABLE}.", source.is_project, faults)
        if made is None:
            continue
        if source.is_project:
            projects.append(made)
            project = table.get("mode", "")
        else:
            own.append(made)
            users = users or table.get("mode", "")
    if given is not None:
        made = given if isinstance(given, Policy) else _policy(given, _ARGUMENT, False, faults)
        if made is not None:
            own.append(made)
            code = _said_mode(given)
    if len(faults) > before or not (own or projects or users):
        return None
    mode = max((each for each in (users, code, project) if each), key=KEY_MODES.index, default="mask")
    return _joined(own, projects, mode)


def _joined(own: list[Policy], projects: list[Policy], mode: str) -> Policy:
    policy = own[0] if own else Policy()
    for other in own[1:]:
        policy = policy.joined(other)
    for other in projects:
        policy = policy.joined(other, trusted=False)
    return policy if policy.mode == mode else policy.joined(Policy(), mode=mode)


def _said_mode(given: object) -> str:
    if isinstance(given, Policy):
        # Nobody can tell whether the default was said: then the user's word counts.
        return given.mode if given.mode != "mask" else ""
    said = given.get("mode", "") if isinstance(given, Mapping) else ""
    return said if isinstance(said, str) else ""


def _policy(table: Any, label: str, is_project: bool, faults: list[str]) -> Policy | None:
    """Return the policy of one table; None where it has a fault."""
    # A callback is a function: it can come from code alone.
    callback = None
    if label == _ARGUMENT and isinstance(table, Mapping) and "callback" in table:
        callback = table["callback"]
        table = {key: value for key, value in table.items() if key != "callback"}
        if callback is not None and not callable(callback):
            faults.append(f"{label}callback: expected a function that takes a Match")
            return None
    found = table_faults(table, label, project=is_project)
    faults.extend(found)
    if found:
        return None
    return Policy(**{key: table[key] for key in TABLE_KEYS if key in table}, callback=callback)
