"""`quorate job results` of a graph: one line for each task, in the order of the graph."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from quorate.cli.graphs.show import id_of, state_of
from quorate.client.client import Client
from quorate.client.graphs import outcomes
from quorate.client.pages import pages
from quorate.client.transport.rpcs import LIST_TASKS
from quorate.runtime.sizes import size_text
from quorate.runtime.visible import visible_json
from quorate.v1 import job_pb2, task_pb2


def print_results(client: Client, job_id: str, *, follow: bool, as_json: bool) -> None:
    """Print the name, a tab, and the value as JSON, or the state of a task without a value.

    The lines of all tasks are in memory together, as they were in those of the cluster.
    """
    graph = client.graph_job(job_id)
    if follow:
        graph.wait()
    write = _as_json if as_json else _as_line
    lines: dict[str, str] = {}
    nodes = {node.name: node for node in graph.nodes()}
    for answer in pages(client.calls, LIST_TASKS, outcomes.tasks(job_id)):
        for task in answer.tasks:
            if node := nodes.get(task.graph_task):
                lines[node.name] = write(node, task.result)
    for name, node in nodes.items():
        if node.job_id:
            # An array: its results are those of its subtasks.
            lines[name] = write(node, task_pb2.TaskResult())
    sys.stdout.writelines(f"{lines[name]}\n" for name in nodes if name in lines)


def _as_line(node: job_pb2.GraphNode, result: task_pb2.TaskResult) -> str:
    name = visible_json(node.name)
    if result.HasField("blob"):
        return f"{name}\ta large value of {size_text(result.blob.size)}"
    match result.WhichOneof("value"):
        case "json":
            return f"{name}\t{visible_json(result.json)}"
        case "pickle":
            return f"{name}\ta pickle of {size_text(len(result.pickle))}"
    return f"{name}\t{state_of(node)}"


def _as_json(node: job_pb2.GraphNode, result: task_pb2.TaskResult) -> str:
    document: dict[str, Any] = {"task": node.name, "id": id_of(node), "state": state_of(node)}
    match None if result.HasField("blob") else result.WhichOneof("value"):
        case "json":
            document["value"] = json.loads(result.json)
        case "pickle":
            document["pickle"] = base64.b64encode(result.pickle).decode()
    return visible_json(json.dumps(document, ensure_ascii=False))
