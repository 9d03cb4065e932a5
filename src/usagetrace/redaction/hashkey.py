"""The key of this installation, and hashes with it.

The key is 32 random bytes in ``redaction.key`` beside the user's settings. It is made when the first hash is asked for,
and never leaves the machine: with it, somebody could try out what a hash stands for.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading

from usagetrace import places
from usagetrace.guard import warn_once
from usagetrace.redaction.engine import HASH_START

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Bytes of a key.
KEY_LENGTH: Final = 32
# Hexadecimal digits of a hash: 64 bits, so that a million values share none by chance.
_DIGITS: Final = 16
# Rights of everybody but the owner.
_OTHERS: Final = 0o077

# Keys read so far by path; None where there is none to be had. A program uses one.
_keys: dict[str, bytes | None] = {}
_lock = threading.Lock()


def key_path() -> str:
    """Return where the key of this installation lies, whether or not it exists."""
    return os.path.join(os.path.dirname(places.config_text(os.environ)), "redaction.key")


def keyed_hash(value: str | bytes) -> str | None:
    """Return ``~h:`` and the first 16 hexadecimal digits of a value's HMAC-SHA256.

    Args:
        value: What is hashed; a text as UTF-8.

    Returns:
        The hash; None where there is no key: what was to be hashed has to be masked.
    """
    key = _key()
    if key is None:
        return None
    # Imported here: they are needed in one of three modes.
    import hashlib
    import hmac

    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return HASH_START + hmac.new(key, raw, hashlib.sha256).hexdigest()[:_DIGITS]


def _key() -> bytes | None:
    try:
        path = key_path()
    except RuntimeError:
        # Nobody knows the home directory: there is no place for a key.
        return None
    if path in _keys:
        return _keys[path]
    with _lock:
        if path not in _keys:
            _keys[path] = _read_or_make(path)
        return _keys[path]


def _read_or_make(path: str) -> bytes | None:
    """Return the key; None, with one warning, where it can't be read or made."""
    try:
        try:
            key = _read(path)
        except FileNotFoundError:
            _make(path)
            key = _read(path)
        if len(key) == KEY_LENGTH:
            return key
        fault = f"expected {KEY_LENGTH} bytes, found {len(key)}"
    except OSError as error:
        fault = error.strerror or type(error).__name__
    warn_once(
        f"redaction-key:{path}",
        "values are masked where they were to be hashed, because the key %s can't be used: %s; "
        "make it readable and writable for you, or remove it so that a new one is made",
        path,
        fault,
    )
    return None


def _read(path: str) -> bytes:
    # Not blocking: a pipe of this name would wait for somebody who writes into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        key = os.read(descriptor, KEY_LENGTH + 1)
        if os.name == "posix" and mode & _OTHERS and len(key) == KEY_LENGTH:
            _tighten(descriptor, path)
        return key
    finally:
        os.close(descriptor)


def _tighten(descriptor: int, path: str) -> None:
    """Take a key from everybody but its owner."""
    try:
        os.fchmod(descriptor, 0o600)
    except OSError:
        raise OSError(errno.EPERM, "others can read or write it, and its mode can't be set to 0600") from None
    if os.fstat(descriptor).st_mode & _OTHERS:
        # A file system without modes.
        raise OSError(errno.EPERM, "others can read or write it, and its mode can't be set to 0600")
    warn_once(
        f"redaction-key-mode:{path}",
        "the key %s was open to others on this machine: its mode is 0600 now; "
        "remove it, so that a new one is made, if somebody may have read it",
        path,
    )


def _make(path: str) -> None:
    """Make a key, whole or not at all; where another process is first, its key counts."""
    folder = os.path.dirname(path)
    os.makedirs(folder, 0o700, exist_ok=True)
    # Made exclusively (O_EXCL) and 0600; linked into place when it is whole, which fails where there is one already.
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".redaction-", suffix=".key")
    try:
        with open(descriptor, "wb") as file:
            file.write(os.urandom(KEY_LENGTH))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
        except OSError:
            # A file system without links: the first to make the name writes the key.
            _make_in_place(path)
    finally:
        os.unlink(name)


def _make_in_place(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with open(descriptor, "wb") as file:
        file.write(os.urandom(KEY_LENGTH))


def _in_child() -> None:
    global _lock
    # Another thread of the parent may have held it.
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
