"""Where a reader of logs goes on after a broken stream."""

from __future__ import annotations

from quorate.client.tracking.loglines import AWAY_SECONDS, LogPosition
from quorate.runtime.errors import unavailable
from quorate.v1 import scheduler_pb2 as pb


def chunk(
    attempt: int, offset: int, data: bytes, stream: int = pb.LOG_STREAM_STDOUT
) -> pb.LogChunk:
    return pb.LogChunk(stream=stream, offset=offset, data=data, attempt=attempt)  # type: ignore[arg-type]


def data(piece: pb.LogChunk | None) -> bytes:
    return piece.data if piece is not None else b""


def test_what_was_read_is_not_read_again_after_a_broken_stream():
    position = LogPosition("t", follow=True, attempt=0, tail=0)
    assert data(position.unread(chunk(1, 0, b"abc"))) == b"abc"
    assert position.request().offset == 0
    assert data(position.unread(chunk(1, 0, b"abcde"))) == b"de"


def test_another_attempt_is_read_from_its_beginning():
    position = LogPosition("t", follow=True, attempt=0, tail=0)
    position.unread(chunk(1, 0, b"long output of the first"))
    assert data(position.unread(chunk(2, 0, b"short"))) == b"short"
    assert data(position.unread(chunk(2, 0, b"short and more"))) == b" and more"


def test_a_named_attempt_goes_on_behind_what_both_outputs_gave():
    position = LogPosition("t", follow=True, attempt=3, tail=5)
    position.unread(chunk(3, 100, b"0123456789"))
    position.unread(chunk(3, 40, b"01234", pb.LOG_STREAM_STDERR))
    assert position.request().offset == 45
    assert position.request().tail_lines == 0


def test_a_node_that_is_away_is_soon_said_to_be_unless_it_is_followed():
    away, soon = unavailable("NODE_UNAVAILABLE", "away"), unavailable("NOT_LEADER", "soon")
    reading = LogPosition("t", follow=False, attempt=0, tail=0)
    # A cluster without a leader first; then one whose leader has no session with the node yet.
    assert not reading.gives_up(soon, 10.0, 60.0)
    assert not reading.gives_up(away, 20.0, 60.0)
    assert not reading.gives_up(away, 20.0 + AWAY_SECONDS - 0.1, 60.0)
    reading.unread(chunk(1, 0, b"x"))
    assert not reading.gives_up(away, 30.0, 60.0)
    assert reading.gives_up(away, 30.0 + AWAY_SECONDS, 60.0)
    assert reading.gives_up(soon, 60.0, 60.0)
    following = LogPosition("t", follow=True, attempt=0, tail=0)
    assert not following.gives_up(away, 20.0, 60.0)
    assert not following.gives_up(away, 59.0, 60.0)
    assert following.gives_up(away, 60.0, 60.0)
