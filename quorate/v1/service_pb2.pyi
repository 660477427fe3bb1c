import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import output_pb2 as _output_pb2
from quorate.v1 import permission_pb2 as _permission_pb2
from quorate.v1 import placement_pb2 as _placement_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Balancing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BALANCING_UNSPECIFIED: _ClassVar[Balancing]
    BALANCING_LEAST_REQUEST: _ClassVar[Balancing]
    BALANCING_ROUND_ROBIN: _ClassVar[Balancing]
    BALANCING_WEIGHTED: _ClassVar[Balancing]
    BALANCING_CONSISTENT_HASH: _ClassVar[Balancing]

class InstanceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTANCE_STATE_UNSPECIFIED: _ClassVar[InstanceState]
    INSTANCE_STATE_STARTING: _ClassVar[InstanceState]
    INSTANCE_STATE_HEALTHY: _ClassVar[InstanceState]
    INSTANCE_STATE_UNHEALTHY: _ClassVar[InstanceState]
    INSTANCE_STATE_DRAINING: _ClassVar[InstanceState]
BALANCING_UNSPECIFIED: Balancing
BALANCING_LEAST_REQUEST: Balancing
BALANCING_ROUND_ROBIN: Balancing
BALANCING_WEIGHTED: Balancing
BALANCING_CONSISTENT_HASH: Balancing
INSTANCE_STATE_UNSPECIFIED: InstanceState
INSTANCE_STATE_STARTING: InstanceState
INSTANCE_STATE_HEALTHY: InstanceState
INSTANCE_STATE_UNHEALTHY: InstanceState
INSTANCE_STATE_DRAINING: InstanceState

class HashOn(_message.Message):
    __slots__ = ("header", "cookie", "path")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    COOKIE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    header: str
    cookie: str
    path: bool
    def __init__(self, header: _Optional[str] = ..., cookie: _Optional[str] = ..., path: _Optional[bool] = ...) -> None: ...

class ProxyPolicy(_message.Message):
    __slots__ = ("balancing", "hash_on", "hosts", "timeout", "retries", "retry_budget", "rate_limit", "concurrency_limit", "prefer_label", "eject_after", "eject_for", "circuit_breaker")
    BALANCING_FIELD_NUMBER: _ClassVar[int]
    HASH_ON_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_BUDGET_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PREFER_LABEL_FIELD_NUMBER: _ClassVar[int]
    EJECT_AFTER_FIELD_NUMBER: _ClassVar[int]
    EJECT_FOR_FIELD_NUMBER: _ClassVar[int]
    CIRCUIT_BREAKER_FIELD_NUMBER: _ClassVar[int]
    balancing: Balancing
    hash_on: HashOn
    hosts: _containers.RepeatedScalarFieldContainer[str]
    timeout: _duration_pb2.Duration
    retries: int
    retry_budget: float
    rate_limit: float
    concurrency_limit: int
    prefer_label: str
    eject_after: int
    eject_for: _duration_pb2.Duration
    circuit_breaker: int
    def __init__(self, balancing: _Optional[_Union[Balancing, str]] = ..., hash_on: _Optional[_Union[HashOn, _Mapping]] = ..., hosts: _Optional[_Iterable[str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retries: _Optional[int] = ..., retry_budget: _Optional[float] = ..., rate_limit: _Optional[float] = ..., concurrency_limit: _Optional[int] = ..., prefer_label: _Optional[str] = ..., eject_after: _Optional[int] = ..., eject_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., circuit_breaker: _Optional[int] = ...) -> None: ...

class ServiceSpec(_message.Message):
    __slots__ = ("command", "replicas", "resources", "health", "proxy", "labels", "max_surge", "max_unavailable", "drain_grace", "placement")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    PROXY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_SURGE_FIELD_NUMBER: _ClassVar[int]
    MAX_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_GRACE_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    command: _task_pb2.CommandWork
    replicas: int
    resources: _task_pb2.Resources
    health: _task_pb2.HealthCheck
    proxy: ProxyPolicy
    labels: _containers.ScalarMap[str, str]
    max_surge: int
    max_unavailable: int
    drain_grace: _duration_pb2.Duration
    placement: _placement_pb2.PlacementRules
    def __init__(self, command: _Optional[_Union[_task_pb2.CommandWork, _Mapping]] = ..., replicas: _Optional[int] = ..., resources: _Optional[_Union[_task_pb2.Resources, _Mapping]] = ..., health: _Optional[_Union[_task_pb2.HealthCheck, _Mapping]] = ..., proxy: _Optional[_Union[ProxyPolicy, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., max_surge: _Optional[int] = ..., max_unavailable: _Optional[int] = ..., drain_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., placement: _Optional[_Union[_placement_pb2.PlacementRules, _Mapping]] = ...) -> None: ...

class ServiceInstance(_message.Message):
    __slots__ = ("service", "id", "address", "state", "node", "weight", "labels", "generation", "start_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    service: str
    id: str
    address: str
    state: InstanceState
    node: str
    weight: int
    labels: _containers.ScalarMap[str, str]
    generation: int
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, service: _Optional[str] = ..., id: _Optional[str] = ..., address: _Optional[str] = ..., state: _Optional[_Union[InstanceState, str]] = ..., node: _Optional[str] = ..., weight: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., generation: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Service(_message.Message):
    __slots__ = ("name", "spec", "generation", "etag", "create_time", "instances", "ready", "updated", "pending_reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    PENDING_REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: ServiceSpec
    generation: int
    etag: str
    create_time: _timestamp_pb2.Timestamp
    instances: _containers.RepeatedCompositeFieldContainer[ServiceInstance]
    ready: int
    updated: int
    pending_reason: str
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[ServiceSpec, _Mapping]] = ..., generation: _Optional[int] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., instances: _Optional[_Iterable[_Union[ServiceInstance, _Mapping]]] = ..., ready: _Optional[int] = ..., updated: _Optional[int] = ..., pending_reason: _Optional[str] = ...) -> None: ...

class CreateServiceRequest(_message.Message):
    __slots__ = ("service", "request_id")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    service: Service
    request_id: str
    def __init__(self, service: _Optional[_Union[Service, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateServiceResponse(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: Service
    def __init__(self, service: _Optional[_Union[Service, _Mapping]] = ...) -> None: ...

class GetServiceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetServiceResponse(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: Service
    def __init__(self, service: _Optional[_Union[Service, _Mapping]] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListServicesResponse(_message.Message):
    __slots__ = ("services", "next_page_token", "revision")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[Service]
    next_page_token: str
    revision: int
    def __init__(self, services: _Optional[_Iterable[_Union[Service, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class UpdateServiceRequest(_message.Message):
    __slots__ = ("service", "update_mask", "request_id")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    service: Service
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, service: _Optional[_Union[Service, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateServiceResponse(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: Service
    def __init__(self, service: _Optional[_Union[Service, _Mapping]] = ...) -> None: ...

class DeleteServiceRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteServiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegisterInstanceRequest(_message.Message):
    __slots__ = ("instance", "ttl")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    instance: ServiceInstance
    ttl: _duration_pb2.Duration
    def __init__(self, instance: _Optional[_Union[ServiceInstance, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RegisterInstanceResponse(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: ServiceInstance
    def __init__(self, instance: _Optional[_Union[ServiceInstance, _Mapping]] = ...) -> None: ...

class DeregisterInstanceRequest(_message.Message):
    __slots__ = ("service", "id")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    service: str
    id: str
    def __init__(self, service: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class DeregisterInstanceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchServicesRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchServicesResponse(_message.Message):
    __slots__ = ("services", "removed", "snapshot_complete", "revision")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[Service]
    removed: _containers.RepeatedScalarFieldContainer[str]
    snapshot_complete: bool
    revision: int
    def __init__(self, services: _Optional[_Iterable[_Union[Service, _Mapping]]] = ..., removed: _Optional[_Iterable[str]] = ..., snapshot_complete: _Optional[bool] = ..., revision: _Optional[int] = ...) -> None: ...
