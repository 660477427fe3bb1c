"""`quorate submit --graph`: the option, and the job that it makes."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from quorate.cli.graphs.calls import create
from quorate.cli.graphs.file import read_graph
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.jobs.handle import JobHandle
from quorate.runtime.errors import invalid

Graph = Annotated[
    str,
    typer.Option(
        "--graph",
        metavar="FILE",
        help="Run the graph of tasks that a TOML or JSON file describes, as one job; '-' is "
        "standard input. Options of tasks are in the file.",
        show_default=False,
        rich_help_panel="Jobs",
    ),
]
# What the command line may say of the whole graph.
_OF_THE_JOB: Final = ("queue", "name", "label", "max_failures")
_OTHERS: Final = (
    *("graph", "wait", "wait_timeout", "request_id", "as_json"),
    *("address", "data_dir", "retry_for"),
    *("tls_ca_file", "tls_cert_file", "tls_key_file", "token_file"),
)


def submit(client: Client, context: typer.Context, source: str) -> JobHandle[Any]:
    """Create the job. What the command line says of the whole graph wins over the file.

    Raises BadParameter, QuorateError.
    """
    given = {
        name: value
        for name, value in context.params.items()
        if (found := context.get_parameter_source(name)) and found.name == "COMMANDLINE"
    }
    if given.get("argv"):
        raise invalid("--graph", "the commands are in the file; give no COMMAND")
    for name in given:
        if name not in (*_OF_THE_JOB, *_OTHERS, "argv"):
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            raise invalid(option, "is for one command; set it for each task in the file")
    graph = read_graph(source)
    spec = graph.spec
    spec.name = given.get("name", spec.name)
    spec.labels.update(pairs("--label", given.get("label")))
    if "max_failures" in given:
        spec.max_failures = given["max_failures"]
    queue = given.get("queue") or graph.queue or "default"
    return create(client, graph, queue, given.get("request_id", ""))
