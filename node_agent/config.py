"""The agent's settings: flags, QUORATE_* variables, defaults."""

from __future__ import annotations

import socket
from math import ceil
from pathlib import Path
from typing import Annotated

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from node_agent.core.slots import MOST_YIELDED
from node_agent.task.machine import share, size_in_bytes
from node_agent.task_settings import TaskSettings
from quorate.blobs.names import COUNTER
from quorate.blobs.settings import BlobSettings
from quorate.runtime.config import EtcdSettings
from quorate.runtime.network.addresses import split_address
from quorate.security.exposure import refuse_exposed
from quorate.security.same_user import SameUserSettings
from quorate.security.tls.server import TlsSettings
from quorate.telemetry.channelz import ChannelzSettings
from quorate.telemetry.settings import HealthSettings, TraceSettings
from quorate.v1.placement_pb2 import Taint
from quorate.v1.task_pb2 import Resources

ANY_NUMBER = 1_000_000


class AgentSettings(
    TlsSettings,
    SameUserSettings,
    EtcdSettings,
    BlobSettings,
    HealthSettings,
    TraceSettings,
    ChannelzSettings,
    TaskSettings,
):
    """Settings of one node agent."""

    name: str = Field(
        default_factory=lambda: socket.gethostname().split(".")[0].lower(),
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="the node's name, unique in the cluster",
    )
    listen: str = Field("127.0.0.1:0", description="host:port to listen on; port 0: a free one")
    advertise: str = Field(
        "", description="host:port that schedulers connect to; empty: the address it listens on"
    )
    slots: int = Field(
        0,
        ge=0,
        le=1024,
        description="attempts that run at the same time; 0: one for each core offered",
    )
    max_yielded: int = Field(
        -1,
        ge=-1,
        le=1024,
        description="maximum tasks that use no slot while they wait for other tasks (the wait"
        " of one more fails); 0: waiting tasks keep their slots; -1: 64, or 4 per"
        " slot when that is more",
    )
    cpu: float = Field(
        default_factory=lambda: share().cpu,
        ge=0.001,
        le=1024,
        description="cores offered to tasks, such as 2.5; all that this process may use by default",
    )
    counters: str = Field("", description="named resources, such as gpu=2,licence=1")
    labels: str = Field("", description="labels, such as zone=a,disk=ssd")
    taints: str = Field(
        "",
        description="taints that keep tasks away unless they tolerate them, such as"
        " gpu,dedicated=ml",
    )
    memory: Annotated[int, BeforeValidator(size_in_bytes)] = Field(
        default_factory=lambda: share().memory,
        ge=1 << 20,
        le=1 << 50,
        description="memory offered to tasks, such as 4G or 4GiB (the same); "
        "all that this process may use by default",
    )
    data_dir: Path = Field(Path(".quorate/node"), description="logs and scratch directories")
    lease_ttl: int = Field(3, ge=2, le=600, description="seconds until a silent node is lost")
    drain_grace: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="seconds that running attempts get to finish after SIGTERM",
    )
    kill_grace: float = Field(
        5.0, ge=0, le=3600, description="seconds between SIGTERM and SIGKILL of a program"
    )
    insecure: bool = Field(
        False,
        description="listen on an address that is not loopback without TLS and client certificates",
    )
    log_cap: ByteSize = Field(
        ByteSize(256 << 20),
        ge=64 << 10,
        description="maximum bytes of each output; the middle of what exceeds it is dropped",
    )
    log_total: ByteSize = Field(
        ByteSize(2 << 30), ge=1 << 20, description="maximum bytes of all outputs"
    )
    disk_reserve: ByteSize = Field(
        ByteSize(64 << 20),
        ge=0,
        le=1 << 40,
        description="free bytes on the data directory's disk below which the agent takes no "
        "work; at most a twentieth of the disk; 0: only failed writes count",
    )
    log_age: float = Field(
        7 * 86_400.0, ge=60, description="seconds that outputs of finished attempts stay"
    )
    worker_max_tasks: int = Field(
        100_000,
        ge=0,
        description="number of calls after which a Python worker is replaced; 0: never",
    )
    worker_max_memory: ByteSize = Field(
        ByteSize(1 << 30),
        ge=0,
        description="bytes of memory above which a Python worker is replaced",
    )
    max_result_kib: int = Field(
        256, ge=1, le=1024, description="maximum size of one task's result, in KiB"
    )
    max_blob_mib: int = Field(
        1024,
        ge=1,
        le=1 << 20,
        description="maximum size of one task's result in the blob store, in MiB",
    )
    log_format: str = Field(
        "auto", pattern="^(auto|json|console)$", description="format of this process's own log"
    )

    @field_validator("listen", "advertise")
    @classmethod
    def _address(cls, value: str, info: ValidationInfo) -> str:
        if value or info.field_name == "listen":
            split_address(value, least_port=0)
        return value

    @field_validator("counters")
    @classmethod
    def _counters(cls, value: str) -> str:
        for name, text in _pairs(value).items():
            if not text.isdigit() or int(text) > 1_000_000:
                raise ValueError(f"counter {name!r}: {text!r} is not 0 to 1,000,000")
        if len(_pairs(value)) > 16:
            raise ValueError("more than 16 counters")
        return value

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: str) -> str:
        if len(_pairs(value)) > 32:
            raise ValueError("more than 32 labels")
        return value

    @field_validator("taints")
    @classmethod
    def _taints(cls, value: str) -> str:
        if len(_taint_list(value)) > 16:
            raise ValueError("more than 16 taints")
        return value

    @property
    def taint_list(self) -> list[Taint]:
        """The taints."""
        return _taint_list(self.taints)

    @property
    def slot_count(self) -> int:
        """Attempts at once."""
        return self.slots or ceil(self.cpu)

    @property
    def yield_limit(self) -> int:
        """Attempts that may wait for other tasks without a slot."""
        if self.max_yielded >= 0:
            return self.max_yielded
        return min(1024, max(MOST_YIELDED, 4 * self.slot_count))

    @property
    def label_map(self) -> dict[str, str]:
        """The labels."""
        return _pairs(self.labels)

    @property
    def capacity(self) -> Resources:
        """What the node offers to resource requests."""
        counters = {name: int(text) for name, text in _pairs(self.counters).items()}
        if self.blob_url:
            # Tasks with large payloads ask for it: agents without a store, and those of before
            # there were any, do not get them.
            counters[COUNTER] = ANY_NUMBER
        return Resources(cpu=self.cpu, memory=self.memory, counters=counters)

    @model_validator(mode="after")
    def _refuse_exposed(self) -> AgentSettings:
        host, _ = split_address(self.listen, least_port=0)
        refuse_exposed(host, tls=self.tls, auth=self.mutual_tls, insecure=self.insecure)
        return self


def _taint_list(text: str) -> list[Taint]:
    """`a,b=2` as taints. Raises ValueError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        if not key or key == "*" or max(len(key), len(value)) > 128:
            raise ValueError(f"{part[:80]!r} is not KEY or KEY=VALUE of at most 128 characters")
        found.append(Taint(key=key, value=value))
    return found


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b=2` as a mapping. Raises ValueError."""
    pairs = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise ValueError(f"{item!r} is not name=value")
        pairs[name] = value
    return pairs
