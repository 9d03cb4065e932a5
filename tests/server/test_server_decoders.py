"""Reading in processes of their own: the same results, and none that is lost when such a process ends."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import PATIENCE_S, running, spans
from tests.support.planted import planted_logs, planted_metrics, planted_traces
from usagetrace.guard import forget_warnings
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, Decoder, Limits
from usagetrace.otlp.mapping import Mapping, Selector
from usagetrace.redaction import Policy, PolicyRule, Redactor
from usagetrace.redaction.shared import ClosedRedactor
from usagetrace.server import children, decoding
from usagetrace.server.bounds import Bounds
from usagetrace.server.children import Child
from usagetrace.server.reading import Here, Reader
from usagetrace.server.receiver import Receiver
from usagetrace.server.refusal import MALFORMED, TOO_LARGE, UNAVAILABLE, RefusalError

LIMIT = 1 << 20
PROGRAM = children._PROGRAM


@pytest.fixture(autouse=True)
def _no_body_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bodies would be read on the spot."""
    monkeypatch.setattr(children, "_SMALL", -1)


def eventually(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


@contextlib.contextmanager
def child(decoder: Decoder | None = None, *, limit: int = LIMIT, seconds: float = PATIENCE_S) -> Iterator[Child]:
    """Have a process that reads until the end of the block, and see that it ends."""
    reader = Child(decoder or Decoder(redactor=Redactor()), limit, seconds)
    reader.start()
    try:
        yield reader
    finally:
        reader.end()
        assert reader._process is None or reader._process.poll() is not None


def pid(reader: Child) -> int:
    assert reader._process is not None
    return reader._process.pid


def read(reader: Reader, signal_name: str, body: bytes, encoding: str = "identity", *, json: bool = False) -> Any:
    """Return what a reader makes of a body, whichever it is."""
    try:
        size, decoded = reader.read(signal_name, body, encoding, json=json)
    except RefusalError as refusal:
        return refusal.kind, refusal.message, refusal.retry_after_s
    return size, dataclasses.asdict(decoded)


def decoders() -> list[Decoder]:
    """Return decoders that differ in all that one is made of."""
    policy = Policy(mode="drop", keys={"planted": "mask"}, rules=[PolicyRule("word", "skill-[a-z]+")])
    place = Selector([("attribute", "http.route"), ("name", ""), ("literal", "deploy")])
    mapping = Mapping("*", "GET*", fields={"event": place}, metadata={"kind": Selector([("resource", "service.name")])})
    return [
        Decoder(redactor=Redactor("/home/somebody", "somebodys", "hostess", ["/mnt/homes/somebody"])),
        Decoder(redactor=Redactor(policy=policy), mappings=[mapping]),
        Decoder(redactor=Redactor(), limits=Limits(members=1)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_process_reads_as_a_thread_does(number: int) -> None:
    """Rows, points, counts, reasons and refusals are the same, by whichever policy, mappings, limits and names."""
    import gzip

    decoder = decoders()[number]
    traces = spans(
        "skill-one", "/home/somebody/x", "/mnt/homes/somebody/y", "by somebodys on hostess", scope="usagetrace"
    )
    bodies: list[tuple[str, bytes, str, bool]] = [
        (TRACES, traces, "identity", False),
        (TRACES, gzip.compress(traces), "gzip", False),
        (TRACES, spans("GET /a", scope="other", **{"http.route": "/a/{id}"}), "identity", False),
        (TRACES, planted_traces().SerializeToString(), "identity", False),
        (METRICS, planted_metrics().SerializeToString(), "identity", False),
        (LOGS, planted_logs().SerializeToString(), "identity", False),
        (TRACES, b'{"resourceSpans": []}', "identity", True),
        (TRACES, b"{", "identity", True),
        (TRACES, b"", "identity", False),
        (TRACES, b"\xff", "identity", False),
        (TRACES, traces, "gzip", False),
        (TRACES, b"\0" * (LIMIT + 1), "identity", False),
        ("nothing", b"", "identity", False),
    ]
    here = Here(decoder, LIMIT)
    with child(decoder) as reader:
        for name, body, encoding, json in bodies:
            if name == "nothing":
                # A fault of ours: told by both.
                with pytest.raises(ValueError, match="signal"):
                    here.read(name, body, encoding, json=json)
                forget_warnings()
                assert read(reader, name, body)[1] == "it could not be read: ValueError"
                continue
            assert read(reader, name, body, encoding, json=json) == read(here, name, body, encoding, json=json)


def test_a_process_that_ended_is_replaced() -> None:
    """Whoever asks next does not notice that the one before was killed while it had nothing to do."""
    with child() as reader:
        first = pid(reader)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: reader.trouble() is not None)
        assert reader.read(TRACES, spans("a"), "identity", json=False)[1].rows
        assert (reader.trouble(), pid(reader) != first) == (None, True)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5], ids=["nothing", "half_a_head", "half"])
def test_a_server_that_is_killed_at_once_leaves_a_process_that_says_nothing(share: float) -> None:
    """It may be killed before it has said what to read by: its process ends, and prints no traceback."""
    made = io.BytesIO()
    decoding.put_body(made, ("",), pickle.dumps((decoders()[0], LIMIT)))
    said = made.getvalue()
    cut = said[: int(len(said) * share)]
    command = [sys.executable, "-I", "-c", PROGRAM, *sys.path]
    ended = subprocess.run(command, input=cut, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def stuck(reader: Child) -> bytes:
    """Have a reader's process take no step more, as over a body that never ends; return a body."""
    os.kill(pid(reader), signal.SIGSTOP)
    return spans("a")


def test_a_process_that_is_killed_over_a_body_is_made_good() -> None:
    """The body is read by the next process; over whose end it is refused for good, for it would end all others."""
    with child() as reader, ThreadPoolExecutor(1) as pool:
        forget_warnings()
        first = pid(reader)
        asked = pool.submit(read, reader, TRACES, stuck(reader))
        eventually(lambda: reader._until is not None)
        os.kill(first, signal.SIGKILL)
        assert asked.result(PATIENCE_S)[1]["rows"]
        assert reader.trouble() is None


class Deadly(Child):
    """Its processes end over every body."""

    def _ask(self, process: Any, about: tuple[object, ...], body: bytes, seconds: float) -> bytes:
        if about:
            process.kill()
            process.wait()
        return super()._ask(process, about, body, seconds)


def test_a_body_that_ends_two_processes_is_refused_for_good() -> None:
    """The sender is told not to send it again, and the next body finds a process."""
    forget_warnings()
    reader = Deadly(Decoder(redactor=Redactor()), LIMIT, PATIENCE_S)
    assert read(reader, TRACES, spans("a"))[0] is MALFORMED
    reader.look()
    assert reader.trouble() is None
    reader.end()


def test_a_body_that_takes_too_long_is_refused() -> None:
    """Its process is ended by the watch and replaced; who sent it is to send less at once."""
    with child(seconds=0.0) as reader, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(read, reader, TRACES, stuck(reader))
        eventually(lambda: (reader.watch(), asked.done())[1])
        assert asked.result()[0] is TOO_LARGE
        reader.look()
        assert reader.trouble() is None


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told, whoever sends something is to come again, and it is tried again then."""
    forget_warnings()
    monkeypatch.setattr(children, "_PROGRAM", "raise SystemExit(3)")
    with child() as reader:
        assert "no process" in str(reader.trouble())
        assert read(reader, TRACES, spans("a"))[::2] == (UNAVAILABLE, 2)
        monkeypatch.setattr(children, "_PROGRAM", PROGRAM)
        assert reader.read(TRACES, spans("a"), "identity", json=False)[1].rows
        assert reader.trouble() is None


def test_health_tells_that_nothing_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the reason while no process reads, and again 200 when one does; what was sent meanwhile comes again."""
    forget_warnings()
    monkeypatch.setattr(children, "_PROGRAM", "raise SystemExit(3)")
    with running(tmp_path / "a.db", decoder=Decoder(redactor=Redactor()), decoders=1) as server:
        refused = server.post(spans("a"))
        assert (refused.status, refused.headers["retry-after"]) == (503, "2")
        said = server.ask("GET", "/health")
        assert (said.status, "no process that reads" in said.json()["reason"]) == (503, True)
        monkeypatch.setattr(children, "_PROGRAM", PROGRAM)
        assert server.post(spans("a")).status == 200
        assert server.ask("GET", "/health").status == 200
        assert server.names() == ["a"]


def test_a_small_body_is_read_on_the_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to a process takes longer than reading it; one that is compressed may be large, and goes there."""
    forget_warnings()
    monkeypatch.setattr(children, "_PROGRAM", "raise SystemExit(3)")
    body = spans("a")
    monkeypatch.setattr(children, "_SMALL", len(body))
    with child() as reader:
        assert reader.read(TRACES, body, "identity", json=False)[1].rows
        assert read(reader, TRACES, body, "gzip")[0] is UNAVAILABLE
        assert read(reader, TRACES, spans("ab"), "identity")[0] is UNAVAILABLE


def test_a_callback_is_asked_where_it_was_given(tmp_path: Path) -> None:
    """A function of this process's own can't be asked in another one: a thread reads."""
    asked: list[str] = []
    policy = Policy(callback=lambda match: asked.append(match.rule))
    decoder = Decoder(redactor=Redactor(policy=policy))
    with running(tmp_path / "a.db", decoder=decoder, decoders=1) as server:
        assert (
            server.post(spans("a", note="ghp_" + "x1Y2" * 9, **{"usage.metadata.k": "ghp_" + "x1Y2" * 9})).status == 200
        )
    assert asked
    assert [type(each) for each in server.server.receiver._readers] == [Here]


def test_what_lets_nothing_out_is_not_made_anew() -> None:
    """A redactor that is closed, because the settings have a fault, must not become an open one in another process."""
    decoder = Decoder(redactor=ClosedRedactor())
    assert not decoder.is_portable()
    with pytest.raises(TypeError, match="alone"):
        pickle.dumps(decoder)


def test_a_stop_ends_processes_over_a_body(tmp_path: Path) -> None:
    """A body whose reading does not end holds the stop up for no longer than that may take; who sent it comes again."""
    receiver = Receiver(tmp_path / "a.db", Decoder(redactor=Redactor()), Bounds(), processes=2)
    receiver.start()
    readers: list[Any] = receiver._readers
    eventually(lambda: all(each.trouble() is None for each in readers))
    for each in readers:
        stuck(each)
    futures = [
        receiver.submit(receiver.admission.enter(), TRACES, spans("a"), "identity", json=False) for _ in range(2)
    ]
    eventually(lambda: all(each._until is not None for each in readers))
    receiver.stop(0.2)
    for future in futures:
        error = future.exception(PATIENCE_S)
        assert isinstance(error, RefusalError)
        assert error.kind is UNAVAILABLE
    assert receiver.stop(PATIENCE_S)
    eventually(lambda: not any(each.name.startswith("usagetrace-decoder") for each in threading.enumerate()))
