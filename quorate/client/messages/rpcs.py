"""The Broker's methods as typed values; see `quorate.client.transport.rpcs`."""

from __future__ import annotations

from typing import Final, TypeVar

from quorate.client.transport.rpcs import BATCH_DEADLINE, DEADLINE, Message, Rpc
from quorate.v1 import broker_pb2 as pb

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res")


def _rpc(
    name: str, request: type[Req], response: type[Res], deadline: float = DEADLINE
) -> Rpc[Req, Res]:
    return Rpc(name, request, response, deadline, "Broker")


# Of one stream, seconds: then it is opened again.
STREAM_DEADLINE: Final = 3_600.0

CREATE_VIRTUAL_HOST = _rpc(
    "CreateVirtualHost", pb.CreateVirtualHostRequest, pb.CreateVirtualHostResponse
)
CREATE_EXCHANGE = _rpc("CreateExchange", pb.CreateExchangeRequest, pb.CreateExchangeResponse)
LIST_EXCHANGES = _rpc("ListExchanges", pb.ListExchangesRequest, pb.ListExchangesResponse)
GET_EXCHANGE = _rpc("GetExchange", pb.GetExchangeRequest, pb.GetExchangeResponse)
DELETE_EXCHANGE = _rpc("DeleteExchange", pb.DeleteExchangeRequest, pb.DeleteExchangeResponse)
CREATE_BINDING = _rpc("CreateBinding", pb.CreateBindingRequest, pb.CreateBindingResponse)
LIST_BINDINGS = _rpc("ListBindings", pb.ListBindingsRequest, pb.ListBindingsResponse)
DELETE_BINDING = _rpc("DeleteBinding", pb.DeleteBindingRequest, pb.DeleteBindingResponse)
CREATE_MESSAGE_QUEUE = _rpc(
    "CreateMessageQueue", pb.CreateMessageQueueRequest, pb.CreateMessageQueueResponse
)
GET_MESSAGE_QUEUE = _rpc("GetMessageQueue", pb.GetMessageQueueRequest, pb.GetMessageQueueResponse)
LIST_MESSAGE_QUEUES = _rpc(
    "ListMessageQueues", pb.ListMessageQueuesRequest, pb.ListMessageQueuesResponse
)
DELETE_MESSAGE_QUEUE = _rpc(
    "DeleteMessageQueue",
    pb.DeleteMessageQueueRequest,
    pb.DeleteMessageQueueResponse,
    BATCH_DEADLINE,
)
PURGE_MESSAGE_QUEUE = _rpc(
    "PurgeMessageQueue",
    pb.PurgeMessageQueueRequest,
    pb.PurgeMessageQueueResponse,
    BATCH_DEADLINE,
)
PEEK_MESSAGES = _rpc("PeekMessages", pb.PeekMessagesRequest, pb.PeekMessagesResponse)
RECEIVE_MESSAGES = _rpc(
    "ReceiveMessages", pb.ReceiveMessagesRequest, pb.ReceiveMessagesResponse, BATCH_DEADLINE
)
MOVE_MESSAGES = _rpc(
    "MoveMessages", pb.MoveMessagesRequest, pb.MoveMessagesResponse, BATCH_DEADLINE
)
SET_MESSAGE_POLICY = _rpc(
    "SetMessagePolicy", pb.SetMessagePolicyRequest, pb.SetMessagePolicyResponse, BATCH_DEADLINE
)
LIST_MESSAGE_POLICIES = _rpc(
    "ListMessagePolicies", pb.ListMessagePoliciesRequest, pb.ListMessagePoliciesResponse
)
DELETE_MESSAGE_POLICY = _rpc(
    "DeleteMessagePolicy",
    pb.DeleteMessagePolicyRequest,
    pb.DeleteMessagePolicyResponse,
    BATCH_DEADLINE,
)
SET_STREAM_OFFSET = _rpc("SetStreamOffset", pb.SetStreamOffsetRequest, pb.SetStreamOffsetResponse)
LIST_STREAM_OFFSETS = _rpc(
    "ListStreamOffsets", pb.ListStreamOffsetsRequest, pb.ListStreamOffsetsResponse
)
DELETE_STREAM_OFFSET = _rpc(
    "DeleteStreamOffset", pb.DeleteStreamOffsetRequest, pb.DeleteStreamOffsetResponse
)
PUBLISH = _rpc("Publish", pb.PublishRequest, pb.PublishResponse, BATCH_DEADLINE)
TRANSACT = _rpc("Transact", pb.TransactRequest, pb.TransactResponse, BATCH_DEADLINE)
PUBLISH_STREAM = _rpc("PublishStream", pb.PublishStreamRequest, pb.PublishStreamResponse)
CONSUME = _rpc("Consume", pb.ConsumeRequest, pb.ConsumeResponse)
