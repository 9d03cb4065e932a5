"""Files that are locked for as long as they are open, by a lock that dies with its holder.

This module owns the platform's locks and what a fork does to them; what is in the files is not known here.
A child process shares its parent's open files, and would keep their locks alive for as long as it lives, whatever the
parent does with its own: it closes them. ``exec`` closes them by itself. No fork comes between the opening of a file
and its being known here, nor between its being forgotten and its closing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
# How long a fork waits for files that other threads open or close, in seconds: a file system may hang.
_REST_S: Final[float] = 1.0
_known: weakref.WeakSet[LockedFile] = weakref.WeakSet()
# Held while a file is opened or closed, and by a thread that forks. Re-entrant for finalizers and signal handlers.
_changing = threading.RLock()
_local = threading.local()


class NoLocksError(OSError):
    """The file system has no advisory locks."""


if sys.platform == "win32":
    import msvcrt

    # A byte that no segment reaches: locks are mandatory there, and readers must not meet one.
    _BYTE: Final = 0x7FFF0000

    def _lock(fd: int) -> bool:
        at = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            os.lseek(fd, _BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, at, os.SEEK_SET)
        return True

    def _unlock(fd: int) -> None:
        """Closing does it."""
else:
    import fcntl

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise NoLocksError(*error.args) from error
        return True

    def _unlock(fd: int) -> None:
        # Closing alone would leave it to a child that has just been forked, and has not closed its own yet.
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


class LockedFile:
    """An open file whose lock this process holds. It is closed, and the lock given back, with its last reference.

    Attributes:
        path: Where it lies.
        fd: The descriptor; -1 once it is closed.
    """

    __slots__ = ("__weakref__", "_pid", "fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd
        self._pid = os.getpid()
        _known.add(self)

    @classmethod
    def create(cls, path: str) -> LockedFile | None:
        """Make a file for appending, and lock it; None where another process was quicker to lock or remove it.

        Raises:
            OSError: The file can't be made, or exists.
            NoLocksError: The file system has no locks; no file is left.
        """
        # For reading too: should it be removed by somebody, its bytes can be read through it alone.
        return cls._take(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)

    @classmethod
    def take(cls, path: str, *, make: bool = False) -> LockedFile | None:
        """Open a file for appending and lock it; None where somebody else holds its lock, or it has just been removed.

        Args:
            path: The file.
            make: Make it when it is missing.

        Raises:
            OSError: The file can't be opened.
            NoLocksError: The file system has no locks.
        """
        return cls._take(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if make else 0))

    @classmethod
    def _take(cls, path: str, flags: int) -> LockedFile | None:
        with _changing:
            file = cls(path, os.open(path, flags | _BINARY, 0o600))
        # Between opening and locking another process may have taken the file for an orphan and removed it.
        try:
            if _lock(file.fd) and os.fstat(file.fd).st_nlink:
                return file
        except NoLocksError:
            if flags & os.O_EXCL:
                os.unlink(path)
            raise
        file.close()
        return None

    def is_in_place(self) -> bool:
        """Return whether the file is still the one under its path; True where that can't be known."""
        if sys.platform == "win32":
            # An open file can't be removed there.
            return True
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close the file, and so give back its lock."""
        with _changing:
            fd, self.fd = self.fd, -1
            if fd < 0:
                return
            if os.getpid() == self._pid:
                # A child, also one that nobody told us of, closes what is the parent's, and leaves its lock alone.
                _unlock(fd)
            os.close(fd)

    def remove(self) -> None:
        """Remove the file while the lock is held, then give it back.

        Raises:
            OSError: It can't be removed.
        """
        if sys.platform == "win32":
            # An open file can't be removed there.
            self.close()
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        finally:
            self.close()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


def _before() -> None:
    _local.rests = _changing.acquire(timeout=_REST_S)


def _in_parent() -> None:
    if _local.rests:
        _changing.release()


def _in_child() -> None:
    global _changing
    _changing = threading.RLock()
    for file in list(_known):
        with contextlib.suppress(OSError):
            file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
