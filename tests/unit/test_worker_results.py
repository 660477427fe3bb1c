"""A reduce reads its results page by page: in order, twice, whatever comes in between."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator

import pytest

from node_agent.core.attempts import Attempt
from node_agent.core.chunks.inputs import ResultsPage
from node_agent.executors.workers.lanes import Lane
from node_agent.protocol.packets import Spill, page_packet
from node_agent.worker.calls import Problem
from node_agent.worker.results import PageReader, Results, results_of
from node_agent.worker.waits import Waits

KEY = 7


class Far:
    """The agent's side of a lane: answers each request with what `answer` makes of a position."""

    def __init__(self, directory: str) -> None:
        self.lane = Lane(0)
        self.lane.ours.setblocking(True)
        self.lane.ours.settimeout(60)
        self.spill = Spill(directory, "page")
        self.asked: list[int] = []
        self.answer: Callable[[int], ResultsPage] = lambda position: ints(position, position + 10)
        self.before: list[bytes] = []
        lock = threading.Lock()
        self.waits = Waits(self.lane.theirs, lock)
        self.pages = PageReader(self.lane.theirs, lock)
        self.pages.serve(KEY)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def page(self, number: int, page: ResultsPage) -> bytes:
        return page_packet(self.spill.pack((number, *page)))

    def _serve(self) -> None:
        while True:
            try:
                packet = self.lane.ours.recv(4096)
            except OSError:
                return
            if not packet:
                return
            reply = self.lane.replies.read(packet)
            assert reply is not None
            key, number, position, answer, _ = reply
            assert (key, answer) == (KEY, ("wanted",))
            self.asked.append(int(position))
            for earlier in self.before:
                self.lane.ours.send(earlier)
            self.lane.ours.send(self.page(int(number), self.answer(int(position))))

    def results(self, position: int, *reduce: int) -> Results:
        count, fan_in = reduce
        return results_of(self.pages, position, (count, fan_in, False))


def ints(first: int, end: int) -> ResultsPage:
    data = tuple(b"%d" % n for n in range(first, end))
    return ResultsPage(first, end, ((first, False, data),))


@pytest.fixture
def far(tmp_path) -> Iterator[Far]:
    far = Far(str(tmp_path))
    yield far
    far.lane.ours.shutdown(2)
    far.lane.close()


def test_results_come_in_order_and_can_be_read_again(far: Far) -> None:
    results = far.results(0, 35, 0)
    assert len(results) == 35
    assert list(results) == list(range(35))
    assert far.asked == [0, 10, 20, 30]
    assert list(results)[:3] == [0, 1, 2]


def test_a_page_serves_the_next_reduce_too(far: Far) -> None:
    assert [list(far.results(n, 11, 4)) for n in range(3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
    ]
    assert far.asked == [0, 10]
    far.pages.over()
    far.pages.serve(KEY)
    assert list(far.results(2, 11, 4)) == [8, 9, 10]
    assert far.asked == [0, 10, 8]


def test_nothing_is_asked_for_no_results(far: Far) -> None:
    assert list(far.results(0, 0, 0)) == []
    assert list(far.results(5, 11, 4)) == []
    assert far.asked == []


def test_what_gave_no_value_is_none_and_kinds_mix(far: Far) -> None:
    runs = ((1, True, (pickle.dumps({1}), b"")), (5, False, (b'"x"',)))
    far.answer = lambda position: ResultsPage(0, 8, runs)
    assert list(far.results(0, 8, 0)) == [None, {1}, None, None, None, "x", None, None]
    assert list(Results(far.pages, 2, 6, 0)) == [0, 0, 0, "x"]


def test_a_large_page_comes_in_a_file(far: Far) -> None:
    far.answer = lambda position: ResultsPage(
        position, position + 1, ((position, False, (b'"%s"' % (b"x" * 500_000),)),)
    )
    assert [len(text) for text in far.results(0, 2, 0)] == [500_000, 500_000]


def test_a_late_page_and_a_late_verdict_are_passed_over(far: Far) -> None:
    from node_agent.protocol.packets import verdict

    far.before = [far.page(99, ints(0, 3)), verdict(4, 0)]
    assert list(far.results(0, 5, 0)) == list(range(5))


def test_a_wait_passes_over_a_late_page(tmp_path) -> None:
    lane = Lane(0)
    lane.ours.setblocking(True)
    waits = Waits(lane.theirs)
    waits.serve(KEY)
    lane.ours.send(page_packet(Spill(str(tmp_path), "p").pack((1, *ints(0, 2)))))
    lane.answer_wait(1, 0)
    assert waits.begin() == KEY
    lane.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ResultsPage(0, 0, (), "they are gone"), "they are gone"),
        (ResultsPage(5, 9, ()), "no result at position 0"),
        (ResultsPage(0, 1, ((0, False, (b"{",)),)), "not JSON"),
        (ResultsPage(0, 1, ((0, True, (b"?",)),)), "does not load here"),
    ],
)
def test_what_cannot_be_read_is_the_reduces_failure(
    far: Far, answer: ResultsPage, why: str
) -> None:
    far.answer = lambda position: answer
    with pytest.raises(Problem, match=why) as raised:
        list(far.results(0, 5, 0))
    assert raised.value.kind == "RESULTS_NOT_READABLE"


def test_results_outlive_neither_their_reduce_nor_its_agent(far: Far) -> None:
    results = far.results(0, 30, 0)
    reading = iter(results)
    assert next(reading) == 0
    far.pages.over()
    with pytest.raises(Problem, match="has ended"):
        list(results)[10:]
    far.pages.serve(KEY)
    far.lane.ours.shutdown(2)
    with pytest.raises(Problem, match="does not answer"):
        list(Results(far.pages, 20, 30, None))


def test_a_forked_process_reads_nothing(far: Far) -> None:
    results = far.results(0, 30, 0)
    child = os.fork()
    if not child:
        try:
            list(results)
        except Problem:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_pages_stay_when_what_was_not_begun_is_taken_back(far: Far, tmp_path) -> None:
    lane = Lane(0)
    lane.pending[1] = Attempt("t", 1, work=None)
    lane.send(b"an attempt")
    page = page_packet(b"p" * 32_768)
    lane.send(page)
    assert lane.take_back() == [b"an attempt"]
    assert lane.theirs.recv(40_000) == page
    lane.close()
