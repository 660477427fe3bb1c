"""Every command and snippet of the README and the docs is run, or names the test that runs it.

A fenced block of a language in RUN is executed as a reader would, in the order of its page, beside
a cluster of `quorate up`: `console` line by line, `python` as a script. Its `quorate` is that of
`tests.support.typed`, in a locked run the installed one. The environment has QUORATE_DATA_DIR, and
GATEWAY, the address that `up` prints. A block that cannot run here says before it who does it:
`<!-- tested by tests/... -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from tests.support import forked, tls
from tests.support.local import running
from tests.support.needs import need_programs
from tests.support.typed import TypedCommand
from tools.gateway_http import token_of

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [
    CHECKOUT / "README.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
    *sorted((CHECKOUT / "examples").glob("clients/*/README.md")),
    *sorted((CHECKOUT / "examples").glob("*/README.md")),
]
RUN = {"console", "sh", "bash", "python"}
TEXT = {"", "text", "mermaid", "ini", "json", "yaml", "toml", "promql"}
_BLOCK = re.compile(
    r"(?:<!-- tested by (?P<by>\S+) -->\n+)?^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# What a reader has at that place and a test has not.
INSTEAD = {
    ". .venv/bin/activate": ":",
    "quorate up": "quorate status",
    "quorate up --port 7480 --gateway-port 7470": "quorate status",
    "GATEWAY=http://127.0.0.1:7470": ":",
}
# A cluster that is started with settings: the fixture has those that a later block needs.
_UP = re.compile(r"(QUORATE_\w+=\S+ )+quorate up( --slots 2)?")
# Above snippets that are about something of the reader's.
BEFORE = {
    "pool.map(count_lines, paths)": "count_lines, paths = len, ['one', 'three']\n",
}


class Block(NamedTuple):
    """A fenced block: where, in which language, and who else runs it."""

    page: str
    line: int
    language: str
    body: str
    tested_by: str


def blocks_of(page: Path) -> Iterator[Block]:
    """In the order of the page."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("body"))
        name = str(page.relative_to(CHECKOUT))
        yield Block(name, line, found["language"], found["body"], found["by"] or "")


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUNNABLE = [block for block in BLOCKS if block.language in RUN and not block.tested_by]


def _name(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """With two nodes and a gateway; its functions are imported from `folder`."""
    data = tmp_path_factory.mktemp("docs") / "data"
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "db").mkdir()
    (secrets / "db" / "password").write_text("hunter2\n")
    plan = LocalPlan(data_dir=data, nodes=2, slots=2, gateway=True, secure=tls.ON)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("QUORATE_SECRETS_DIR", str(secrets))
            patch.setenv("QUORATE_COUNTERS", "waiters=1")
            # A task of theirs is the command itself.
            patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
            started = stack.enter_context(running(plan))
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are typed: what one writes the next ones find."""
    return tmp_path_factory.mktemp("typed")


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """PATH of the shells."""
    installed = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if forked.watched():
        yield installed
        return
    with TypedCommand() as typed:
        yield f"{typed.folder}:{installed}"


@pytest.mark.parametrize("block", RUNNABLE, ids=_name)
def test_a_snippet_does_what_it_says(block: Block, cluster: LocalCluster, folder: Path, path: str):
    environment = {
        **os.environ,
        **locked_environment(cluster, folder),
        "PATH": path,
        "QUORATE_DATA_DIR": cluster.data_dir,
        "GATEWAY": cluster.dashboard.rstrip("/"),
        "NO_COLOR": "1",
    }
    script = script_of(block.body)
    need_programs(script)
    argv = ["bash", "-euo", "pipefail", "-c", script]
    if block.language == "python":
        before = next((text for sign, text in BEFORE.items() if sign in block.body), "")
        argv = [sys.executable, "-c", before + block.body]
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def locked_environment(cluster: LocalCluster, folder: Path) -> dict[str, str]:
    """What a reader would have set, or add to curl's command line, for `quorate up --secure`."""
    if cluster.tls is None:
        return {}
    header = f'header = "Authorization: Bearer {token_of(cluster)}"'
    (folder / ".curlrc").write_text(f'cacert = "{cluster.tls.ca_file}"\n{header}\n')
    return {
        "CURL_HOME": str(folder),
        "SSL_CERT_FILE": cluster.tls.ca_file,
        "QUORATE_TOKEN": token_of(cluster),
        "QUORATE_TOKEN_FILE": "",
    }


def script_of(body: str) -> str:
    """The lines behind the prompts of a `console` block; a block without prompts is a script."""
    typed = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
    script = []
    for line in typed or body.splitlines():
        command = line.partition("  #")[0].strip()
        command = INSTEAD.get(_UP.sub("quorate up", command), command)
        # ID stands for what `submit` and `tasks` print.
        newest = "$(quorate submit -- echo hello)"
        script.append(re.sub(r"(?<=\s)ID\b", newest, command))
    return "\n".join(script)


def test_every_block_is_run_or_is_text_or_names_its_test():
    for block in BLOCKS:
        assert block.language in RUN | TEXT, _name(block)
        if block.tested_by:
            assert (CHECKOUT / block.tested_by).exists(), _name(block)
        elif block.language == "":
            typed = re.search(r"^\$ |^(quorate|kubectl|curl) ", block.body, re.MULTILINE)
            assert typed is None, f"{_name(block)}: a command without a language is never run"
    assert len(RUNNABLE) >= 15
