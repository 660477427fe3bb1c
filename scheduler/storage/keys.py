"""Where the records are in etcd, relative to the cluster's prefix `/quorate/<cluster>/`.

Names hold no slash, or stand there in hex, so a key splits into its parts.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.etcd.generation import GENERATION as GENERATION
from quorate.etcd.generation import HEAD as HEAD
from quorate.etcd.generation import RESTORING as RESTORING
from quorate.runtime.ids import QueueName

ELECTION = b"election/scheduler"
NODES = b"nodes/"
CONTROLS = b"controls/"
LEAVING = b"leaving/"
LOST = b"lost/"
QUEUES = b"queues/"
DEDUP = b"dedup/"
AUDIT = b"audit/"
QUOTAS = b"quotas/"
LIMIT_GROUPS = b"limit-groups/"
PAUSES = b"pauses/"
RATES = b"rates/"
UNIQUE = b"unique/"
TASKS = b"tasks/"
RUNS = b"runs/"
JOBS = b"jobs/"
JOB_BLOCKS = b"job-blocks/"
CHUNKS = b"chunks/"
# Of a job, and never folded.
JOB_TEMPLATES = b"job-templates/"
JOB_ITEMS = b"job-items/"
JOB_RESULTS = b"job-results/"
JOB_ERRORS = b"job-errors/"
SERVICE_SPECS = b"service-specs/"
SCHEDULES = b"schedules/"
INSTANCES = b"services/"
MESSAGE_HOSTS = b"message-hosts/"
EXCHANGES = b"exchanges/"
BINDINGS = b"bindings/"
MESSAGE_QUEUES = b"message-queues/"
MESSAGE_POLICIES = b"message-policies/"
MESSAGE_SESSIONS = b"message-sessions/"
PRODUCERS = b"producers/"
MESSAGES = b"mq/"
MESSAGE_BODIES = b"mb/"

# The order in which a snapshot is folded: a queue before its tasks, a task before its run. What a
# restore has not finished writing is in no such order, and is not folded.
SNAPSHOT_ORDER = (
    RESTORING,
    GENERATION,
    HEAD,
    CONTROLS,
    LEAVING,
    LOST,
    QUEUES,
    LIMIT_GROUPS,
    PAUSES,
    RATES,
    UNIQUE,
    SERVICE_SPECS,
    SCHEDULES,
    JOBS,
    JOB_BLOCKS,
    TASKS,
    RUNS,
    CHUNKS,
    DEDUP,
    AUDIT,
    QUOTAS,
    NODES,
    INSTANCES,
    MESSAGE_HOSTS,
    EXCHANGES,
    MESSAGE_QUEUES,
    MESSAGE_POLICIES,
    BINDINGS,
    MESSAGE_SESSIONS,
    PRODUCERS,
    MESSAGES,
    MESSAGE_BODIES,
)
# What a standby folds by keys alone.
KEYS_ONLY = (MESSAGE_BODIES,)


def task_key(queue: str, task: str) -> bytes:
    return f"tasks/{queue}/{task}".encode()


def run_key(queue: str, task: str) -> bytes:
    return f"runs/{queue}/{task}".encode()


def job_key(queue: str, job: str) -> bytes:
    return f"jobs/{queue}/{job}".encode()


def chunk_key(job: str, chunk: str) -> bytes:
    return f"chunks/{job}/{chunk}".encode()


def job_template_key(job: str) -> bytes:
    return JOB_TEMPLATES + job.encode()


# Numbers have a fixed width, so that the order of keys is that of positions.
def job_block_key(job: str, block: int) -> bytes:
    return f"job-blocks/{job}/{block:04d}".encode()


def job_items_key(job: str, first: int) -> bytes:
    return f"job-items/{job}/{first:08d}".encode()


def job_results_key(job: str, block: int, first: int) -> bytes:
    return f"job-results/{job}/{block:04d}/{first:08d}".encode()


def merged_results_key(job: str, block: int, first: int) -> bytes:
    """Behind those of `job_results_key`, and outside of their range."""
    return f"job-results/{job}/{block:04d}/m{first:08d}".encode()


def job_results_range(job: str, block: int) -> tuple[bytes, bytes]:
    """`(key, range_end)` of a block's results that were not merged."""
    below = f"job-results/{job}/{block:04d}/".encode()
    return below + b"0", below + b":"


def job_errors_key(job: str, block: int, first: int) -> bytes:
    return f"job-errors/{job}/{block:04d}/{first:08d}".encode()


def newer_errors_key(job: str, block: int, first: int, chunk: str) -> bytes:
    """Ahead of those of `job_errors_key`, the newest chunk first: a record that names a subtask
    which has failed before. The older one stays, as it names others too."""
    newest_first = (1 << 128) - 1 - int(chunk, 16)
    return f"job-errors/{job}/{block:04d}/-{newest_first:032x}-{first:08d}".encode()


def queue_key(queue: str) -> bytes:
    return f"queues/{queue}".encode()


def pause_key(name: str) -> bytes:
    return f"pauses/{name}".encode()


def limit_key(name: str) -> bytes:
    return f"limit-groups/{name}".encode()


def rate_key(kind: str, name: str, key: str) -> bytes:
    """A limit key is hex-encoded: it is the caller's, and may hold anything."""
    return f"rates/{kind}/{name}/{key.encode().hex()}".encode()


def unique_key(queue: str, digest: str) -> bytes:
    return f"unique/{queue}/{digest}".encode()


def split_unique_key(key: bytes) -> tuple[QueueName, str]:
    _, queue, digest = key.decode().split("/")
    return QueueName(queue), digest


def split_rate_key(key: bytes) -> tuple[str, str, str]:
    """The (kind, name, limit key) of a key."""
    _, kind, name, limit_key = key.decode().split("/")
    return kind, name, bytes.fromhex(limit_key).decode()


def control_key(node: str) -> bytes:
    return f"controls/{node}".encode()


def scaling_down_key(node: str) -> bytes:
    return f"leaving/{node}".encode()


def lost_node_key(node: str) -> bytes:
    return f"lost/{node}".encode()


def node_key(node: str) -> bytes:
    return f"nodes/{node}".encode()


def service_key(service: str) -> bytes:
    return f"service-specs/{service}".encode()


def schedule_key(schedule: str) -> bytes:
    return f"schedules/{schedule}".encode()


def instance_key(service: str, instance: str) -> bytes:
    return f"services/{service}/{instance}".encode()


def split_instance_key(key: bytes) -> tuple[str, str] | None:
    """The (service, instance) of a key; None for one that `instance_key` does not make.

    Every agent may write below `services/`, and so may whoever has taken one over.
    """
    try:
        _, service, instance = key.decode().split("/")
    except ValueError:
        return None
    return (service, instance) if service and instance else None


def dedup_key(scope: str, request: str) -> bytes:
    """The request id is hex-encoded: it is the caller's, and may hold anything."""
    return f"dedup/{scope}/{request.encode().hex()}".encode()


def split_dedup_key(key: bytes) -> tuple[str, str]:
    """The (scope, request id) of a key."""
    _, scope, request = key.decode().split("/")
    return scope, bytes.fromhex(request).decode()


def quota_key(kind: str, name: str) -> bytes:
    """The name is hex-encoded: a caller's may hold slashes."""
    return f"quotas/{kind}/{name.encode().hex()}".encode()


def split_quota_key(key: bytes) -> tuple[str, str]:
    """The (kind, name) of a key."""
    _, kind, name = key.decode().split("/")
    return kind, bytes.fromhex(name).decode()


# Names of the broker are hex-encoded: AMQP's may hold anything.
def message_host_key(virtual_host: str) -> bytes:
    return MESSAGE_HOSTS + virtual_host.encode().hex().encode()


def exchange_key(virtual_host: str, name: str) -> bytes:
    return f"exchanges/{virtual_host.encode().hex()}/{name.encode().hex()}".encode()


def binding_key(virtual_host: str, ordinal: int) -> bytes:
    """A binding is what it leads from and to, which is too long for a key; the ordinal is its own
    within the virtual host."""
    return f"bindings/{virtual_host.encode().hex()}/{ordinal:012x}".encode()


def message_queue_key(uid: str) -> bytes:
    return MESSAGE_QUEUES + uid.encode()


def message_session_key(session: str) -> bytes:
    return MESSAGE_SESSIONS + session.encode().hex().encode()


def producer_key(producer: str) -> bytes:
    return PRODUCERS + producer.encode().hex().encode()


def message_queue_messages(uid: str) -> bytes:
    """What all keys of the messages of a queue begin with."""
    return f"mq/{uid}/".encode()


def message_body_key(body: int, part: int) -> bytes:
    return b"mb/%016x/%04d" % (body, part)


def message_body_parts(body: int) -> bytes:
    """What the keys of all parts of a body begin with."""
    return b"mb/%016x/" % body


def split_message_body_key(key: bytes) -> int | None:
    """The body of a key; None for one that `message_body_key` does not make."""
    digits = key[3:19]
    return None if len(key) != 24 or digits.strip(b"0123456789abcdef") else int(digits, 16)


# Kinds of keys of a sub-log of a message queue.
CHUNK = "c"
ACKS = "acks"
CHUNK_DONE = "a"
MessageKey = Callable[[bytes, int], bytes]
# Of the uid of a message queue: keys of all queues are equally long.
MESSAGE_QUEUE_UID = 16


def message_sub_log(prefix: bytes, queue_uid: str, sub_log: str) -> bytes:
    """What the keys of a sub-log begin with. Sequences are below 2^48."""
    assert len(queue_uid) == MESSAGE_QUEUE_UID, queue_uid
    return prefix + f"mq/{queue_uid}/{sub_log}/".encode()


def message_acks_key(place: bytes) -> bytes:
    return place + b"acks"


def message_chunk_key(place: bytes, first: int) -> bytes:
    return place + b"c/%012x" % first


def message_done_key(place: bytes, first: int) -> bytes:
    return place + b"a/%012x" % first


def split_message_key(place: bytes, key: bytes) -> tuple[str, int] | None:
    """Kind and first sequence of a key of a sub-log; None for one that this version has not."""
    rest = key.removeprefix(place)
    if rest == b"acks":
        return ACKS, 0
    kind, digits = rest[:2], rest[2:]
    if kind not in (b"c/", b"a/") or len(digits) != 12 or digits.strip(b"0123456789abcdef"):
        return None
    return (CHUNK if kind == b"c/" else CHUNK_DONE), int(digits, 16)
