"""What the tests of faults share: a host that is told what to call, the same without us, and what came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.support.hosting import EXIT_CODE
from tests.support.process import bin_path, clean_environment
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up
from usagetrace.store.recovery import recover

ROOT: Final = Path(__file__).resolve().parents[2]
# What no call may take, in milliseconds; mostly it takes microseconds, and the rest is for a busy machine.
CALL_BOUND_MS: Final = 1000.0
# What is waited for that happens in another process.
PATIENCE_S: Final = 30.0


def as_anybody() -> tuple[str, ...]:
    """Return the command in front of a program that modes of files hold for: root's capability is given up."""
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


class Host:
    """A program that tracks, driven by commands; see :mod:`tests.support.hosting`.

    Args:
        database: Where it records.
        home: Its HOME and its working directory.
        prefix: A command in front of it.
    """

    def __init__(self, database: Path, home: Path, prefix: Sequence[str | Path] = ()) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._arguments = [*map(str, prefix), sys.executable, "-m", "tests.support.hosting"]
        self._database = database
        self._figures = home / f"figures-{time.monotonic_ns()}"
        self._commands: list[str] = []
        self._answers: list[str] = []
        self._unanswered = 0
        self._err = (home / f"{self._figures.name}.err").open("w+")
        self.process = self._start("tracked", self._figures)
        self.count = 0
        self.exit_s = 0.0
        self.figures: dict[str, Any] = {}
        self.warnings: list[str] = []

    def _start(self, mode: str, figures: Path) -> subprocess.Popen[str]:
        env = clean_environment(self._home, {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])})
        return subprocess.Popen(
            [*self._arguments, mode, str(self._database), str(figures)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._err, env=env, cwd=self._home, text=True,
        )  # fmt: skip

    def begin(self, command: str) -> None:
        """Give a command without waiting for its end."""
        assert self.process.stdin is not None
        self._commands.append(command)
        name, *values = command.split()
        numbers = [float(value) for value in values]
        self.count += int(numbers[0] * numbers[1]) if name == "threads" else int(numbers[0]) * (name == "calls")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self._unanswered += 1

    def wait(self) -> None:
        """Wait until all commands were answered."""
        assert self.process.stdout is not None
        for _ in range(self._unanswered):
            answer = self.process.stdout.readline()
            assert answer, "the host ended: " + self._said()
            self._answers.append(answer)
        self._unanswered = 0

    def do(self, command: str) -> None:
        """Give a command, and wait for its end."""
        self.begin(command)
        self.wait()

    def end(self, *, longest_ms: float = CALL_BOUND_MS) -> None:
        """Let it end; compare what it printed, and how it ended, with the same program without us.

        Args:
            longest_ms: What no call may have taken.
        """
        self.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        began = time.monotonic()
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.exit_s = time.monotonic() - began
        self._answers += self.process.stdout
        lines = self._said().splitlines()
        self.warnings = [line for line in lines if line.startswith("usagetrace: ")]
        self.figures = json.loads(self._figures.read_text())
        assert [line for line in lines if line not in self.warnings] == []
        assert len(set(self.warnings)) == len(self.warnings)
        with self._start("plain", self._figures) as plain:
            try:
                out, _ = plain.communicate("".join(f"{each}\n" for each in self._commands), timeout=PATIENCE_S)
            finally:
                plain.kill()
        assert ("".join(self._answers), code) == (out, plain.returncode)
        assert code == EXIT_CODE
        assert self.figures["longest_ms"] < longest_ms
        self.close()

    @property
    def lost(self) -> int:
        """How many events its last words say are lost."""
        found = [re.search(r"(\d+) usage events were lost", each) for each in self.warnings]
        return sum(int(each[1]) for each in found if each)

    def summary(self) -> str:
        """Return the figures, for whoever runs the tests with ``-rP``."""
        return (
            f"{self.count} calls, longest {self.figures['longest_ms']:.1f} ms, exit {self.exit_s:.2f} s, "
            f"lost {self.lost}, memory +{self.figures['grown_kb'] // 1024} MB, warnings {self.warnings}"
        )

    def close(self) -> None:
        """Kill it, if it runs yet."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._err):
            if stream is not None:
                stream.close()

    def _said(self) -> str:
        self._err.flush()
        self._err.seek(0)
        return self._err.read()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock of a database from another process."""
    source = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE'); "
        "print('locked', flush=True); sys.stdin.read(); c.execute('ROLLBACK'); c.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        # Leaving closes its input, which ends it.
        yield


def command(
    database: Path, *arguments: str, prefix: Sequence[str | Path] = (), form: str | None = "json"
) -> tuple[int, Any]:
    """Run ``usagetrace --db DATABASE ...``; return the exit code and what it printed as JSON, or its errors."""
    line = [*prefix, bin_path("usagetrace"), "--db", database, *arguments, *(["--format", form] if form else [])]
    done = subprocess.run(
        [str(each) for each in line], env=clean_environment(database.parent), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if form and done.stdout else done.stderr


def stored(database: Path) -> Counter[str]:
    """Return how often each artifact is in a database."""
    with Store(database) as store:
        return Counter(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))


def heal(database: Path) -> None:
    """Bring in what waits, and recover what turns out to be damaged, as often as that takes; the end is sound."""
    for _ in range(5):
        report = catch_up(database, budget=None)
        assert report is None or report.complete
        with Store(database) as store:
            faults = store.check()
        if not faults:
            break
        recover(database)
    with Store(database) as store:
        assert store.check() == []
        assert store.rebuild(repair=False).differences == []


def eventually(holds: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Wait until something holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(holds())


def names(first: int, last: int) -> Counter[str]:
    """Return the artifacts of the calls from one number until before another, each once."""
    return Counter(map(str, range(first, last)))


# --- small disks -------------------------------------------------------------------------------------------


class SmallDisk:
    """A disk of its own for a test, in a namespace that others don't see; or a limit to the size of one host's files.

    Args:
        folder: Where it is mounted.
        size_kb: Its size.
        mounted: Whether to mount one; else there is only the limit.
    """

    def __init__(self, folder: Path, size_kb: int, namespace: Sequence[str]) -> None:
        folder.mkdir()
        self.folder = folder
        self._keeper: subprocess.Popen[str] | None = None
        self._limit: int | None = None
        if not namespace:
            return
        script = 'mount -t tmpfs -o "size=$1k,mode=700" tmpfs "$2" && echo mounted && exec cat'
        self._keeper = subprocess.Popen(
            [*namespace, "sh", "-c", script, "sh", str(size_kb), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "mounted\n"
        user = ("--user", "--preserve-credentials") if "-r" in namespace else ()
        self._enter = ("nsenter", *user, "--mount", f"--target={self._keeper.pid}")

    @property
    def prefix(self) -> tuple[str, ...]:
        """The command in front of a program that is to see the disk as it is now."""
        if self._keeper is not None:
            return self._enter
        return () if self._limit is None else ("prlimit", f"--fsize={self._limit}:")

    def seen(self, path: Path) -> Path:
        """Return the path by which this process sees a file of the disk."""
        return path if self._keeper is None else Path(f"/proc/{self._keeper.pid}/root{path}")

    def healed(self, path: Path) -> Counter[str]:
        """Return what :func:`stored` finds after :func:`heal`, both done where the disk can be seen."""
        line = [*self.prefix, sys.executable, "-m", "tests.support.faults", str(path)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
        done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return Counter(json.loads(done.stdout))

    def fill(self, host: Host | None, *, room: int = 0, limit: int | None = None) -> None:
        """Leave so many bytes on the disk; without one, that is the limit of all files of the host.

        Args:
            host: The host, if it runs.
            room: Bytes to leave; without a disk, above its largest file.
            limit: Size of a file instead, where there is no disk.
        """
        if self._keeper is None:
            sizes = [each.stat().st_size for each in self.folder.rglob("*") if each.is_file()]
            self._limit = max(sizes, default=0) + room if limit is None else limit
            if host is not None:
                _limit_files(host, self._limit)
            return
        with (self.seen(self.folder) / "filling").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)) == 65536:
                    pass
            except OSError:
                pass
            file.truncate(max(file.tell() - room, 0))

    def make_room(self, host: Host | None) -> None:
        """Take the fault away."""
        self._limit = None
        if self._keeper is not None:
            (self.seen(self.folder) / "filling").unlink(missing_ok=True)
        elif host is not None:
            _limit_files(host, None)

    def close(self) -> None:
        """Let go of it; it goes with its last process."""
        if self._keeper is not None:
            with self._keeper:
                pass


def _limit_files(host: Host, size: int | None) -> None:
    # Imported here: Windows has none.
    import resource

    unlimited = resource.RLIM_INFINITY
    resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (unlimited if size is None else size, unlimited))


if __name__ == "__main__":
    heal(Path(sys.argv[1]))
    json.dump(stored(Path(sys.argv[1])), sys.stdout)
