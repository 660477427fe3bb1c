from quorate.v1 import queue_pb2 as _queue_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelOperator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_OPERATOR_UNSPECIFIED: _ClassVar[LabelOperator]
    LABEL_OPERATOR_IN: _ClassVar[LabelOperator]
    LABEL_OPERATOR_NOT_IN: _ClassVar[LabelOperator]
    LABEL_OPERATOR_EXISTS: _ClassVar[LabelOperator]
    LABEL_OPERATOR_NOT_EXISTS: _ClassVar[LabelOperator]
LABEL_OPERATOR_UNSPECIFIED: LabelOperator
LABEL_OPERATOR_IN: LabelOperator
LABEL_OPERATOR_NOT_IN: LabelOperator
LABEL_OPERATOR_EXISTS: LabelOperator
LABEL_OPERATOR_NOT_EXISTS: LabelOperator

class NodeRule(_message.Message):
    __slots__ = ("label", "operator", "values", "preferred")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    label: str
    operator: LabelOperator
    values: _containers.RepeatedScalarFieldContainer[str]
    preferred: bool
    def __init__(self, label: _Optional[str] = ..., operator: _Optional[_Union[LabelOperator, str]] = ..., values: _Optional[_Iterable[str]] = ..., preferred: _Optional[bool] = ...) -> None: ...

class Taint(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Toleration(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class TaskRule(_message.Message):
    __slots__ = ("label", "value", "preferred")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    label: str
    value: str
    preferred: bool
    def __init__(self, label: _Optional[str] = ..., value: _Optional[str] = ..., preferred: _Optional[bool] = ...) -> None: ...

class PlacementRules(_message.Message):
    __slots__ = ("nodes", "tolerations", "near", "apart", "distinct", "strategy", "spread")
    NODES_FIELD_NUMBER: _ClassVar[int]
    TOLERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEAR_FIELD_NUMBER: _ClassVar[int]
    APART_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeRule]
    tolerations: _containers.RepeatedCompositeFieldContainer[Toleration]
    near: _containers.RepeatedCompositeFieldContainer[TaskRule]
    apart: _containers.RepeatedCompositeFieldContainer[TaskRule]
    distinct: _containers.RepeatedScalarFieldContainer[str]
    strategy: _queue_pb2.PlacementStrategy
    spread: str
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeRule, _Mapping]]] = ..., tolerations: _Optional[_Iterable[_Union[Toleration, _Mapping]]] = ..., near: _Optional[_Iterable[_Union[TaskRule, _Mapping]]] = ..., apart: _Optional[_Iterable[_Union[TaskRule, _Mapping]]] = ..., distinct: _Optional[_Iterable[str]] = ..., strategy: _Optional[_Union[_queue_pb2.PlacementStrategy, str]] = ..., spread: _Optional[str] = ...) -> None: ...
