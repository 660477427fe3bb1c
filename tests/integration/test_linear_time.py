"""What reads input takes time, and memory, in proportion to it: none is worse for being larger.

Each input is doubled from about 8 KB to 8 MB. A step may take 2.6 times as long as the one before:
twice, and a third for caches that overflow on the way.
Only sizes that take long enough to be measured are compared; of each, the fastest of some runs, in
CPU time.
"""

from __future__ import annotations

import gc
import itertools
import time
import tracemalloc
from collections.abc import Callable

import pytest
from starlette.datastructures import Headers

from gateway.auth.credentials import token_of_socket
from gateway.http.jsonread import fill, load, read_field_mask
from gateway.http.scalars import BadValue, read_bytes, read_duration, read_integer, shown
from gateway.live.messages.requests import Malformed, read_request
from gateway.proxy.http1.answer import Answer
from gateway.proxy.http1.forwarded_headers import passed
from gateway.proxy.http1.framing import BadFraming, ChunkedFramer
from gateway.proxy.http1.heads import (
    Garbage,
    cookie_of,
    has_bare_lf,
    parse_request,
    parse_response,
    without_empty_lines,
)
from gateway.proxy.http1.paths import decode, resolve, service_path, split_target
from gateway.proxy.http1.problems import Rejection
from gateway.rest import headers as h
from gateway.rest.operations import operations_of
from gateway.rest.query import fill_query, pairs
from gateway.rest.router import Router
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb

SMALLEST, LARGEST = 8 << 10, 8 << 20
RATIO = 2.6
# Seconds below which a run says nothing.
LEAST = 0.005

ROUTER = Router(operations_of())
LIST_TASKS = next(one for one in operations_of() if one.method.name == "ListTasks")


def repeated(piece: str, before: str = "", after: str = "") -> Callable[[int], bytes]:
    """Makes an input of about so many bytes of repeated pieces."""
    return lambda size: f"{before}{piece * (size // len(piece))}{after}".encode()


def members(size: int) -> bytes:
    names = ",".join(f'"m{number:07}":1' for number in range(size // 12))
    return f"{{{names}}}".encode()


def last_twice(size: int) -> bytes:
    return members(size)[:-1] + b',"z":1,"z":2}'


def first_twice(size: int) -> bytes:
    return members(size)[:-1] + b',"m0000000":2}'


def into_batch(body: bytes) -> None:
    fill(pb.BatchCreateTasksRequest(), load(body))


def feed_small(data: bytes) -> None:
    framer = ChunkedFramer(1024)
    at = 0
    while at < len(data):
        # As the front does it: so much of a read as there is, then what is left of it.
        part = data[at : at + 65_536]
        taken = framer.feed(part).taken
        if not taken:
            return
        at += taken


def answer_body(data: bytes) -> None:
    answer = Answer(parse_request(b"GET / HTTP/1.1\r\nHost: g"))
    head = answer.head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert head is not None
    answer.expect_body(head)
    for at in range(0, len(data), 65_536):
        answer.body(data[at : at + 65_536])


def answer_head(data: bytes) -> None:
    """Byte by byte would be 64 KiB at most; in pieces of 512 it may be looked at often enough."""
    answer = Answer(parse_request(b"GET / HTTP/1.1\r\nHost: g"))
    answer.head(b"HTTP/1.1 200 OK\r\n")
    for at in range(0, min(len(data), 64_000), 512):
        answer.head(data[at : at + 512])


def headers_with(name: str) -> Callable[[bytes], Headers]:
    return lambda data: Headers(raw=[(name.lower().encode(), data)])


def ignoring(work: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """A refusal is an answer too."""

    def run(data: bytes) -> None:
        try:
            work(data)
        except (QuorateError, Rejection, Garbage, BadFraming, BadValue, Malformed):
            pass

    return run


def text(work: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: work(data.decode("latin-1"))


# Of 16 KiB on, JSON is read in a thread; 500,000 values are the most.
CASES: dict[str, tuple[Callable[[int], bytes], Callable[[bytes], object]]] = {
    "members": (members, load),
    "a member twice, the last": (last_twice, load),
    "a member twice, the first": (first_twice, load),
    "nested arrays": (repeated("[", '{"a":', ""), load),
    "nested objects": (repeated('{"a":', "", ""), load),
    "shallow arrays": (repeated("[],", '{"a":[', "[]]}"), load),
    "objects": (repeated("{},", '{"a":[', "{}]}"), load),
    "commas in a string": (repeated(",[{", '{"a":"', '"}'), load),
    "commas in strings": (repeated('",[{",', '{"a":[', '""]}'), load),
    "escapes": (repeated("\\n", '{"a":"', '"}'), load),
    "escaped quotes": (repeated('\\",', '{"a":"', '"}'), load),
    "escaped escapes": (repeated("\\\\,", '{"a":"', '"}'), load),
    "surrogates": (repeated("\\ud83d\\ude00", '{"a":"', '"}'), load),
    "half surrogates": (repeated("\\ud83d", '{"a":"', '"}'), into_batch),
    "an open string": (repeated("\\", '{"a":"', ""), load),
    "white space": (repeated(" \n", "{", "}"), load),
    "a long integer": (repeated("1", '{"a":', "}"), load),
    "a long fraction": (repeated("1", '{"a":0.', "}"), load),
    "a long exponent": (repeated("1", '{"a":1e', "}"), load),
    "integers": (repeated("12345678901234,", '{"a":[', "1]}"), load),
    "an unknown field": (repeated("x", '{"', '":1}'), into_batch),
    "the wrong type": (repeated("x", '{"specs":"', '"}'), into_batch),
    "an array of the wrong type": (repeated("[],", '{"queue":[', "1]}"), into_batch),
    "specs": (repeated('{"command":{"argv":["a"]}},', '{"specs":[', "{}]}"), into_batch),
    "labels": (
        lambda size: b'{"specs":[{"labels":%b}]}' % members(size).replace(b":1", b':"v"'),
        into_batch,
    ),
    "a field mask": (repeated("aA,"), text(read_field_mask)),
    "base64": (repeated("QUJD"), text(read_bytes)),
    "base64, spoilt at its end": (repeated("QUJD", "", "*"), text(read_bytes)),
    "base64, padding alone": (repeated("="), text(read_bytes)),
    "not an integer": (repeated("1"), text(lambda value: read_integer(value, 0, 9))),
    "not a duration": (repeated("1"), text(read_duration)),
    "shown text": (repeated("x"), text(shown)),
    "shown array": (lambda size: b"x" * size, lambda data: shown(list(data))),
}
# What comes in a request's head, or in a live message: 64 KiB at most. It is tried further.
HEADS: dict[str, tuple[Callable[[int], bytes], Callable[[bytes], object]]] = {
    "query pairs": (repeated("a=b&"), lambda data: list(pairs(data))),
    "query without values": (repeated("&"), lambda data: list(pairs(data))),
    "percent in a query": (repeated("%41", "a="), lambda data: list(pairs(data))),
    "repeated parameters": (
        repeated("states=1&"),
        lambda data: fill_query(pb.ListTasksRequest(), LIST_TASKS, data),
    ),
    "dots in a parameter": (
        repeated("a."),
        lambda data: fill_query(pb.ListTasksRequest(), LIST_TASKS, data),
    ),
    "entity tags": (repeated('"a" , '), lambda d: h.tags(headers_with("if-match")(d), "if-match")),
    "blanks between tags": (
        repeated(" ", '"a"', "b"),
        lambda d: h.tags(headers_with("if-match")(d), "if-match"),
    ),
    "accepted kinds": (
        repeated("a/b;q=0.5,"),
        lambda d: h.accepts(headers_with("accept")(d), "accept", "application/json"),
    ),
    "a timeout": (
        repeated("1"),
        lambda d: h.timeout(headers_with(h.TIMEOUT)(d)),
    ),
    "subprotocols": (
        repeated("quorate.bearer.a,"),
        text(lambda value: token_of_socket([], [value])),
    ),
    "a REST path of many segments": (repeated("/a"), text(ROUTER.match)),
    "a REST path of one segment": (repeated("a", "/v1/tasks/"), text(ROUTER.match)),
    "encoded path": (repeated("%2e"), lambda d: decode(b"/services/web/" + d)),
    "dot segments": (repeated("/./a"), resolve),
    "dot segments that lead up": (repeated("/a/.."), resolve),
    "slashes": (repeated("/"), lambda d: service_path(b"/services/web" + d)),
    "an absolute target": (repeated("a", "http://"), split_target),
    "a line of a head": (repeated("a", "GET / HTTP/1.1\r\nHost: g\r\nx: "), parse_request),
    "lines of a head": (repeated("a: b\r\n", "GET / HTTP/1.1\r\n"), parse_request),
    "named in Connection": (
        repeated("a,", "GET / HTTP/1.1\r\nHost: g\r\nConnection: "),
        parse_request,
    ),
    "a host": (repeated("a", "GET / HTTP/1.1\r\nHost: "), parse_request),
    "cookies": (repeated("a=b;", "Cookie: "), lambda d: cookie_of([d], b"user")),
    "passed": (
        repeated("a, ", "GET / HTTP/1.1\r\nHost: g\r\ncdn-loop: ", "b"),
        lambda d: passed(parse_request(d), b"me", b"web"),
    ),
    "an answer's head": (
        repeated("a", "HTTP/1.1 200 OK\r\nx: "),
        lambda d: parse_response(d, b"GET"),
    ),
    "a head without an end": (repeated("a: b\r\n"), answer_head),
    "empty lines": (repeated("\r\n", "", "x"), without_empty_lines),
    "empty lines and a CR": (repeated("\r\n", "", "\r\r"), without_empty_lines),
    "looking for a bare LF": (repeated("a\r\n"), lambda d: has_bare_lf(d, 1)),
    "tiny chunks": (repeated("1\r\nx\r\n"), feed_small),
    "tiny chunks of an answer": (repeated("1\r\nx\r\n"), answer_body),
    "a chunk's extension": (repeated("x", "5;"), ChunkedFramer().feed),
    "trailers": (repeated("a: b\r\n", "0\r\n"), ChunkedFramer().feed),
    "a live message": (
        repeated('"a",', '{"op":"subscribe","filter":{"ids":[', '"a"]}}'),
        read_request,
    ),
    "a live message's members": (last_twice, read_request),
}


def fastest(work: Callable[[bytes], None], data: bytes) -> float:
    """Seconds of CPU, without the garbage collector, which looks at all that the tests made."""
    found = []
    for _ in range(4):
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            work(data)
            found.append(time.process_time() - start)
        finally:
            gc.enable()
        if sum(found) > 0.05:
            break
    return min(found)


@pytest.mark.parametrize("name", [*CASES, *HEADS])
def test_time_grows_with_the_input_and_no_faster(name: str) -> None:
    make, read = CASES.get(name) or HEADS[name]
    largest = LARGEST if name in CASES else LARGEST >> 3
    work = ignoring(read)
    work(make(SMALLEST))
    sizes = [SMALLEST << step for step in range(11) if SMALLEST << step <= largest]
    # A busy machine can only make it look steeper; what is steep by itself is so each time.
    for _ in range(3):
        took = [fastest(work, make(size)) for size in sizes]
        if not is_steep(took):
            return
    raise AssertionError(dict(zip(sizes, took, strict=True)))


def is_steep(took: list[float]) -> bool:
    """Whether two doublings in a row take more than `RATIO` times as long each.

    A single steep step is where another way begins (a bound that is checked, memory that is taken
    from the system); a loop within a loop is steep at each.
    """
    steep = [
        before > LEAST and after > RATIO * before for before, after in itertools.pairwise(took)
    ]
    return any(map(all, itertools.pairwise(steep)))


def test_a_loop_within_a_loop_would_be_seen() -> None:
    """The check itself: JSON's old search for a name that is there twice."""
    sizes = [SMALLEST << step for step in range(5)]

    def old(data: bytes) -> None:
        names = data.split(b",")
        next((name for name in names if names.count(name) > 1), None)

    assert is_steep([fastest(old, members(size)) for size in sizes])


@pytest.mark.parametrize("name", ["base64", "escapes", "commas in a string", "members"])
def test_memory_grows_with_the_input(name: str) -> None:
    make, read = CASES[name]
    data = make(1 << 20)
    tracemalloc.start()
    try:
        ignoring(read)(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Members are the worst: a Python object or two for twelve bytes of text.
    assert peak < 24 * len(data)
