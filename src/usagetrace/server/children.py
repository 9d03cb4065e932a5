"""The server's end of a process that reads bodies: started, asked, watched, replaced.

A body over which two processes ended is refused for good, and one that takes too long as well: sent again, it would end
the next ones. Whatever else ends a process (a signal, a lack of memory) is made good by the next one, unnoticed.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from usagetrace.guard import guard, warn_once
from usagetrace.server import decoding
from usagetrace.server.reading import Here
from usagetrace.server.refusal import MALFORMED, TOO_LARGE, UNAVAILABLE, RefusalError, stopping

if TYPE_CHECKING:
    from typing import IO

    from usagetrace.otlp.decode import Decoded, Decoder

# Seconds between two looks at a process that has nothing to do, and between two at one that has.
_LOOK_S: Final = 1.0
# Seconds that a process gets to be ready, and those after which who found none may come again.
_READY_S: Final = 60.0
_AGAIN_S: Final = 2
# Bytes of a body, not compressed, that are read on the spot: the way to a process and back takes longer, measured.
_SMALL: Final = 2048
# Seconds that a process gets to end by itself.
_END_S: Final = 1.0
# The search path is the server's own, nothing besides: not the directory that somebody happens to be in.
_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from usagetrace.server.decoding import main; main()"


class Child:
    """Reads bodies in a process of its own, but for small ones. A :class:`~usagetrace.server.reading.Reader`.

    Args:
        decoder: What the process is to read by.
        limit: Bytes of one body once decompressed.
        seconds: Seconds that one body may take.
    """

    rest_s: Final = _LOOK_S

    def __init__(self, decoder: Decoder, limit: int, seconds: float) -> None:
        self._here = Here(decoder, limit)
        self._made = pickle.dumps((decoder, limit))
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        # Guards what follows, against the watch and the end.
        self._lock = threading.Lock()
        self._until: float | None = None
        self._overdue = False
        self._ended = False
        self._trouble: str | None = "the process that reads is being started"

    def start(self) -> None:
        """Start the process; where that fails, :meth:`trouble` says so, and each body has it tried again."""
        with contextlib.suppress(RefusalError):
            self._ready()

    def look(self) -> None:
        """Replace the process where it is gone."""
        self.start()

    def read(self, signal: str, body: bytes, encoding: str, *, json: bool) -> tuple[int, Decoded]:
        """Return how long a body is once decompressed, and what it holds. See :class:`Reader`."""
        if len(body) <= _SMALL and encoding == "identity":
            return self._here.read(signal, body, encoding, json=json)
        for _ in range(2):
            process = self._ready()
            try:
                answer = self._ask(process, (signal, encoding, json), body, self._seconds)
            except (EOFError, OSError) as error:
                self._bury(process, error)
            except BaseException:
                # Half an answer may be left in its pipe: the next one would be taken for that body's.
                self._drop(process)
                raise
            else:
                return decoding.unpack(answer)
        raise RefusalError(MALFORMED, "it can't be read: two processes ended over it")

    def trouble(self) -> str | None:
        """Return why no process can read now; None where one can."""
        process = self._process
        if self._trouble is None and (process is None or process.poll() is not None):
            return "the process that reads ended, and is being replaced"
        return self._trouble

    def end(self) -> None:
        """Let the process go; one that is reading is ended."""
        with self._lock:
            self._ended = True
            process, busy = self._process, self._until is not None
        if process is not None and busy:
            # Whoever asked it takes leave of it.
            process.kill()
        elif process is not None:
            _close(process)

    def watch(self) -> None:
        """End the process where it takes longer than it may; from any thread."""
        with self._lock:
            if self._until is None or self._process is None or time.monotonic() < self._until:
                return
            self._overdue = True
            self._process.kill()

    def _ready(self) -> subprocess.Popen[bytes]:
        """Return a process that lives.

        Raises:
            RefusalError: None can be had.
        """
        process = self._process
        if process is not None and process.poll() is None:
            return process
        if process is not None:
            self._drop(process)
        try:
            process = self._begin()
        except (EOFError, OSError) as error:
            guard.note(error)
            self._trouble = f"no process that reads can be started ({type(error).__name__})"
            # Where the server ends just now, that is no trouble.
            if not self._ended:
                warn_once("server:decoder:start", "what is received can't be read: %s", self._trouble)
            raise RefusalError(UNAVAILABLE, "the server can't read requests now", retry_after_s=_AGAIN_S) from error
        self._trouble = None
        return process

    def _begin(self) -> subprocess.Popen[bytes]:
        flags = ["-I", *(["-B"] if sys.dont_write_bytecode else [])]
        path = [each for each in sys.path if each]
        with self._lock:
            if self._ended:
                raise EOFError("the server is stopping")
            # Under the lock: `end` sees it, or it is not begun.
            # A Ctrl-C is for the server alone: this one may still be starting, and would print a traceback.
            process = self._process = subprocess.Popen(  # noqa: S603 -- this interpreter
                [sys.executable, *flags, "-c", _PROGRAM, *path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        try:
            self._ask(process, (), self._made, _READY_S)
        except BaseException:
            self._drop(process)
            raise
        return process

    def _drop(self, process: subprocess.Popen[bytes]) -> bool:
        """End a process that is of no use any more; return whether the watch had ended it."""
        process.kill()
        _close(process)
        with self._lock:
            overdue, self._overdue, self._process = self._overdue, False, None
        return overdue

    def _ask(self, process: subprocess.Popen[bytes], about: tuple[object, ...], body: bytes, seconds: float) -> bytes:
        """Return a process's answer.

        Raises:
            EOFError, OSError: The process is gone.
        """
        stdin, stdout = _pipes(process)
        with self._lock:
            if self._ended:
                raise EOFError("the server is stopping")
            self._until = time.monotonic() + seconds
        try:
            decoding.put_body(stdin, about, body)
            return decoding.get_answer(stdout)
        finally:
            with self._lock:
                self._until = None

    def _bury(self, process: subprocess.Popen[bytes], error: Exception) -> None:
        """Take leave of a process that ended over a body.

        Raises:
            RefusalError: It had to.
        """
        overdue = self._drop(process)
        if self._ended:
            raise stopping() from error
        if overdue:
            raise RefusalError(
                TOO_LARGE, f"it takes longer than {self._seconds:g} s to read: send smaller batches"
            ) from error
        warn_once("server:decoder:ended", "a process that reads what is received ended (%s)", process.returncode)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise EOFError("a process without pipes")
    return process.stdin, process.stdout


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process and wait for its end."""
    # What could not be written any more is written once more when it is closed.
    with contextlib.suppress(OSError, EOFError):
        _pipes(process)[0].close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(OSError, EOFError):
        _pipes(process)[1].close()
