"""Sending JSON: compressed where the caller takes it, in pieces, tagged."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Scope, Send

from gateway.rest.headers import GZIPPED, LIVE, accepts
from gateway.rest.masks import output_of
from gateway.rest.operations import resource_of
from quorate.v1 import output_pb2

_COMPRESS_FROM: Final = 1024
# From here on compressing takes more than about a millisecond, and the loop is kept free.
_IN_A_THREAD: Final = 64 * 1024
# A piece is written when the one before has left: a slow reader holds so much in our memory.
_PIECE: Final = 64 * 1024


def tag_of(answer: Message) -> str:
    """The entity tag of an answer: its resource's `etag` where it has one, else of its content.

    Fields that move by themselves (OUTPUT_LIVE: a node's load, a queue's counts) are distinguished:
    `<what callers change>` LIVE `<what moves>`. `If-Match` compares the first part alone
    (`gateway.rest.headers`), so that a change is refused when somebody else changed the resource
    and not because a node idled on; `If-None-Match` compares both: a 304 must not hide new figures.

    Answers that are about more than one thing (lists) are tagged whole, but for their revision.
    """
    field = resource_of(cast("Descriptor", answer.DESCRIPTOR))
    resource: Message = answer if field is None else getattr(answer, field.name)
    names = _live_fields(cast("Descriptor", resource.DESCRIPTOR))
    live = None
    if names and field is None:
        # The revision of a list, which moves on while the list stays as it is.
        resource = type(answer)()
        resource.CopyFrom(answer)
        for name in names:
            resource.ClearField(name)
    elif names:
        still, live = type(resource)(), type(resource)()
        still.CopyFrom(resource)
        live.CopyFrom(resource)
        for one, _ in resource.ListFields():
            (still if one.name in names else live).ClearField(one.name)
        resource = still
    given = getattr(resource, "etag", "")
    tag = given.strip('"') if isinstance(given, str) and given else _digest(resource)
    if live is None:
        return tag
    beside = type(answer)()
    if len(answer.DESCRIPTOR.fields) > 1 and field is not None:
        # Who asked: the answer to somebody else is another one.
        beside.CopyFrom(answer)
        beside.ClearField(field.name)
    return f"{tag}{LIVE}{_digest(live, beside)}"


def _digest(*messages: Message) -> str:
    digest = blake2b(digest_size=12)
    for message in messages:
        digest.update(message.SerializeToString(deterministic=True))
    return digest.hexdigest()


@cache
def _live_fields(kind: Descriptor) -> frozenset[str]:
    """As many sets are kept as there are resources in the contract."""
    return frozenset(one.name for one in kind.fields if output_of(one) == output_pb2.OUTPUT_LIVE)


async def send_json(
    scope: Scope, send: Send, body: bytes, *, headers: Mapping[str, str], tag: str | None = None
) -> None:
    """Answer 200 with a JSON body."""
    fields = {"Content-Type": "application/json", **headers}
    if len(body) >= _COMPRESS_FROM:
        fields["Vary"] = "Accept-Encoding"
        if accepts(Headers(scope=scope), "Accept-Encoding", "gzip") > 0:
            fields["Content-Encoding"] = "gzip"
            tag = tag and tag + GZIPPED
            if len(body) >= _IN_A_THREAD:
                body = await asyncio.to_thread(gzip.compress, body, 5)
            else:
                body = gzip.compress(body, 5)
    if tag is not None:
        fields["ETag"] = f'"{tag}"'
    fields["Content-Length"] = str(len(body))
    await start(send, 200, fields)
    for begin in range(0, len(body) or 1, _PIECE):
        more = begin + _PIECE < len(body)
        piece = body[begin : begin + _PIECE]
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def send_empty(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Answer without a body."""
    await start(send, status, headers)
    await send({"type": "http.response.body", "body": b""})


async def start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Begin an answer."""
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    await send({"type": "http.response.start", "status": status, "headers": raw})
