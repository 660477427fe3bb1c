"""Do schedulers and nodes answer, and do they fit together: leader, standby, sessions, versions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import quorate
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.access import Access
from quorate.client.transport.rpcs import GET_CLUSTER, LIST_NODES, LIST_TASKS
from quorate.doctor.blob_checks import check_blob_folder, check_blob_nodes
from quorate.doctor.finding import Finding, failure, note, ok, warning
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import cluster_pb2, node_pb2, scheduler_pb2, task_pb2

_TIMEOUT: Final = 3.0
# Seconds.
CLOCKS_FAR: Final = 5.0
# Tasks that wait and are looked at.
_PENDING_SEEN: Final = 200
# Names in one sentence.
_NAMED: Final = 8


async def check_cluster(
    access: Access, *, local: bool
) -> tuple[list[Finding], cluster_pb2.Cluster | None]:
    """Look at the schedulers named and at those that they know of, and at the nodes.

    Returns the findings, and the cluster as its leader sees it (None: nobody leads).
    """
    findings: list[Finding] = []
    cluster, known = await _ask(access, access.addresses, findings)
    if cluster is not None:
        others = [one.address for one in cluster.schedulers if one.address not in known]
        # Advertised for other schedulers: from here they may lie behind a network of their own.
        await _ask(access, [one for one in others if one], findings, advertised=True)
        findings.extend(check_replicas(cluster, local=local))
        findings.extend(await _check_nodes(access, cluster))
        if local:
            findings.extend(await check_blob_folder(cluster))
        findings.extend(await _check_pending(access))
    return findings, cluster


async def _ask(
    access: Access,
    addresses: Sequence[str],
    findings: list[Finding],
    *,
    advertised: bool = False,
) -> tuple[cluster_pb2.Cluster | None, set[str]]:
    answers = await asyncio.gather(*(_cluster_of(access, address) for address in addresses))
    found: cluster_pb2.Cluster | None = None
    for address, answer in zip(addresses, answers, strict=True):
        subject = f"scheduler {address}"
        if isinstance(answer, QuorateError):
            if advertised:
                findings.append(
                    warning(
                        subject,
                        f"stands for election, but cannot be reached from here: {answer.message}",
                        "clients from here cannot fail over to it: check --advertise and firewalls",
                    )
                )
            elif answer.reason == "NO_LEADER":
                findings.append(
                    failure(
                        subject,
                        "answers, but nobody leads: nothing is accepted and nothing is started",
                        "look at etcd, and at the schedulers' logs",
                    )
                )
            else:
                findings.append(
                    failure(
                        subject,
                        f"does not answer: {answer.message}",
                        "is it running, is the address right, do TLS and token fit?",
                    )
                )
        else:
            found = answer
            findings.append(ok(subject, "answers"))
    return found, set(addresses)


async def _cluster_of(access: Access, address: str) -> cluster_pb2.Cluster | QuorateError:
    calls = AsyncCalls(replace(access, addresses=(address,)), retry_for=0.0)
    try:
        answer = await calls.call(
            GET_CLUSTER, scheduler_pb2.GetClusterRequest(), deadline=_TIMEOUT, retry_for=0.0
        )
    except QuorateError as error:
        return error
    finally:
        await calls.close()
    return answer.cluster


def check_replicas(cluster: cluster_pb2.Cluster, *, local: bool) -> list[Finding]:
    """Is there a leader, somebody to take over, and one version of all."""
    findings = []
    leader = next((one for one in cluster.schedulers if one.leader), None)
    if leader is not None:
        findings.append(ok("schedulers", f"{leader.name} is the leader"))
    if len(cluster.schedulers) < 2:
        text = "no standby: if the leader fails, nobody takes over"
        advice = "run a second scheduler"
        level = note if local else warning
        findings.append(level("schedulers", text, advice).of("NO_STANDBY"))
    if cluster.version != quorate.__version__:
        findings.append(
            note(
                "schedulers",
                f"the leader runs {cluster.version}, this command {quorate.__version__}",
            )
        )
    if cluster.HasField("clock_offset"):
        ahead = cluster.clock_offset.ToNanoseconds() / 1e9
        if abs(ahead) > CLOCKS_FAR:
            where = "ahead of" if ahead > 0 else "behind"
            findings.append(
                warning(
                    "clocks",
                    f"the leader's clock is {abs(ahead):.0f} s {where} the nodes' clocks",
                    "keep the clocks of all machines in step (chrony, systemd-timesyncd): tasks "
                    "that wait for a time begin early or late",
                ).of("CLOCKS_APART")
            )
    return findings


async def _check_pending(access: Access) -> list[Finding]:
    """Do tasks wait that no node can start; of the newest that wait."""
    calls = AsyncCalls(access, retry_for=_TIMEOUT)
    request = scheduler_pb2.ListTasksRequest(
        page_size=_PENDING_SEEN, states=[task_pb2.TASK_STATE_PENDING]
    )
    try:
        answer = await calls.call(LIST_TASKS, request, deadline=_TIMEOUT)
    except QuorateError:
        # Said of the nodes already, or a caller that is bound to queues.
        return []
    finally:
        await calls.close()
    return check_pending(answer.tasks, more=bool(answer.next_page_token))


def check_pending(tasks: Sequence[task_pb2.Task], *, more: bool = False) -> list[Finding]:
    """A finding for each reason why tasks cannot start as things are.

    Args:
        tasks: waiting tasks, the newest first.
        more: older ones wait, too.
    """
    by_reason: dict[str, list[task_pb2.Task]] = {}
    for task in tasks:
        if task.pending_reason:
            by_reason.setdefault(task.pending_reason, []).append(task)
    newest = f"the {len(tasks)} newest" if more else f"{len(tasks)}"
    return [
        _unplaceable(
            found,
            reason,
            f"{len(found)} of {newest} waiting tasks"
            if more or len(found) < len(tasks)
            else plural(len(found), "waiting task"),
        )
        for reason, found in by_reason.items()
    ]


def _unplaceable(found: Sequence[task_pb2.Task], reason: str, count: str) -> Finding:
    first = found[0]
    which = f"such as {first.id}" if len(found) > 1 else first.id
    advice = f"add such a node, or cancel the task: quorate cancel {first.id}"
    if service := next((task.spec.service.service for task in found if _is_replica(task)), ""):
        advice = f"add such a node, or let the service need less: quorate service update {service}"
    return warning(
        "tasks",
        f"{count} cannot start on any node ({which}): {reason}",
        advice,
    ).of("TASKS_UNPLACEABLE", *(task.id for task in found))


def _is_replica(task: task_pb2.Task) -> bool:
    return task.spec.HasField("service")


async def _check_nodes(access: Access, cluster: cluster_pb2.Cluster) -> list[Finding]:
    calls = AsyncCalls(access, retry_for=_TIMEOUT)
    nodes: list[node_pb2.Node] = []
    request = scheduler_pb2.ListNodesRequest(page_size=1000)
    try:
        while True:
            answer = await calls.call(LIST_NODES, request, deadline=_TIMEOUT)
            nodes += answer.nodes
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
    except QuorateError as error:
        return [
            warning(
                "nodes",
                f"they cannot be listed: {error.message}",
                "a credential of at least the role viewer is needed",
            )
        ]
    finally:
        await calls.close()
    return [*check_nodes(nodes), *check_blob_nodes(cluster, nodes)]


def check_nodes(nodes: Sequence[node_pb2.Node]) -> list[Finding]:
    """Does anybody take work, and do all that are registered."""
    by_state: dict[int, list[str]] = {}
    lost = [node for node in nodes if node.state == node_pb2.NODE_STATE_LOST]
    nodes = [node for node in nodes if node.state != node_pb2.NODE_STATE_LOST]
    for node in nodes:
        by_state.setdefault(node.state, []).append(node.name)
    # Those that leave take work as soon as nobody else does.
    open_states = (node_pb2.NODE_STATE_READY, node_pb2.NODE_STATE_LEAVING)
    ready = sum(len(by_state.get(state, ())) for state in open_states)
    findings = []
    if ready:
        slots = sum(node.slots for node in nodes if node.state in open_states)
        waiting = sum(node.stats.yielded for node in nodes)
        wait = "waits" if waiting == 1 else "wait"
        more = f"; {plural(waiting, 'running task')} {wait} for other tasks" if waiting else ""
        take = f"{ready} of {len(nodes)} {'takes' if len(nodes) == 1 else 'take'} work"
        findings.append(ok("nodes", f"{take}, with {plural(slots, 'slot')}{more}"))
    else:
        findings.append(
            failure(
                "nodes",
                f"none of {len(nodes)} takes work" if nodes else "there are none",
                "start node agents, `quorate uncordon` those that are cordoned, or free the disks "
                "of those that cannot write",
            ).of("NO_NODES")
        )
    for node in lost:
        findings.append(
            warning(
                f"node {node.name}",
                f"is lost: {node.loss.why}",
                "start its agent again, or, if it will not come back: "
                f"quorate node dismiss {node.name}",
            ).of("NODE_LOST", node.name)
        )
    if away := by_state.get(node_pb2.NODE_STATE_CONNECTING):
        findings.append(
            warning(
                "nodes",
                f"the leader has no session with {_named(away)}",
                "can schedulers connect to the address the node advertises, and do the "
                "certificates fit?",
            )
        )
    unwritable: dict[str, list[str]] = {}
    for node in nodes:
        if node.stats.disk_error:
            unwritable.setdefault(node.stats.disk_error, []).append(node.name)
    for why, closed in sorted(unwritable.items()):
        findings.append(
            warning(
                "nodes",
                f"cannot write to the disk and take no work: {_named(closed)}: {why}",
                "free the disk of the agent's --data-dir: it deleted its old logs, and takes work "
                "again by itself",
            )
        )
    for state, what in (
        (node_pb2.NODE_STATE_CORDONED, "cordoned"),
        (node_pb2.NODE_STATE_DRAINING, "draining"),
        (node_pb2.NODE_STATE_DRAINED, "drained"),
        (node_pb2.NODE_STATE_LEAVING, "idle, and a scale-down may end"),
    ):
        if names := by_state.get(state):
            findings.append(note("nodes", f"{what}: {_named(names)}"))
    versions = {node.version for node in nodes}
    if len(versions) > 1:
        findings.append(
            note(
                "nodes",
                f"several versions run: {', '.join(sorted(versions))}",
                "finish the upgrade, unless it is under way",
            )
        )
    return findings


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
