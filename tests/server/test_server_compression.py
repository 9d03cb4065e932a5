"""Bodies are decompressed as they were, within a bound that no sender can pass."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.server.compression import decompress, require_known
from usagetrace.server.refusal import MALFORMED, TOO_LARGE, RefusalError

LIMIT = 4096


def bare(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


@given(parts=st.lists(st.binary(max_size=400), min_size=1, max_size=5), repeated=st.integers(1, 20))
def test_what_was_compressed_comes_out(parts: list[bytes], repeated: int) -> None:
    """Each coding gives back what went in, or says that it is more than the bound."""
    parts = [part * repeated for part in parts]
    whole = b"".join(parts)
    streams = [
        ("gzip", b"".join(map(gzip.compress, parts))),
        ("deflate", zlib.compress(whole)),
        ("deflate", bare(whole)),
        ("identity", whole),
    ]
    for encoding, stream in streams:
        if len(whole) <= LIMIT:
            assert decompress(stream, encoding, LIMIT) == whole
        else:
            with pytest.raises(RefusalError) as caught:
                decompress(stream, encoding, LIMIT)
            assert caught.value.kind is TOO_LARGE


@given(body=st.binary(max_size=300), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_a_stream_or_malformed(body: bytes, encoding: str) -> None:
    """Whatever comes, it is decompressed or refused, and nothing else happens."""
    kinds = [MALFORMED, TOO_LARGE]
    try:
        plain = decompress(body, encoding, LIMIT)
    except RefusalError as refusal:
        plain, kinds = b"", [refusal.kind]
    assert len(plain) <= LIMIT
    assert set(kinds) <= {MALFORMED, TOO_LARGE}


@given(body=st.binary(min_size=1, max_size=300), cut=st.integers(1, 300))
def test_a_stream_that_is_cut_short_is_malformed(body: bytes, cut: int) -> None:
    """Less than a whole stream is never taken for one."""
    for encoding, stream in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        with pytest.raises(RefusalError) as caught:
            decompress(stream[: max(len(stream) - cut, 0)], encoding, LIMIT)
        assert caught.value.kind is MALFORMED


def test_a_bomb_takes_no_more_memory_than_the_bound() -> None:
    """20 MB of zeros in 20 kB are refused when the bound is passed, not when they are all there."""
    bomb = gzip.compress(b"\0" * 20_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RefusalError):
            decompress(bomb, "gzip", 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_very_many_members_are_refused() -> None:
    """Empty members, each of which costs a decompressor, are too much long before they are many bytes."""
    with pytest.raises(RefusalError) as caught:
        decompress(gzip.compress(b"") * 5000, "gzip", LIMIT)
    assert caught.value.kind is TOO_LARGE


class Counting(bytes):
    """Bytes that know how many of them were copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, bytes):
            self.copied += len(part)
        return part


def test_what_follows_a_member_is_not_copied_each_time() -> None:
    """1,000 empty members before 8 MB: each costs a small piece of what follows, not all of it."""
    stream = Counting(gzip.compress(b"") * 1000 + gzip.compress(bytes(range(256)) * 32_768, compresslevel=0))
    assert len(decompress(stream, "gzip", 10_000_000)) == 256 * 32_768
    assert len(stream) < stream.copied < 1000 * 65_536 + 2 * len(stream)


@pytest.mark.parametrize("header", ["br", "zstd", "gzip, gzip", "gzip;q=1", "chunked", "none"])
def test_other_codings_are_not_spoken(header: str) -> None:
    """What is not known is refused rather than taken for something else."""
    with pytest.raises(RefusalError):
        require_known(header)
