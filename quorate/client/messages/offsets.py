"""What `Client` has for named offsets of streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.client.messages import rpcs
from quorate.client.messages.values import requests

if TYPE_CHECKING:
    from quorate.client.transport.calls import Calls


class OffsetMethods:
    """A part of `Client`."""

    if TYPE_CHECKING:

        @property
        def calls(self) -> Calls: ...

    def store_offset(
        self,
        stream: str,
        name: str,
        offset: int,
        *,
        expected: int | None = None,
        virtual_host: str = "",
    ) -> None:
        """Store where the readers of a stream that use a name go on; durable when it returns.

        `consume(stream, offset_name=name)` begins there.

        Args:
            name: 1 to 255 bytes. A stream has at most 256 names.
            offset: of the next message that is to be read: `delivery.id + 1`.
            expected: only if the offset is this one now; 0: only if there is none.

        Raises QuorateError: FAILED_PRECONDITION `STREAM_OFFSET_MOVED`: another reader has stored
        one; INVALID_ARGUMENT `OFFSET_OUT_OF_RANGE`: beyond the stream's next offset;
        RESOURCE_EXHAUSTED `TOO_MANY_STREAM_OFFSETS`; NOT_FOUND.
        """
        request = requests.store_offset(stream, name, offset, expected, virtual_host)
        self.calls.call(rpcs.SET_STREAM_OFFSET, request)

    def stored_offsets(self, stream: str, *, virtual_host: str = "") -> dict[str, int]:
        """The named offsets of a stream, sorted by name. Raises QuorateError: NOT_FOUND."""
        request = requests.list_offsets(stream, virtual_host)
        found = self.calls.call(rpcs.LIST_STREAM_OFFSETS, request).stream_offsets
        return {one.name: one.offset for one in found}

    def delete_offset(self, stream: str, name: str, *, virtual_host: str = "") -> None:
        """Delete a named offset of a stream. Raises QuorateError: NOT_FOUND."""
        request = requests.delete_offset(stream, name, virtual_host)
        self.calls.call(rpcs.DELETE_STREAM_OFFSET, request)
