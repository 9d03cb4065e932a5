"""Writes one switch into the user's settings file and leaves every other byte as it is.

No library writes TOML with its comments kept among what this package may depend on. So the text is edited in one of
several ways, and the first result that a real parser reads as exactly the wanted settings is taken.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from usagetrace.consent import fault_text
from usagetrace.errors import ConfigurationError

_KEY = r"""(?:"enabled"|'enabled'|enabled)"""
_TABLE = r"""(?:"analytics"|'analytics'|analytics)"""
# `enabled = VALUE` on a line of its own, and inside an inline table.
_LINE = re.compile(
    rf"^([ \t]*(?:{_TABLE}[ \t]*\.[ \t]*)?{_KEY}[ \t]*=[ \t]*)([^\s#][^#\r\n]*?)(?=[ \t]*(?:#[^\r\n]*)?\r?$)", re.M
)
_INLINE = re.compile(rf"""({_KEY}[ \t]*=[ \t]*)(true|false|"[^"\n]*"|'[^'\n]*'|[-+0-9][0-9._]*)""")
_HEADER = re.compile(rf"^[ \t]*\[[ \t]*{_TABLE}[ \t]*\][ \t]*(?:#[^\r\n]*)?(?:\r?\n|$)", re.M)
_OPENING = re.compile(rf"^([ \t]*{_TABLE}[ \t]*=[ \t]*\{{)([ \t]*)(\}}?)", re.M)


def write_enabled(path: Path, enabled: bool) -> bool:
    """Set ``[analytics] enabled`` in a settings file, which is made (0600 in a 0700 directory) where it is missing.

    Args:
        path: The file; where it is a link, what it leads to is changed.
        enabled: What to write.

    Returns:
        Whether the file was changed; False where it said so already.

    Raises:
        ConfigurationError: The file is not valid TOML, or the switch can't be written without disturbing the rest.
        OSError: The file can't be read or written.
    """
    target = Path(os.path.realpath(path))
    try:
        raw: bytes | None = target.read_bytes()
    except FileNotFoundError:
        raw = None
    try:
        text = (raw or b"").decode("utf-8")
        before = _parse(text)
    except ValueError as error:
        raise ConfigurationError(
            [f"{path}: {fault_text(error)}: nothing was written; correct the file, or move it away, and try again"]
        ) from error
    analytics = before.get("analytics", {})
    if not isinstance(analytics, dict):
        raise ConfigurationError([f"{path}: analytics: expected a table; nothing was written; remove that line first"])
    if analytics.get("enabled") is enabled:
        return False
    wanted = copy.deepcopy(before)
    wanted.setdefault("analytics", {})["enabled"] = enabled
    for edited in _edits(text, "true" if enabled else "false"):
        if _reads_as(edited, wanted):
            _replace(target, edited.encode("utf-8"))
            return True
    raise ConfigurationError(
        [f"{path}: found no safe place for the switch; nothing was written; write it yourself: "
         f"[analytics] enabled = {'true' if enabled else 'false'}"]
    )  # fmt: skip


def _edits(text: str, word: str) -> Iterator[str]:
    """Yield the text with the switch written in every way that might be the right one, the least change first."""
    for pattern in (_LINE, _INLINE):
        for match in pattern.finditer(text):
            yield text[: match.start()] + match[1] + word + text[match.end() :]
    end = "\r\n" if "\r\n" in text else "\n"
    for match in _HEADER.finditer(text):
        broken = "" if match[0].endswith("\n") else end
        yield f"{text[: match.end()]}{broken}enabled = {word}{end}{text[match.end() :]}"
    for match in _OPENING.finditer(text):
        comma = " " if match[3] else ", "
        yield f"{text[: match.end(1)]} enabled = {word}{comma}{match[3]}{text[match.end() :]}"
    gap = "" if not text else end if text.endswith("\n") else end * 2
    yield f"{text}{gap}[analytics]{end}enabled = {word}{end}"
    # Dotted keys at the top (analytics.retention-days = 30) allow no header of that name.
    yield f"analytics.enabled = {word}{end}{text}"


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        found = _parse(text)
    except ValueError:
        return False
    # repr tells 1 from true and keeps NaN equal to itself.
    return repr(_sorted(found)) == repr(_sorted(wanted))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _parse(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place whole: whoever reads it meanwhile sees the old or the new one."""
    mode = 0o600
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.exists():
            folder.mkdir(0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".config-", suffix=".toml")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
