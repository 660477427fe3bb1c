"""docs/migrating.md names commands, options and methods that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import quorate
from quorate.cli.app import application
from quorate.client.graphs.builder import Graph
from quorate.client.graphs.handle import GraphHandle

PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"


def named() -> Iterator[str]:
    """What the page says in code, of this system: the last cell of each row of its tables."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("| ") and line.endswith(" |"):
            yield from re.findall(r"`([^`]+)`", line[:-2].rpartition(" | ")[2])


def options(command: Any) -> set[str]:
    found = {option for one in command.params for option in one.opts}
    for sub in getattr(command, "commands", {}).values():
        found |= options(sub)
    return found


def test_each_command_line_has_these_commands_and_options() -> None:
    whole = get_command(application())
    lines = [text.split(" -- ")[0].split() for text in named() if text.startswith("quorate ")]
    assert len(lines) > 20
    for words in lines:
        command: Any = whole
        for word in words[1:]:
            command = getattr(command, "commands", {}).get(word, command)
        assert command is not whole, words
        assert {word for word in words if word.startswith("--")} <= options(command), words


def test_each_option_belongs_to_a_command() -> None:
    known = options(get_command(application()))
    wanted = {text.split()[0] for text in named() if text.startswith("--")}
    # Of `hq`, said to be missing.
    assert wanted - {"--time-request"} <= known


@pytest.mark.parametrize(
    ("prefix", "kinds"),
    [
        ("client", (quorate.Client,)),
        ("g", (Graph,)),
        ("job", (GraphHandle,)),
        ("handle", (quorate.TaskHandle,)),
        ("quorate", (quorate,)),
    ],
)
def test_each_call_is_there(prefix: str, kinds: tuple[Any, ...]) -> None:
    calls = {
        name
        for text in named()
        for name in re.findall(rf"(?<![\w.-]){prefix}\.([a-z_]\w*)", text, re.I)
    }
    assert calls
    for name in calls:
        assert any(hasattr(kind, name) for kind in kinds), name
