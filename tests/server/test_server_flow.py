"""From the body to the commit: success means committed, several requests share a commit, faults are told."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.server.running import PATIENCE_S, PROTOBUF, Running, locked, running, spans
from usagetrace.guard import forget_warnings
from usagetrace.server.bounds import Bounds
from usagetrace.server.committer import Committer
from usagetrace.server.refusal import FAULT, RefusalError
from usagetrace.store.intake import Added, Intake, Received


def eventually(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def head(length: int) -> bytes:
    """Return what stands before a body."""
    return (
        f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def waiting(server: Running) -> int:
    return server.server.receiver.admission.waiting[0]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "analytics.db"


def test_success_is_said_after_the_commit(database: Path) -> None:
    """While another process holds the lock there is no answer; when there is one, the event is in the file."""
    with running(database) as server, ThreadPoolExecutor(1) as pool:
        with locked(database):
            asked = pool.submit(server.post, spans("late"))
            eventually(lambda: waiting(server) == 1)
            time.sleep(0.05)
            assert not asked.done()
        assert asked.result(PATIENCE_S).status == 200
        assert server.names() == ["late"]


def test_many_small_requests_share_commits(database: Path) -> None:
    """What waits while the store is busy goes into a few transactions together; each request is answered for itself."""
    count = 40
    with running(database) as server, ThreadPoolExecutor(count) as pool:
        with locked(database):
            asked = [pool.submit(server.post, spans(f"s{number}")) for number in range(count)]
            eventually(lambda: waiting(server) == count)
        assert [each.result(PATIENCE_S).status for each in asked] == [200] * count
        assert server.names() == sorted(f"s{number}" for number in range(count))
        # The first goes alone, and the rest is taken when that one is through; some may still be on the way then.
        assert server.server.receiver.commits <= count // 4


def test_a_busy_server_says_so(database: Path) -> None:
    """More requests than may wait are answered with 429 and Retry-After; those that wait are taken."""
    with running(database, bounds=Bounds(waiting_requests=3)) as server, ThreadPoolExecutor(3) as pool:
        with locked(database):
            asked = [pool.submit(server.post, spans(f"s{number}")) for number in range(3)]
            eventually(lambda: waiting(server) == 3)
            refused = server.post(spans("too many"))
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert [each.result(PATIENCE_S).status for each in asked] == [200] * 3
        assert server.post(spans("too many")).status == 200
        assert server.names() == ["s0", "s1", "s2", "too many"]


def test_the_bytes_that_wait_are_bounded(database: Path) -> None:
    """More bytes than may wait are answered with 429, also while they are still on the way."""
    with running(database, bounds=Bounds(waiting_bytes=1000)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(head(901) + b"\0" * 900)
            eventually(lambda: server.server.receiver.admission.waiting == (1, 900))
            refused = server.post(spans("x" * 200))
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        eventually(lambda: server.server.receiver.admission.waiting == (0, 0))
        assert server.post(spans("x" * 200)).status == 200


def test_a_locked_store_is_told_and_passes(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the lock is held for long the answer is 503 with Retry-After; /health says so before and after, and why."""
    with running(database, bounds=Bounds(lock_ms=50)) as server:
        with locked(database):
            assert server.ask("GET", "/health").status == 503
            refused = server.post(spans("kept by its sender"))
            assert (refused.status, refused.headers["retry-after"]) == (503, "2")
            health = server.ask("GET", "/health")
            assert (health.status, health.json()["status"]) == (503, "unavailable")
            assert "lock" in health.json()["reason"]
        assert server.post(spans("kept by its sender")).status == 200
        assert server.ask("GET", "/health").json()["status"] == "ok"
        assert server.names() == ["kept by its sender"]
    assert [record.levelname for record in caplog.records if record.name == "usagetrace"] == ["WARNING"]


def test_a_full_store_is_told_and_heals(database: Path) -> None:
    """A store that has no room any more is answered with 503; with room again, everything goes on."""
    with running(database) as server:
        assert server.post(spans("before")).status == 200
        intake = server.server.receiver._committer._intake
        pages = intake._store.connection.execute("PRAGMA page_count").fetchone()[0]
        intake._store.connection.execute(f"PRAGMA max_page_count = {pages}")
        much = spans(*(f"n{number}" for number in range(3000)))
        assert server.post(much).status == 503
        assert server.names() == ["before"]
        intake._store.connection.execute("PRAGMA max_page_count = 1000000")
        assert server.post(much).status == 200
        assert len(server.names()) == 3001


def test_a_stop_finishes_what_is_there(database: Path) -> None:
    """A request that was read is stored and answered after the stop; a new one is answered with 503, or not taken."""
    with running(database) as server, ThreadPoolExecutor(2) as pool:
        connection = socket.create_connection(("127.0.0.1", server.port))
        with contextlib.closing(connection), locked(database):
            # Accepted before the stop, and asked for something after it.
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            asked = pool.submit(server.post, spans("in time"))
            eventually(lambda: waiting(server) == 1)
            server.server.stop()
            eventually(lambda: server.server.receiver.admission._closed)
            with pytest.raises(RefusalError) as caught:
                server.server.receiver.admission.enter()
            assert (caught.value.kind.http, caught.value.retry_after_s) == (503, 5)
        assert asked.result(PATIENCE_S).status == 200
        server.thread.join(PATIENCE_S)
        assert server.names() == ["in time"]


def test_a_stop_does_not_wait_for_slow_bodies(database: Path) -> None:
    """A body that is still on its way at the stop is answered with 503 after a moment, and the server ends."""
    bounds = Bounds(last_bodies_s=0.1)
    with running(database, bounds=bounds) as server, socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(head(999) + b"begin")
        eventually(lambda: waiting(server) == 1)
        server.server.stop()
        slow.settimeout(PATIENCE_S)
        assert slow.recv(65536).startswith(b"HTTP/1.1 503 ")
        server.thread.join(PATIENCE_S)
        assert not server.thread.is_alive()


class Faulty(Intake):
    """A store with a fault of ours: it fails at one event, as nothing that SQLite says."""

    def add(self, received: Sequence[Received]) -> list[Added]:
        """Add, or fail."""
        if any(row[1] == "poison" for each in received for row in each.rows):
            raise ZeroDivisionError("a fault")
        return super().add(received)


def test_a_fault_costs_one_request(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A request that can't be written for a fault of ours is refused for good; those in its transaction are stored."""
    from usagetrace.events import Event

    forget_warnings()
    committer = Committer(Faulty(database), Bounds())
    rows = {name: tuple(Event("deploy", name, "skill", 1_790_000_000_000)) for name in ("one", "poison", "two")}
    futures = [committer.put(Received(rows=(row,))) for row in rows.values()]
    committer.start()
    assert committer.stop(PATIENCE_S)
    assert [futures[0].result(), futures[2].result()] == [Added(1), Added(1)]
    error = futures[1].exception()
    assert isinstance(error, RefusalError)
    assert (error.kind, error.retry_after_s) == (FAULT, None)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT artifact_name FROM events ORDER BY id").fetchall() == [("one",), ("two",)]
    assert len(caplog.records) == 1


def test_what_comes_after_the_stop_is_refused(database: Path) -> None:
    """Nobody waits for ever: what is handed over after the stop is told to come again."""
    committer = Committer(Intake(database), Bounds())
    committer.start()
    assert committer.stop(PATIENCE_S)
    error = committer.put(Received()).exception(PATIENCE_S)
    assert isinstance(error, RefusalError)
    assert error.kind.http == 503


def test_many_clients_at_once(database: Path) -> None:
    """Eight clients that send the same and different spans at once: each event is there once, whoever came first."""

    def client(server: Running, number: int) -> list[int]:
        own = [spans(f"c{number}-{each}", "shared") for each in range(10)]
        return [server.post(body).status for body in own]

    with running(database) as server, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda number: client(server, number), range(8)))
        assert said == [[200] * 10] * 8
        assert server.names() == sorted(["shared", *(f"c{a}-{b}" for a in range(8) for b in range(10))])
        shape = server.ask("GET", "/health").json()["signals"]["traces"]
    assert (shape["requests"], shape["added"], shape["duplicates"]) == (80, 81, 79)


def test_threads_of_a_server_end_with_it(database: Path) -> None:
    """After the end none of a server's threads is left."""
    before = set(threading.enumerate())
    with running(database, grpc=True) as server:
        assert server.post(spans("x")).status == 200
        with grpc.insecure_channel(server.server.grpc) as channel:
            channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")(b"", timeout=PATIENCE_S)
        eventually(lambda: any(each.name.startswith("usagetrace-grpc") for each in threading.enumerate()))
    eventually(lambda: not [each for each in set(threading.enumerate()) - before if each.name.startswith("usagetrace")])


def test_old_events_go_while_it_runs(database: Path) -> None:
    """A server looks after retention: events older than the days that it is given go; their counts stay."""
    from usagetrace.server.retention import Retention

    with running(database) as server:
        assert server.post(spans("old")).status == 200
        # The spans are of September 2026.
        retention = Retention(database, 1, None, first_s=0.0)
        assert retention.look() == (1 if time.time() > 1_790_100_000 else 0)
        retention.start()
        retention.stop(PATIENCE_S)
    assert server.names() == ([] if time.time() > 1_790_100_000 else ["old"])
