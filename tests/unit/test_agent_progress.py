"""What attempts say of their progress: how often the leader hears of it, and what is believed."""

from __future__ import annotations

import math
import mmap
import os
import select
import struct
from typing import Any

import pytest

from node_agent.core.attempts import Reason
from node_agent.core.chunks.chunk import Chunk
from node_agent.core.effects import Effects
from node_agent.protocol import pieces, progress
from node_agent.spawner.outputs.progress import LINE_BYTES, ProgressPipes
from quorate.runtime.attempts.progress import (
    EVERY_SECONDS,
    MAX_TEXT,
    clean_fraction,
    clean_text,
    read_line,
)
from quorate.runtime.ids import Epoch
from quorate.runtime.ranges import Ranges
from tests.support.agent_machine import Node, call, command, names


def said(effects: Effects) -> list[tuple[str, float | None, str]]:
    return [
        (one.task_id, one.progress.fraction, one.progress.text)
        for one in effects.progress
        if one.progress is not None
    ]


def test_the_newest_progress_is_reported_at_most_four_times_a_second():
    node = Node(slots=1)
    attempt = call("t")
    node.assign(attempt)
    reported = []
    for step in range(200):
        node.machine.on_progress(attempt, step / 200, f"step {step}", node.now)
        reported += said(node.tick(0.01))
    assert 8 <= len(reported) <= 9, "two seconds"
    # What came last is not lost, though nothing follows it.
    reported += said(node.tick(EVERY_SECONDS))
    assert reported[-1] == ("t", 199 / 200, "step 199")
    assert said(node.tick(1.0)) == []


def test_each_attempt_has_its_own_rate():
    node = Node(slots=2)
    attempts = [call("a"), command("b")]
    node.assign(*attempts)
    for attempt in attempts:
        node.machine.on_progress(attempt, None, "begun", node.now)
    assert said(node.tick()) == [("a", None, "begun"), ("b", None, "begun")]


def test_what_has_ended_or_is_being_ended_reports_nothing():
    node = Node(slots=2)
    over, dying = call("over"), call("dying")
    node.assign(over, dying)
    node.machine.on_progress(over, 0.5, "", node.now)
    node.exit(over)
    node.cancel(("dying", 1))
    assert dying.killed is Reason.CANCELLED
    node.machine.on_progress(dying, 0.5, "", node.now)
    node.machine.on_progress(over, 0.6, "", node.now)
    assert said(node.tick(1.0)) == []


def test_a_chunk_has_no_progress_of_its_own():
    node = Node(slots=1)
    chunk = call("c", chunk=Chunk("job", Ranges.of([(0, 9)]), ()))
    node.assign(chunk)
    node.machine.on_progress(chunk, 0.5, "", node.now)
    assert said(node.tick(1.0)) == []
    assert chunk.progress is None


def test_a_new_session_repeats_the_last_progress_in_its_inventory():
    node = Node(slots=1)
    attempt = call("t")
    node.assign(attempt)
    node.machine.on_progress(attempt, 0.25, "epoch 1", node.now)
    assert said(node.tick()) == [("t", 0.25, "epoch 1")]
    inventory = node.machine.on_session_opened(Epoch(2))
    ((listed, _),) = inventory.running
    assert names([listed]) == ["t"]
    assert listed.progress is not None
    assert listed.progress.text == "epoch 1"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("0.4 epoch 4 of 10", (0.4, "epoch 4 of 10")),
        ("40% epoch 4", (0.4, "epoch 4")),
        ("1", (1.0, "")),
        (".5", (0.5, "")),
        ("7.5 too far", (1.0, "too far")),
        ("- loading", (None, "loading")),
        ("  0.1\tx  ", (0.1, "x")),
        ("", None),
        ("hello", None),
        ("nan x", None),
        ("-1 x", None),
        ("1e9", None),
        ("0.5epoch", None),
        ("9" * 100, None),
    ],
)
def test_lines_of_programs(line: str, found: Any):
    assert read_line(line) == found


def test_fractions_and_texts_are_held_to_their_bounds():
    fractions = [math.nan, math.inf, -math.inf, 7.0, -1.0, 0.5, None]
    assert [clean_fraction(one) for one in fractions] == [None, 1.0, 0.0, 1.0, 0.0, 0.5, None]
    assert len(clean_text("x" * 10_000_000)) == MAX_TEXT
    assert clean_text("a\nb\r\n\tc") == "a b c"
    assert "\x1b" not in clean_text("\x1b[31mred")
    clean_text("\ud800").encode()


@pytest.fixture
def marks() -> Any:
    descriptor = pieces.made_marks()
    memory = pieces.mapped(descriptor)
    yield descriptor, memory
    memory.close()
    os.close(descriptor)


def test_the_agent_reads_what_the_worker_wrote_once(marks: tuple[int, mmap.mmap]):
    descriptor, memory = marks
    assert progress.read(descriptor, 5, 0) is None
    progress.write(memory, 5, 0.5, "half")
    progress.write(memory, 5, None, "grün")
    found = progress.read(descriptor, 5, 0)
    assert found is not None
    assert found[1:] == (None, "grün")
    assert progress.read(descriptor, 5, found[0]) is None
    assert progress.read(descriptor, 6, 0) is None, "of another call"


def test_a_worker_that_lies_is_not_believed(marks: tuple[int, mmap.mmap]):
    descriptor, memory = marks
    head, begin = struct.Struct("<QQdI"), pieces.MARKS_BYTES
    head.pack_into(memory, begin, 3, 5, 0.5, 4)
    assert progress.read(descriptor, 5, 0) is None, "it is writing"
    head.pack_into(memory, begin, 4, 5, 0.5, 1 << 31)
    assert progress.read(descriptor, 5, 0) is None, "longer than the place"
    head.pack_into(memory, begin, (1 << 64) - 2, 5, math.inf, 3)
    memory[begin + head.size : begin + head.size + 3] = b"\xff\xfe\xfd"
    found = progress.read(descriptor, 5, 0)
    assert found is not None
    assert found[1] == 1.0
    assert len(found[2]) <= 3
    progress.write(memory, 5, 0.1, "goes on")
    assert progress.read(descriptor, 5, found[0]) is not None


class Programs:
    """The spawner's pipes; messages to the agent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.pipes = ProgressPipes(select.epoll(), self.messages.append)
        self.now = 100.0

    def write(self, pipe: Any, data: bytes) -> None:
        """As the program, with the spawner reading along."""
        while data:
            data = data[os.write(pipe.write_end, data[:65536]) :]
            self.pipes.on_readable(pipe.read_end, self.now)


def test_a_million_lines_are_one_message():
    programs = Programs()
    pipe = programs.pipes.open(7, None)
    for number in range(1000):
        programs.write(pipe, b"".join(b"0.1 %d\n" % n for n in range(number, number + 1000)))
        programs.pipes.settle(programs.now)
    assert len(programs.messages) == 1
    programs.now += 1.0
    programs.pipes.settle(programs.now)
    assert programs.messages[1:] == [("progress", [(7, b"0.1 1998")])]
    programs.pipes.settle(programs.now + 9)
    assert len(programs.messages) == 2


def test_a_line_may_come_in_parts_and_a_long_one_is_cut():
    programs = Programs()
    pipe = programs.pipes.open(7, None)
    for part in (b"0", b".5 ha", b"lf\n", b"x" * 5_000_000):
        programs.write(pipe, part)
    programs.pipes.settle(programs.now)
    assert programs.messages == [("progress", [(7, b"0.5 half")])]
    programs.write(pipe, b"\n")
    programs.pipes.settle(programs.now + 1)
    ((_, ((_, line),)),) = programs.messages[1:]
    assert line == b"x" * LINE_BYTES


def test_a_pipe_is_used_again_only_when_nobody_else_has_it():
    programs = Programs()
    pipe = programs.pipes.open(7, None)
    programs.write(pipe, b"0.5 of the first\n0.6 unfinished")
    programs.pipes.leave(pipe, alone=True)
    again = programs.pipes.open(8, None)
    assert again is pipe
    programs.write(again, b"0.1\n")
    programs.pipes.settle(programs.now)
    assert programs.messages == [("progress", [(8, b"0.1")])]
    programs.pipes.leave(again, alone=False)
    assert programs.pipes.open(9, None) is not pipe
