"""What `Client` has for policies of message queues and exchanges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quorate.client.messages import rpcs
from quorate.client.messages.values import policies
from quorate.v1 import message_pb2

if TYPE_CHECKING:
    from quorate.client.transport.calls import Calls


class PolicyMethods:
    """A part of `Client`."""

    if TYPE_CHECKING:

        @property
        def calls(self) -> Calls: ...

    def set_policy(
        self,
        name: str,
        pattern: str,
        definition: Mapping[str, Any],
        *,
        priority: int = 0,
        apply_to: str = "all",
        operator: bool = False,
        virtual_host: str = "",
    ) -> message_pb2.MessagePolicy:
        """Create or change a policy of message queues and exchanges. All of them follow it when
        this returns.

        Args:
            pattern: a regular expression, which matches any part of a name.
            definition: keys and units as in RabbitMQ, such as `{"max-length": 1000}`;
                `message-ttl` and `expires` are milliseconds.
            priority: of several policies that match, the one with the highest applies.
            apply_to: "all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges".
            operator: it lowers numbers, whatever other policies and declarations say.

        Raises QuorateError: INVALID_ARGUMENT; RESOURCE_EXHAUSTED `TOO_MANY_POLICIES`; NOT_FOUND.
        """
        request = policies.set_policy(
            *(name, pattern, definition),
            priority=priority,
            apply_to=apply_to,
            operator=operator,
            virtual_host=virtual_host,
        )
        return self.calls.call(rpcs.SET_MESSAGE_POLICY, request).policy

    def policies(self, *, virtual_host: str = "") -> list[message_pb2.MessagePolicy]:
        """The policies and operator policies of a virtual host, the highest priority first."""
        request = policies.list_policies(virtual_host)
        return list(self.calls.call(rpcs.LIST_MESSAGE_POLICIES, request).policies)

    def delete_policy(self, name: str, *, operator: bool = False, virtual_host: str = "") -> None:
        """Delete a policy. Raises QuorateError: NOT_FOUND."""
        request = policies.delete_policy(name, operator, virtual_host)
        self.calls.call(rpcs.DELETE_MESSAGE_POLICY, request)
