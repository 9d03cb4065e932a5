"""Reading what was torn, cut or overwritten: damage costs the damaged records and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.errors import NewerSchemaError
from usagetrace.events import Event
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.spool.layout import HEADER_SIZE, MARK, encode, header, record
from usagetrace.spool.locks import LockedFile
from usagetrace.spool.reader import count_events, read_records


def _event(number: int, text: str = "") -> Event:
    return Event("deploy", str(number), "skill", number, metadata={"text": text} if text else None)


def _records(texts: list[str]) -> list[bytes]:
    return [record(encode([tuple(_event(n, text))]), n, 1) for n, text in enumerate(texts)]


def _read(data: bytes, *, finished: bool = True) -> list[int]:
    return [e.ts_ms for r in read_records(data, 0, 0, finished=finished) for e in r.events]


texts = st.lists(st.text(max_size=30), min_size=1, max_size=8)


@given(texts, st.data())
def test_overwritten_bytes_cost_only_the_records_that_they_are_in(written: list[str], data: st.DataObject) -> None:
    """Bytes overwritten anywhere: every record beside them is read, nothing else is, and damage is counted."""
    parts = _records(written)
    whole = b"".join(parts)
    begin = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=min(200, len(whole) - begin)))
    damaged = whole[:begin] + noise + whole[begin + len(noise) :]
    expected, at = [], 0
    for number, part in enumerate(parts):
        if damaged[at : at + len(part)] == part:
            expected.append(number)
        at += len(part)
    found = list(read_records(damaged, 0, 0, finished=True))
    assert [e.ts_ms for r in found for e in r.events] == expected
    assert (sum(r.damaged for r in found) > 0) == (expected != list(range(len(parts))))


@given(texts, st.data())
def test_cut_or_added_bytes_cost_only_the_records_that_they_are_in(written: list[str], data: st.DataObject) -> None:
    """Bytes taken out, or put in between: what lies before and behind is read."""
    parts = _records(written)
    whole = b"".join(parts)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    noise = data.draw(st.binary(max_size=50))
    expected, at = [], 0
    for number, part in enumerate(parts):
        if at + len(part) <= begin or at >= end:
            expected.append(number)
        at += len(part)
    found = _read(whole[:begin] + noise + whole[end:])
    # Noise may by chance restore what was cut out: then more is read, but nothing that was not written.
    assert set(expected) <= set(found) <= set(range(len(parts)))
    assert found == sorted(set(found))


@given(texts, st.data())
def test_a_torn_end_is_damage_only_when_nobody_appends(written: list[str], data: st.DataObject) -> None:
    """The last record, cut anywhere: of a live segment it is awaited, of a finished one it is counted."""
    parts = _records(written)
    whole = b"".join(parts)
    cut = data.draw(st.integers(1, len(parts[-1]) - 1))
    live = list(read_records(whole[:-cut], 0, 0, finished=False))
    assert [e.ts_ms for r in live for e in r.events] == list(range(len(parts) - 1))
    assert sum(r.damaged for r in live) == 0
    finished = list(read_records(whole[:-cut], 0, 0, finished=True))
    assert [e.ts_ms for r in finished for e in r.events] == list(range(len(parts) - 1))
    assert (finished[-1].damaged, finished[-1].position) == (1, len(whole) - cut)
    # What was awaited is read from where the first reading ended.
    position = live[-1].position if live else 0
    (last,) = read_records(whole[position:], position, len(parts) - 1, finished=False)
    assert (last.events[0].ts_ms, last.gaps, last.damaged) == (len(parts) - 1, 0, 0)


@given(st.binary(max_size=400))
def test_noise_holds_no_events(noise: bytes) -> None:
    """Any bytes are read without an error, and without inventing an event."""
    assert _read(noise) == []
    assert _read(MARK + noise) == []


def test_a_missing_record_is_a_gap() -> None:
    """Records taken out whole leave no damage; their numbers tell that they are missing."""
    parts = _records(["a", "b", "c", "d"])
    found = list(read_records(parts[0] + parts[3], 0, 0, finished=True))
    assert [(r.events[0].ts_ms, r.gaps, r.damaged) for r in found] == [(0, 0, 0), (3, 2, 0)]


@pytest.mark.parametrize("keep", range(HEADER_SIZE))
def test_a_damaged_header_costs_nothing_but_itself(tmp_path: Path, keep: int) -> None:
    """A byte of the header overwritten: every record is read, and the damage is counted."""
    data = bytearray(header(b"12345678") + b"".join(_records(["a", "b"])))
    data[keep] ^= 0x55
    path = tmp_path / "x.seg"
    path.write_bytes(data)
    found = list(read_segment(path))
    assert [e.ts_ms for r in found for e in r.events] == [0, 1]
    assert sum(r.damaged for r in found) == 1


@pytest.mark.parametrize("size", range(HEADER_SIZE))
def test_a_cut_header_is_damage_once_nobody_appends(tmp_path: Path, size: int) -> None:
    """A segment that ends within its header holds nothing; an empty one is not even damaged."""
    path = tmp_path / "x.seg"
    path.write_bytes(header(b"12345678")[:size])
    assert list(read_segment(path)) == []
    assert sum(r.damaged for r in read_segment(path, finished=True)) == (1 if size else 0)


def test_a_segment_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer version wrote is not guessed at."""
    from usagetrace.spool import layout

    monkeypatch.setattr(layout, "VERSION", 99)
    data = header(b"12345678")
    monkeypatch.undo()
    path = tmp_path / "x.seg"
    path.write_bytes(data)
    with pytest.raises(NewerSchemaError, match="version 99"):
        list(read_segment(path))


def test_events_are_counted_by_the_heads_of_sound_records(tmp_path: Path, folder: Path) -> None:
    """Counting sees what reading sees, damage and told losses included."""
    spool = Spool(folder)
    spool._lose(7, OSError())
    for n in range(5):
        assert spool.append([_event(n), _event(n)])
    spool.close()
    path = folder / segments(folder)[0]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    records = list(read_segment(path, finished=True))
    read = (sum(len(r.events) for r in records), sum(r.lost for r in records))
    assert (count_events(path), read) == ((8, 7), (8, 7))


def test_a_file_that_is_removed_while_it_is_being_locked_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking a drainer may remove the file: nothing may be appended to it."""
    from usagetrace.spool import locks

    path = tmp_path / "x.seg"
    lock: Callable[[int], bool] = locks._lock

    def late(fd: int) -> bool:
        path.unlink()
        return lock(fd)

    monkeypatch.setattr(locks, "_lock", late)
    assert LockedFile.create(str(path)) is None
