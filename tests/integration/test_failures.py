"""The host is never failed, held up or changed, whatever is wrong with the store."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.process import Ended, clean_environment, run, run_python
from usagetrace.spool.layout import spool_directory
from usagetrace.store.catchup import catch_up

TOOL = """
    import sys, time
    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type="skill"):
        return artifact_name.upper()

    longest = 0.0
    for number in range(20):
        began = time.perf_counter()
        print(deploy(f"skill-{number}"))
        # The first call also imports the SDK and makes the store; what the store may block is measured from the next.
        if number:
            longest = max(longest, time.perf_counter() - began)
    open("longest", "w").write(str(longest))
    sys.exit(3)
"""
PLACE = Path(".local/share/usagetrace/tool")
OUT = "".join(f"SKILL-{number}\n" for number in range(20))


def longest_call(home: Path) -> float:
    return float((home / "longest").read_text())


def events(database: Path) -> int:
    """Bring in what waits, as every reader does, and count."""
    report = catch_up(database)
    assert report is not None
    assert report.complete
    return stored(database)


def stored(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM events").fetchone()[0])


def unchanged(ended: Ended) -> bool:
    return (ended.code, ended.out) == (3, OUT)


def seed(home: Path) -> Path:
    """Let the tool record 20 events, and bring them into its store; return the database."""
    run_python(TOOL, home)
    database = home / PLACE / "analytics.db"
    assert events(database) == 20
    return database


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Hold the write lock from another process."""
    source = """
        import sqlite3, sys, time
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        time.sleep(float(sys.argv[2]))
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), str(database), str(seconds)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_healthy_store_takes_every_event(tmp_path: Path) -> None:
    """The tool of these tests records 20 events when nothing is wrong, and says nothing."""
    ended = run_python(TOOL, tmp_path)
    assert unchanged(ended)
    assert ended.err == ""
    assert events(tmp_path / PLACE / "analytics.db") == 20


def test_a_locked_database_holds_nobody_up(tmp_path: Path) -> None:
    """With the database locked for longer than the tool runs nothing differs, no call waits, and nothing is lost."""
    database = seed(tmp_path)
    with locked(database, 60):
        ended = run_python(TOOL, tmp_path)
    assert unchanged(ended)
    assert longest_call(tmp_path) < 0.05 + 0.2  # the second figure is for a machine that is busy with other tests
    assert ended.err == ""
    assert stored(database) == 20
    assert events(database) == 40


def test_events_wait_for_a_lock_that_clears(tmp_path: Path) -> None:
    """What a program recorded while the database was locked is in it once it is free, though nobody flushed."""
    database = seed(tmp_path)
    source = TOOL.replace("sys.exit(3)", "time.sleep(1.2); deploy('last'); time.sleep(3); import os; os._exit(3)")
    with locked(database, 2.5):
        ended = run_python(source.replace("print(", "str("), tmp_path)
    assert (ended.code, ended.err) == (3, "")
    assert stored(database) > 20
    assert events(database) == 41


@pytest.mark.parametrize("obstacle", ["file in the way", "proc"])
def test_a_place_that_cannot_be_written(tmp_path: Path, obstacle: str) -> None:
    """Where no directory can be made, one warning names the file and the remedy, and the tool runs on."""
    if obstacle == "file in the way":
        (tmp_path / ".local").mkdir()
        (tmp_path / ".local/share").write_text("not a directory")
        env = {}
    else:
        env = {"USAGETRACE_DB_PATH": "/proc/usagetrace/analytics.db"}
    ended = run_python(TOOL, tmp_path, env)
    assert unchanged(ended)
    assert len(ended.err.splitlines()) == 1
    assert "analytics.db" in ended.err
    assert "db-path" in ended.err


@pytest.mark.parametrize("exists", [True, False])
def test_a_read_only_directory(tmp_path: Path, exists: bool) -> None:
    """In a directory that may not be written, with a store in it or without, the tool is as it was."""
    database = seed(tmp_path) if exists else tmp_path / PLACE / "analytics.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    spool = Path(spool_directory(database))
    if exists:
        database.chmod(0o400)
        spool.chmod(0o500)
    database.parent.chmod(0o500)
    (tmp_path / "tool.py").write_text(textwrap.dedent(TOOL))
    # Root may write anywhere, unless that one capability is given up.
    as_anybody = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    try:
        ended = run([*as_anybody, sys.executable, tmp_path / "tool.py"], tmp_path)
    finally:
        database.parent.chmod(0o700)
    assert unchanged(ended)
    assert longest_call(tmp_path) < 0.05 + 0.2
    assert len(ended.err.splitlines()) == 1
    assert "analytics.db" in ended.err
    if not exists:
        assert not database.exists()
        return
    database.chmod(0o600)
    spool.chmod(0o700)
    assert events(database) == 20


def test_a_read_only_directory_becomes_writable(tmp_path: Path) -> None:
    """What a program recorded while the directory was read-only is stored once it may be written, by the same run."""
    database = tmp_path / PLACE / "analytics.db"
    database.parent.mkdir(parents=True)
    database.parent.chmod(0o500)
    source = textwrap.dedent(TOOL).replace(
        "sys.exit(3)",
        "open('recorded', 'w').close()\nwhile not os.path.exists('writable'): time.sleep(0.01)\nsys.exit(3)",
    )
    (tmp_path / "tool.py").write_text("import os\n" + source)
    as_anybody = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    tool = subprocess.Popen(
        [*as_anybody, sys.executable, str(tmp_path / "tool.py")],
        env=clean_environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 30
        while not (tmp_path / "recorded").exists() and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(database.parent.iterdir())
    finally:
        database.parent.chmod(0o700)
        (tmp_path / "writable").touch()
        out, err = tool.communicate(timeout=60)
    assert (tool.returncode, out) == (3, OUT)
    assert len(err.splitlines()) <= 1
    assert events(database) == 20


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """A file of something else at the store's place stays byte for byte as it was; events wait beside it."""
    database = tmp_path / PLACE / "analytics.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"my diary, not yours\n" * 500)
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    ended = run_python(TOOL, tmp_path)
    assert unchanged(ended)
    report = catch_up(database)
    assert report is not None
    assert not report.complete
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert len(ended.err.splitlines()) <= 1
    database.rename(tmp_path / "diary")
    assert events(database) == 20


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    """A database of a version that is not known yet is neither read into nor changed; events wait for a newer tool."""
    database = seed(tmp_path)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO schema_migrations (version, applied_at, description, checksum) VALUES (99, '', 'later', 'x')"
        )
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    ended = run_python(TOOL, tmp_path)
    assert unchanged(ended)
    assert len(ended.err.splitlines()) <= 1
    report = catch_up(database)
    assert report is not None
    assert not report.complete
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = 99")
    assert events(database) == 40


def test_a_full_disk(tmp_path: Path) -> None:
    """Where files stop growing, the tool runs on with one warning; what fitted is there, and nothing twice."""
    pytest.importorskip("resource")
    source = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
    """
    ended = run_python(textwrap.dedent(source) + textwrap.dedent(TOOL), tmp_path)
    assert unchanged(ended)
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 1
    # A new file takes another 2 kB, as on a disk where room is made.
    assert 0 < events(tmp_path / PLACE / "analytics.db") <= 20


def test_a_faulty_setting_means_off_and_one_warning(tmp_path: Path) -> None:
    """Every fault of the settings is told in one warning; nothing is recorded and the tool runs on."""
    (tmp_path / "usagetrace.toml").write_text('[analytics]\nretention-days = "soon"\nenabeld = true\n')
    ended = run_python(TOOL, tmp_path)
    assert unchanged(ended)
    assert ended.err.count("usagetrace:") == 1
    assert "retention-days" in ended.err
    assert "enabeld" in ended.err
    assert not (tmp_path / ".local").exists()


def test_an_exporter_that_raises(tmp_path: Path) -> None:
    """On the application's own provider, an exporter that raises changes neither output nor exit code."""
    source = """
        import logging
        logging.disable(logging.CRITICAL)  # the SDK's own processor logs what an exporter raises
        import usagetrace
        from opentelemetry.sdk.trace import TracerProvider, SpanProcessor
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

        class Raising(SpanExporter):
            def export(self, spans):
                raise RuntimeError("exporter")

        class Worse(SpanProcessor):
            def on_start(self, span, parent_context=None):
                raise RuntimeError("on_start")
            def on_end(self, span):
                raise RuntimeError("on_end")

        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(Raising()))
        provider.add_span_processor(Worse())
        usagetrace.configure(tracer_provider=provider)
    """
    ended = run_python(textwrap.dedent(source) + textwrap.dedent(TOOL), tmp_path)
    assert unchanged(ended)
    assert ended.err == ""


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two tools that write into one new store at the same time are both counted in full."""
    source = textwrap.dedent(TOOL).replace("range(20)", "range(200)").replace("print(", "str(")
    (tmp_path / "tool.py").write_text(source)
    command = [sys.executable, str(tmp_path / "tool.py")]
    running = [
        subprocess.Popen(command, env=clean_environment(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [3, 3]
    assert errors == [b"", b""]
    database = tmp_path / PLACE / "analytics.db"
    assert events(database) == 400
    with closing(sqlite3.connect(database)) as connection:
        summary = connection.execute(
            "SELECT artifact_type, artifact_name, total_events, deploy_count FROM usage_summary ORDER BY 1, 2"
        ).fetchall()
        recount = connection.execute(
            "SELECT artifact_type, artifact_name, COUNT(*), SUM(event_type = 'deploy') FROM events "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
    assert summary == recount
