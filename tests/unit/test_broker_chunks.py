"""The bytes of chunks: what is read is what was written, later versions are kept, and hostile bytes
are refused."""

from __future__ import annotations

import struct
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.core.broker.storage import format as f
from tests.support.sub_logs import NOW

OWN_FLAG = 0x100


def chunk(*sequences: int, payload: bytes = b"body") -> bytes:
    (builder,) = f.chunked([f.pack(n, NOW + n, payload) for n in sequences])
    return builder.build()[1]


def test_messages_are_read_as_they_were_written() -> None:
    packed = [
        f.pack(7, NOW, b"", flags=OWN_FLAG),
        f.pack(8, NOW + 1, b"\x00\xff", expiry=NOW + 60),
        f.pack(10, NOW, b"later", expiry=NOW + 90, due=NOW + 30),
    ]
    (builder,) = f.chunked(packed)
    summary, value = builder.build()
    assert f.unpack(value) == [
        f.Message(7, NOW, inf, 0.0, OWN_FLAG, b""),
        f.Message(8, NOW + 1, NOW + 60, 0.0, 0, b"\x00\xff"),
        f.Message(10, NOW, NOW + 90, NOW + 30, 0, b"later"),
    ]
    assert f.split(value) == packed
    assert f.summarize(value) == summary
    assert summary[:3] == (7, 10, 3)
    assert (summary.size, summary.expiry, summary.latest) == (len(value), NOW + 30, NOW + 1)
    assert list(summary.offsets) == [0, 1, 3]


def test_a_chunk_holds_1024_messages() -> None:
    builders = f.chunked([f.pack(n, NOW, b"x") for n in range(2_050)])
    assert [builder.count for builder in builders] == [1_024, 1_024, 2]


def test_a_chunk_holds_256_kib_and_a_larger_message_is_alone() -> None:
    sizes = [100_000, 100_000, 100_000, 300_000, 10, 10, 1 << 20, 10]
    builders = f.chunked([f.pack(n, NOW, b"x" * size) for n, size in enumerate(sizes)])
    assert [builder.count for builder in builders] == [2, 1, 1, 2, 1, 1]
    assert all(len(b.build()[1]) <= f.MOST_BYTES or b.count == 1 for b in builders)


def test_fields_and_flags_of_later_versions_are_skipped_and_kept() -> None:
    value = chunk(3)
    head, body = value[: f.HEADER_BYTES], value[f.HEADER_BYTES :]
    size, fields, flags = struct.unpack_from("<IHH", body)
    later = struct.pack("<IHH", size + 4, fields + 4, flags | 0x80) + body[8:24] + b"more"
    value = head[:12] + struct.pack("<I", len(body) + 4) + head[16:] + later + body[24:]
    (message,) = f.unpack(value)
    assert (message.sequence, message.payload, message.flags) == (3, b"body", 0x80)
    (kept,) = f.split(value)
    assert f.chunked([kept])[0].build()[1] == value


def test_a_header_of_a_later_version_may_be_longer() -> None:
    value = chunk(3, 4)
    longer = (
        value[:4] + struct.pack("<I", f.HEADER_BYTES + 8) + value[8:48] + b"8 bytes!" + value[48:]
    )
    assert f.unpack(longer) == f.unpack(value)


def test_a_chunk_of_a_later_format_is_known_but_not_read() -> None:
    value = bytes([f.FORMAT + 1]) + chunk(3, 5)[1:]
    summary = f.summarize(value)
    assert (summary.first, summary.last, summary.newer) == (3, 5, True)
    for read in (f.unpack, f.split):
        with pytest.raises(f.NewerChunk):
            read(value)


@pytest.mark.parametrize("instant", [nan, inf, -inf])
def test_instants_that_are_no_numbers_are_refused(instant: float) -> None:
    (builder,) = f.chunked([f.pack(1, instant, b"x")])
    with pytest.raises(f.BadChunk):
        f.unpack(builder.build()[1])


def read_all(value: bytes) -> None:
    """Bytes are a chunk, or BadChunk: nothing else is raised."""
    try:
        summary = f.summarize(value)
        messages = f.unpack(value)
        assert len(messages) == summary.messages == len(f.split(value))
        assert messages[0].sequence == summary.first
        assert messages[-1].sequence == summary.last
    except f.BadChunk:
        pass


@settings(max_examples=300)
@given(value=st.binary(max_size=200))
def test_any_bytes_are_a_chunk_or_bad(value: bytes) -> None:
    read_all(value)


@settings(max_examples=500)
@given(
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 40),
)
def test_a_damaged_chunk_is_a_chunk_or_bad(changes: list[tuple[int, int]], cut: int) -> None:
    value = bytearray(chunk(3, 4, 9, 10))
    for place, byte in changes:
        value[place % len(value)] = byte
    read_all(bytes(value[: len(value) - cut]))
