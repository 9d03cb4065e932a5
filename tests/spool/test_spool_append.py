"""Appending: what is written, where, and what happens when it can't be."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.events import Event, Priority
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.spool import segment as spool_segment
from usagetrace.spool.layout import decode, encode
from usagetrace.spool.locks import LockedFile

MakeEvent = Callable[..., Event]


def test_making_a_spool_touches_no_file(folder: Path) -> None:
    """Neither directory nor file is made before the first append, nor by an append of nothing."""
    spool = Spool(folder)
    assert spool.append([])
    assert not folder.parent.exists()


def test_an_append_is_read_back_as_it_was(spool: Spool, event: MakeEvent, spooled: Callable[[], list[Event]]) -> None:
    """Every field of every event comes back, the events of one call in one record."""
    full = Event(
        "search", "canvas", "skill", 1, "default", "~/app", {"rank": 1, "score": 0.5, "tags": ["a", None]}, 2.5,
        "error", "ValueError", "usage", "high", "s-1", "tool", "a" * 32, "b" * 16, 3,
    )  # fmt: skip
    assert spool.append([full, event("other")])
    assert spool.append([event("third")])
    assert spooled() == [full, event("other"), event("third")]
    (name,) = segments(spool.directory)
    records = list(read_segment(Path(spool.directory) / name))
    assert [(len(record.events), record.sequence, record.gaps, record.damaged) for record in records] == [
        (2, 1, 0, 0),
        (1, 2, 0, 0),
    ]


def test_only_the_owner_may_look(spool: Spool, folder: Path, event: MakeEvent) -> None:
    """Directories that are made have mode 0700, files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        assert spool.append([event()])
    finally:
        os.umask(before)
    (name,) = segments(folder)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, folder / name)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_segment_is_locked_while_its_writer_lives(spool: Spool, folder: Path, event: MakeEvent) -> None:
    """Nobody can take a segment before its spool lets go of it."""
    spool.append([event()])
    (name,) = segments(folder)
    assert LockedFile.take(str(folder / name)) is None
    spool.close()
    taken = LockedFile.take(str(folder / name))
    assert taken is not None
    taken.close()


def test_an_append_after_close_begins_another_segment(
    spool: Spool, event: MakeEvent, spooled: Callable[[], list[Event]]
) -> None:
    """A closed spool opens again at its next use."""
    spool.append([event("a")])
    spool.close()
    spool.append([event("b")])
    assert len(segments(spool.directory)) == 2
    assert sorted(e.artifact_name for e in spooled()) == ["a", "b"]


def test_segments_rotate_by_size(folder: Path, event: MakeEvent, spooled: Callable[[], list[Event]]) -> None:
    """No segment grows over its limit, except by a record that is larger by itself; nothing is lost between two."""
    spool = Spool(folder, max_segment_bytes=2000, max_total_bytes=10_000_000)
    wanted = [str(n) for n in range(100)]
    assert all(spool.append([event(name)]) for name in wanted)
    assert spool.append([event("large", metadata={"text": "x" * 5000})])
    sizes = sorted((folder / name).stat().st_size for name in segments(folder))
    assert len(sizes) > 3
    assert [size for size in sizes if size > 2000] == sizes[-1:]
    assert sorted(e.artifact_name for e in spooled()) == sorted([*wanted, "large"])


def test_the_whole_is_bounded_and_what_is_dropped_is_counted(
    folder: Path, event: MakeEvent, spooled: Callable[[], list[Event]]
) -> None:
    """The oldest segments go; those events and those that are left make all of them, and a record tells the loss."""
    spool = Spool(folder, max_segment_bytes=8192, max_total_bytes=65536)
    for n in range(2000):
        assert spool.append([event(str(n)), event(str(n))])
    assert sum((folder / name).stat().st_size for name in segments(folder)) <= 65536
    told = sum(r.lost for name in segments(folder) for r in read_segment(folder / name, finished=True))
    left = sorted(int(e.artifact_name) for e in spooled())
    assert spool.dropped == 4000 - len(left)
    assert spool.dropped > 1000
    assert told == spool.dropped
    assert left == sorted([*range(2000 - len(left) // 2, 2000)] * 2)


def test_a_segment_that_is_appended_to_is_never_dropped(folder: Path, event: MakeEvent) -> None:
    """Room is made of finished segments alone, however old a live one is."""
    other = Spool(folder, max_segment_bytes=8192, max_total_bytes=16384)
    other.append([event("kept")])
    (kept,) = segments(folder)
    spool = Spool(folder, max_segment_bytes=8192, max_total_bytes=16384)
    for n in range(500):
        assert spool.append([event(str(n))])
    assert kept in segments(folder)
    assert spool.dropped > 0


def test_limits_that_fit_no_two_segments_are_refused(folder: Path) -> None:
    """A whole that has no room for two segments is a mistake, and named."""
    with pytest.raises(ValueError, match="two segments"):
        Spool(folder, max_segment_bytes=100, max_total_bytes=150)


def test_a_directory_that_cannot_be_made_costs_the_events_alone(
    folder: Path, event: MakeEvent, spooled: Callable[[], list[Event]]
) -> None:
    """Appends say False and count; once the fault clears they work again, and a record tells what was lost."""
    folder.parent.write_text("a file where a directory should be")
    spool = Spool(folder)
    assert [spool.append([event(), event()]), spool.append([event()])] == [False, False]
    assert spool.lost == 3
    assert isinstance(spool.error, OSError)
    folder.parent.unlink()
    assert spool.append([event("after")])
    assert spool.error is None
    assert [e.artifact_name for e in spooled()] == ["after"]
    (name,) = segments(folder)
    assert [record.lost for record in read_segment(folder / name)] == [0, 3]


@pytest.mark.parametrize("priority", list(Priority))
def test_critical_events_are_synced(
    spool: Spool, event: MakeEvent, priority: Priority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an event of critical priority waits for the disk."""
    synced: list[int] = []
    monkeypatch.setattr(spool_segment, "_sync", synced.append)
    assert spool.append([event("plain"), event("this", priority=priority.value)])
    assert len(synced) == (1 if priority is Priority.CRITICAL else 0)


class _Kind(str, Enum):
    SKILL = "skill"


ODD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a read-only mapping": ({"metadata": MappingProxyType({"a": 1})}, {"metadata": {"a": 1}}),
    "a mapping inside": ({"metadata": {"a": MappingProxyType({"b": 1})}}, {"metadata": {"a": {"b": 1}}}),
    "an object": ({"metadata": {"a": Path("x")}}, {"metadata": {"a": "x"}}),
    "an enum's member": ({"collection_name": _Kind.SKILL}, {"collection_name": "skill"}),
    "a truth value": ({"metadata": {"a": True}}, {"metadata": {"a": True}}),
    "keys that are no text": (
        {"metadata": MappingProxyType({(1,): 1})},
        {"metadata": {"usagetrace.metadata_error": "TypeError"}},
    ),
    "a lone surrogate": ({"project_path": "\udc80"}, {"project_path": "\udc80"}),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_values_do_not_cost_the_event(
    spool: Spool, event: MakeEvent, spooled: Callable[[], list[Event]], case: str
) -> None:
    """Values without a form of their own on disk become what they stand for."""
    given_fields, expected = ODD[case]
    assert spool.append([event("odd", **given_fields)])
    (found,) = spooled()
    assert found == event("odd", **expected)
    assert all(type(value) in (str, int, dict, type(None)) for value in found)


@pytest.mark.parametrize("keeps", [False, True])
def test_who_keeps_what_was_refused_says_what_is_lost(folder: Path, event: MakeEvent, keeps: bool) -> None:
    """What an append refused is lost, unless the caller keeps it; either way a record tells of what is lost, once."""
    spool = Spool(folder)
    spool.keeps = keeps
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    assert not spool.append([event(), event()])
    assert spool.lost == (0 if keeps else 2)
    spool.count_lost(3)
    assert not spool.tell()
    folder.unlink()
    assert spool.tell()
    assert spool.tell()
    assert spool.append([event()])
    told = [record.lost for name in segments(folder) for record in read_segment(folder / name)]
    assert told == [spool.lost, 0] == [3 if keeps else 5, 0]


def test_what_cannot_be_written_at_all_is_lost_and_counted(spool: Spool, event: MakeEvent) -> None:
    """An event with a field of no storable type costs its record, not the caller."""
    assert not spool.append([event(object())])
    assert spool.lost == 1
    assert spool.append([event("next")])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(), st.dictionaries(st.text(), json_values)), min_size=1, max_size=5))
def test_decoding_reverses_encoding(pairs: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever texts and JSON values an event has, they come back equal."""
    events = [Event("deploy", name, "skill", 0, metadata=metadata) for name, metadata in pairs]
    assert decode(encode([tuple(event) for event in events]), len(events)) == (events, 0, None, None)


def test_threads_append_without_gap_or_loss(folder: Path, event: MakeEvent, spooled: Callable[[], list[Event]]) -> None:
    """Eight threads on one spool, over many rotations: each event once, the numbers without gap."""
    spool = Spool(folder, max_segment_bytes=20_000)
    refused: list[str] = []

    def work(label: int) -> None:
        refused.extend(f"{label}-{n}" for n in range(400) if not spool.append([event(f"{label}-{n}")]))

    threads = [threading.Thread(target=work, args=(label,)) for label in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert sorted(e.artifact_name for e in spooled()) == sorted(f"{a}-{n}" for a in range(8) for n in range(400))
    records = [r for name in segments(folder) for r in read_segment(folder / name, finished=True)]
    assert sum(record.gaps + record.damaged for record in records) == 0
