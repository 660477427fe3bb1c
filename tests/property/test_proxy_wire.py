"""The proxy's reader against another one, and against itself in pieces."""

from __future__ import annotations

from itertools import pairwise

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.http1.forwarded_headers import forwarded, request_bytes
from gateway.proxy.http1.framing import BadFraming, ChunkedFramer, chunk
from gateway.proxy.http1.heads import CHUNKED, Garbage, parse_request, parse_response
from gateway.proxy.http1.paths import decode, resolve
from gateway.proxy.http1.problems import Rejection

PIECES = [
    b"Host: g", b"Host:g", b"Content-Length: 3", b"Content-Length: 03", b"Content-length:3 ",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close",
    b"Connection: keep-alive, X-A", b"Connection: upgrade", b"Upgrade: websocket", b"X-A: 1",
    b"X-B:", b" X-C: 1", b"X-D : 1", b"X-E: a\tb", b"X-F: \xff", b"Expect: 100-continue",
    b"X-G: a\rb", b"X-H: a\nb", b"X-I: \x00", b"Host: h", b"Content-Length: 3, 3", b": x",
    b"TRANSFER_ENCODING: chunked", b"X-Forwarded-For: 1.1.1.1", b"x_forwarded_for: 2",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES), max_size=6)
METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"DELETE"])


class Other:
    """What httptools makes of a request."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


@settings(max_examples=400, deadline=None)
@given(METHODS, LINES, st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]))
def test_what_is_passed_on_reads_the_same_to_another_reader(method, lines, version):
    """A request that is accepted is passed on so that httptools sees its length as we do."""
    head = b"\r\n".join([method + b" /a " + version, *lines])
    try:
        found = parse_request(head)
    except Rejection:
        return
    out = request_bytes(
        found,
        target=b"/a",
        authority=b"i:1",
        about=forwarded(found, peer=b"9.9.9.9", proto=b"http", prefix=b"", trusted=False),
        request_id=b"r",
    )
    other = Other()
    parser = httptools.HttpRequestParser(other)
    try:
        parser.feed_data(out)
    except httptools.HttpParserUpgrade:
        assert found.upgrade
    assert other.complete
    seen = dict(other.headers)
    assert other.url == b"/a"
    names = [name for name, _ in other.headers if name.startswith((b"x-forw", b"host", b"content"))]
    assert len(set(names)) == len(names)
    assert seen[b"x-forwarded-for"] == b"9.9.9.9"
    assert not {b"x_forwarded_for", b"transfer_encoding", b"keep-alive"} & seen.keys()
    assert (b"transfer-encoding" in seen) == (found.length == CHUNKED)
    assert int(seen.get(b"content-length", b"0")) == max(0, found.length)
    assert not (b"transfer-encoding" in seen and b"content-length" in seen)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for head in (data, b"GET / HTTP/1.1\r\nHost: g\r\n" + data):
        try:
            found = parse_request(head)
        except Rejection:
            pass
        else:
            assert all(b"\n" not in line and b"\r" not in line for line in found.lines)
    for head in (data, b"HTTP/1.1 200 OK\r\n" + data):
        try:
            answer = parse_response(head, b"GET")
        except Garbage:
            pass
        else:
            assert all(b"\n" not in line and b"\r" not in line for line in answer.lines)


def read_chunks(stream: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    framer, held, body = ChunkedFramer(), b"", b""
    edges = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for start, stop in pairwise(edges):
        held += stream[start:stop]
        piece = framer.feed(held)
        body += piece.data
        held = held[piece.taken :]
        if piece.done:
            return body, held + stream[stop:], True
    return body, held, False


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
    st.binary(max_size=20),
    st.sampled_from([b"", b"X-T: 1\r\n"]),
)
def test_chunks_are_read_however_they_are_cut(parts, cuts, rest, trailer):
    stream = b"".join(map(chunk, parts)) + b"0;e=1\r\n" + trailer + b"\r\n" + rest
    assert read_chunks(stream, cuts) == (b"".join(parts), rest, True)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_bad_chunks_are_refused_or_wanting_in_bounded_memory(data, cuts):
    try:
        body, _, _ = read_chunks(data, cuts)
    except BadFraming:
        return
    assert len(body) <= len(data)


SEGMENTS = st.lists(
    st.sampled_from([b"a", b".", b"..", b"", b"%2e", b"%2E%2e", b"%2f", b"%41", b"...", b"%5c"]),
    max_size=8,
)


@settings(max_examples=400, deadline=None)
@given(SEGMENTS)
def test_a_normalised_path_never_leaves_its_root_and_is_normal(segments):
    raw = b"/" + b"/".join(segments)
    try:
        path = resolve(decode(raw))
    except Rejection:
        return
    assert path.startswith(b"/")
    assert not path.startswith(b"//")
    assert not {b".", b".."} & set(path.split(b"/"))
    assert b"%2f" not in path
    assert resolve(decode(path)) == path


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        (b"/a/./b/../c", b"/a/c"),
        (b"/a/b/..", b"/a/"),
        (b"/%7Euser/%2F", b"/~user/%2F"),
        (b"//evil.example/x", b"/evil.example/x"),
        (b"/a//b", b"/a//b"),
        (b"/.well-known/x", b"/.well-known/x"),
    ],
)
def test_paths_in_normal_form(raw: bytes, normal: bytes):
    assert resolve(decode(raw)) == normal
