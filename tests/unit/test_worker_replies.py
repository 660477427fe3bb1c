"""What a worker says reaches the agent as it was said, and nothing forged does any harm."""

from __future__ import annotations

import marshal
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_agent.protocol.answers import MAX_PICKLE, MAX_RESULT
from node_agent.protocol.packets import MAX_PACKET, Spill, read, spilled, unpack
from node_agent.protocol.replies import MAX_REPLY, Malformed, Reader, packets_of

_HEAD = "<BBQddIIIII"
texts = st.text(st.characters(codec="utf-8"), max_size=40)
answers = st.one_of(
    st.tuples(st.just("json"), texts),
    st.tuples(st.just("pickle"), st.binary(max_size=40)),
    st.tuples(st.just("error"), texts, texts, texts, st.binary(max_size=40), texts),
)


@given(st.lists(st.tuples(st.integers(1, 2**64 - 1), answers), max_size=5), st.integers(0, 3))
def test_replies_arrive_as_they_were_said(said: list[tuple[int, Any]], large: int) -> None:
    reader, heard = Reader(), []
    for index, (key, answer) in enumerate(said):
        if index == large:
            answer = ("pickle", b"x" * (3 * MAX_PACKET))
            said[index] = (key, answer)
        for packet in packets_of(key, 5.5, 0.25, answer):
            assert len(packet) <= MAX_PACKET
            if (reply := reader.read(packet)) is not None:
                key, started, seconds, given_answer, flags = reply
                assert (started, seconds, flags) == (5.5, 0.25, 0)
                heard.append((key, given_answer))
    assert heard == said


def test_the_largest_of_each_arrive() -> None:
    for answer in (
        ("pickle", b"x" * MAX_RESULT),
        ("json", "\u00e4" * (MAX_RESULT // 2)),
        ("error", "n" * 1024, "m" * 4096, "t" * 16384, b"p" * MAX_PICKLE, "b" * 2048),
    ):
        reader = Reader()
        [reply] = filter(None, map(reader.read, packets_of(1, 0.0, 0.0, answer)))
        assert reply == (1, 0.0, 0.0, answer, 0)


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_noise_is_refused_or_waits_for_more(packets: list[bytes]) -> None:
    reader = Reader()
    for packet in packets:
        try:
            assert reader.read(packet) is None or len(packet) >= struct.calcsize(_HEAD)
        except Malformed:
            reader.forget()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"/etc/passwd\0",
        marshal.dumps((1, 2.0, 3.0, ("json", "1"))),
        struct.pack(_HEAD, 0, 1, 7, 1.0, 1.0, 5, 0, 0, 0, 0) + b"1",
        struct.pack(_HEAD, 0, 9, 7, 1.0, 1.0, 0, 0, 0, 0, 0),
        struct.pack(_HEAD, 0, 0, 7, 1.0, 1.0, 0, 0, 0, 0, 0),
        struct.pack(_HEAD, 0, 1, 0, 1.0, 1.0, 0, 0, 0, 0, 0),
        struct.pack(_HEAD, 0, 1, 7, float("nan"), 1.0, 1, 0, 0, 0, 0) + b"1",
        struct.pack(_HEAD, 0, 1, 7, 1.0, float("inf"), 1, 0, 0, 0, 0) + b"1",
        struct.pack(_HEAD, 0, 1, 7, -1.0, 1.0, 1, 0, 0, 0, 0) + b"1",
        struct.pack(_HEAD, 0, 1, 7, 1.0, 1.0, 1, 0, 0, 0, 0) + b"\xff",
        struct.pack(_HEAD, 0, 3, 7, 1.0, 1.0, 1025, 0, 0, 0, 0) + b"n" * 1025,
        struct.pack(_HEAD, 0, 3, 7, 1.0, 1.0, 0, 0, 0, 0, 2049) + b"b" * 2049,
        struct.pack(_HEAD, 0, 3, 7, 1.0, 1.0, 0, 0, 0, 0, 33) + b"\n" * 33,
    ],
    ids=range(14),
)
def test_a_forged_reply_is_refused(packet: bytes) -> None:
    with pytest.raises(Malformed):
        Reader().read(packet)


def test_pieces_without_end_are_refused_while_they_are_few() -> None:
    reader = Reader()
    piece = b"\x01" + b"x" * (MAX_PACKET - 1)
    for _ in range(MAX_REPLY // len(piece)):
        assert reader.read(piece) is None
    with pytest.raises(Malformed, match="more than"):
        reader.read(piece)


# -- messages to workers and spawner -----------------------------------------------------------


def test_what_is_private_is_never_spilled(tmp_path: Path) -> None:
    spill = Spill(str(tmp_path), "call")
    small = spill.pack((1, "a"), {"PW": "hunter2"})
    assert not list(tmp_path.iterdir())
    assert read(small) == ((1, "a"), {"PW": "hunter2"})
    large = (2, "x" * MAX_PACKET)
    packet = spill.pack(large, {"PW": "hunter2"})
    assert len(packet) < MAX_PACKET
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"hunter2" not in file.read_bytes()
    assert spilled(packet) == str(file)
    assert spilled(small) == ""
    assert read(packet) == (large, {"PW": "hunter2"})
    assert unpack(packet) == (large, {"PW": "hunter2"})
    assert not file.exists()


def test_a_spilled_message_can_be_read_by_the_group_that_is_named(tmp_path: Path) -> None:
    unpacked = Spill(str(tmp_path), "call", os.getegid()).pack((1, "x" * MAX_PACKET))
    status = os.stat(spilled(unpacked))
    assert (status.st_mode & 0o777, status.st_gid) == (0o640, os.getegid())
