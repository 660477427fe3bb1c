import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExplainReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPLAIN_REASON_UNSPECIFIED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_QUEUE_PAUSED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_NOT_BEFORE: _ClassVar[ExplainReason]
    EXPLAIN_REASON_BACKOFF: _ClassVar[ExplainReason]
    EXPLAIN_REASON_LIMIT: _ClassVar[ExplainReason]
    EXPLAIN_REASON_NO_NODE: _ClassVar[ExplainReason]
    EXPLAIN_REASON_NO_NODE_FITS: _ClassVar[ExplainReason]
    EXPLAIN_REASON_NODES_BUSY: _ClassVar[ExplainReason]
    EXPLAIN_REASON_TURN: _ClassVar[ExplainReason]
    EXPLAIN_REASON_STARTING: _ClassVar[ExplainReason]
    EXPLAIN_REASON_ASSIGNED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_RUNNING: _ClassVar[ExplainReason]
    EXPLAIN_REASON_STOPPING: _ClassVar[ExplainReason]
    EXPLAIN_REASON_NODE_UNREACHABLE: _ClassVar[ExplainReason]
    EXPLAIN_REASON_SUCCEEDED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_FAILED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_CRASH_LIMIT: _ClassVar[ExplainReason]
    EXPLAIN_REASON_CANCELLED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_EXPIRED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_DROPPED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_TASK_PAUSED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_RESERVED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_PAUSED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_REPLACES: _ClassVar[ExplainReason]
    EXPLAIN_REASON_ORDER: _ClassVar[ExplainReason]
    EXPLAIN_REASON_JOB_PAUSED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_MAX_PARALLEL: _ClassVar[ExplainReason]
    EXPLAIN_REASON_JOB_LOADING: _ClassVar[ExplainReason]
    EXPLAIN_REASON_BLOCKED: _ClassVar[ExplainReason]
    EXPLAIN_REASON_SKIPPED: _ClassVar[ExplainReason]

class NodeFilter(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_FILTER_UNSPECIFIED: _ClassVar[NodeFilter]
    NODE_FILTER_NONE: _ClassVar[NodeFilter]
    NODE_FILTER_DISCONNECTED: _ClassVar[NodeFilter]
    NODE_FILTER_SUSPECT: _ClassVar[NodeFilter]
    NODE_FILTER_CORDONED: _ClassVar[NodeFilter]
    NODE_FILTER_DRAINING: _ClassVar[NodeFilter]
    NODE_FILTER_DISK: _ClassVar[NodeFilter]
    NODE_FILTER_CPU: _ClassVar[NodeFilter]
    NODE_FILTER_MEMORY: _ClassVar[NodeFilter]
    NODE_FILTER_COUNTER: _ClassVar[NodeFilter]
    NODE_FILTER_SLOTS: _ClassVar[NodeFilter]
    NODE_FILTER_RESOURCES: _ClassVar[NodeFilter]
    NODE_FILTER_SCALING_DOWN: _ClassVar[NodeFilter]
    NODE_FILTER_LABELS: _ClassVar[NodeFilter]
    NODE_FILTER_TAINT: _ClassVar[NodeFilter]
    NODE_FILTER_NEAR: _ClassVar[NodeFilter]
    NODE_FILTER_APART: _ClassVar[NodeFilter]
    NODE_FILTER_PLUGIN: _ClassVar[NodeFilter]
    NODE_FILTER_RESERVED: _ClassVar[NodeFilter]
EXPLAIN_REASON_UNSPECIFIED: ExplainReason
EXPLAIN_REASON_QUEUE_PAUSED: ExplainReason
EXPLAIN_REASON_NOT_BEFORE: ExplainReason
EXPLAIN_REASON_BACKOFF: ExplainReason
EXPLAIN_REASON_LIMIT: ExplainReason
EXPLAIN_REASON_NO_NODE: ExplainReason
EXPLAIN_REASON_NO_NODE_FITS: ExplainReason
EXPLAIN_REASON_NODES_BUSY: ExplainReason
EXPLAIN_REASON_TURN: ExplainReason
EXPLAIN_REASON_STARTING: ExplainReason
EXPLAIN_REASON_ASSIGNED: ExplainReason
EXPLAIN_REASON_RUNNING: ExplainReason
EXPLAIN_REASON_STOPPING: ExplainReason
EXPLAIN_REASON_NODE_UNREACHABLE: ExplainReason
EXPLAIN_REASON_SUCCEEDED: ExplainReason
EXPLAIN_REASON_FAILED: ExplainReason
EXPLAIN_REASON_CRASH_LIMIT: ExplainReason
EXPLAIN_REASON_CANCELLED: ExplainReason
EXPLAIN_REASON_EXPIRED: ExplainReason
EXPLAIN_REASON_DROPPED: ExplainReason
EXPLAIN_REASON_TASK_PAUSED: ExplainReason
EXPLAIN_REASON_RESERVED: ExplainReason
EXPLAIN_REASON_PAUSED: ExplainReason
EXPLAIN_REASON_REPLACES: ExplainReason
EXPLAIN_REASON_ORDER: ExplainReason
EXPLAIN_REASON_JOB_PAUSED: ExplainReason
EXPLAIN_REASON_MAX_PARALLEL: ExplainReason
EXPLAIN_REASON_JOB_LOADING: ExplainReason
EXPLAIN_REASON_BLOCKED: ExplainReason
EXPLAIN_REASON_SKIPPED: ExplainReason
NODE_FILTER_UNSPECIFIED: NodeFilter
NODE_FILTER_NONE: NodeFilter
NODE_FILTER_DISCONNECTED: NodeFilter
NODE_FILTER_SUSPECT: NodeFilter
NODE_FILTER_CORDONED: NodeFilter
NODE_FILTER_DRAINING: NodeFilter
NODE_FILTER_DISK: NodeFilter
NODE_FILTER_CPU: NodeFilter
NODE_FILTER_MEMORY: NodeFilter
NODE_FILTER_COUNTER: NodeFilter
NODE_FILTER_SLOTS: NodeFilter
NODE_FILTER_RESOURCES: NodeFilter
NODE_FILTER_SCALING_DOWN: NodeFilter
NODE_FILTER_LABELS: NodeFilter
NODE_FILTER_TAINT: NodeFilter
NODE_FILTER_NEAR: NodeFilter
NODE_FILTER_APART: NodeFilter
NODE_FILTER_PLUGIN: NodeFilter
NODE_FILTER_RESERVED: NodeFilter

class ExplanationReason(_message.Message):
    __slots__ = ("reason", "sentence", "until", "paused_by", "holders")
    REASON_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    reason: ExplainReason
    sentence: str
    until: _timestamp_pb2.Timestamp
    paused_by: str
    holders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reason: _Optional[_Union[ExplainReason, str]] = ..., sentence: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused_by: _Optional[str] = ..., holders: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplanationNode(_message.Message):
    __slots__ = ("node", "filter", "sentence")
    NODE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    node: str
    filter: NodeFilter
    sentence: str
    def __init__(self, node: _Optional[str] = ..., filter: _Optional[_Union[NodeFilter, str]] = ..., sentence: _Optional[str] = ...) -> None: ...

class ExplanationPlace(_message.Message):
    __slots__ = ("ahead", "exact", "higher_priority", "other_lanes", "next", "other_tenants", "sentence")
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    HIGHER_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OTHER_LANES_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    OTHER_TENANTS_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    ahead: int
    exact: bool
    higher_priority: int
    other_lanes: int
    next: str
    other_tenants: int
    sentence: str
    def __init__(self, ahead: _Optional[int] = ..., exact: _Optional[bool] = ..., higher_priority: _Optional[int] = ..., other_lanes: _Optional[int] = ..., next: _Optional[str] = ..., other_tenants: _Optional[int] = ..., sentence: _Optional[str] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("task", "sentence", "reasons", "nodes", "nodes_total", "place", "nodes_question")
    TASK_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NODES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    NODES_QUESTION_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    sentence: str
    reasons: _containers.RepeatedCompositeFieldContainer[ExplanationReason]
    nodes: _containers.RepeatedCompositeFieldContainer[ExplanationNode]
    nodes_total: int
    place: ExplanationPlace
    nodes_question: str
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., sentence: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[ExplanationReason, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[ExplanationNode, _Mapping]]] = ..., nodes_total: _Optional[int] = ..., place: _Optional[_Union[ExplanationPlace, _Mapping]] = ..., nodes_question: _Optional[str] = ...) -> None: ...
