"""Changes of a spec that is there, such as that of a schedule's runs: what is not given stays.

Pure. Fields that this version does not know stay, too.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.updates import PATHS
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

_UNIQUE: Final = ("unique_key", "unique_rejects", "unique_replaces", "unique_for")
# As of tasks that wait, and what can be changed only before there is a task.
_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: PATHS[name] for name in PATHS if name not in ("to_queue", "delay", "not_before")},
    **{name: (name,) for name in ("name", "affinity_key")},
    "cpu": ("resources.cpu",),
    "memory": ("resources.memory",),
    "resources": ("resources.counters",),
    **dict.fromkeys(_UNIQUE, ("unique",)),
}
# Messages that mean nothing when they are empty.
_NOT_EMPTY: Final = ("retry", "resources", "placement", "hooks")


def put_options(spec: task_pb2.TaskSpec, options: OptionArgs, now: float) -> None:
    """Change the options that are given.

    As of tasks that wait (`UpdateArgs`): `where` and `prefer` are one list of rules, `placement`
    and `spread` one strategy, a hook and its timeout one hook, the four of a unique key one key.
    An empty value removes what was there.

    Raises QuorateError (INVALID_ARGUMENT) naming the option.
    """
    work = spec.WhichOneof("work") or "command"
    paths: dict[str, None] = {}
    for name in options:
        if name == "secrets":
            paths[f"{work}.secrets"] = None
        elif name in _PATHS:
            paths.update(dict.fromkeys(_PATHS[name]))
        else:
            raise invalid(name, "cannot be changed")
    wanted = task_pb2.TaskSpec()
    getattr(wanted, work).SetInParent()
    TaskOptions().but(options).apply(wanted, now=now)
    if "retries" in options and not wanted.HasField("retry"):
        wanted.retry.max_attempts = 1
    for path in paths:
        if "." in path:
            # Also where nothing of it is wanted: then it is removed.
            getattr(wanted, path.partition(".")[0]).SetInParent()
    FieldMask(paths=paths).MergeMessage(wanted, spec, True, True)
    for name in _NOT_EMPTY:
        if spec.HasField(name) and not getattr(spec, name).ByteSize():
            spec.ClearField(name)


def put_work(spec: task_pb2.TaskSpec, work: task_pb2.TaskSpec) -> None:
    """Run the program or function of `work` instead; options and secrets stay.

    A name that was that of the program or function becomes that of the other one. What only a
    program has, such as its environment, is dropped where a function takes its place.
    """
    old, new = spec.WhichOneof("work"), work.WhichOneof("work")
    assert old is not None
    assert new is not None
    if not spec.name or spec.name == own_name(spec):
        spec.name = work.name
    secrets = {name: copy.deepcopy(one) for name, one in getattr(spec, old).secrets.items()}
    if new == "command":
        spec.command.argv[:] = work.command.argv
    else:
        spec.python.entrypoint = work.python.entrypoint
        spec.python.json = work.python.json
    if new != old:
        for name, reference in secrets.items():
            getattr(spec, new).secrets[name].CopyFrom(reference)


def own_name(spec: task_pb2.TaskSpec) -> str:
    """The name of its program or function; of a pickled function the name that it has."""
    if spec.WhichOneof("work") == "command":
        return spec.command.argv[0].rpartition("/")[2][:128] if spec.command.argv else ""
    entrypoint = spec.python.entrypoint
    return entrypoint.partition(":")[2][:128] if entrypoint else spec.name
