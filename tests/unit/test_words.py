"""Retired words are gone from names, help, errors and documents (docs/glossary.md).

| where | what is looked for |
|---|---|
| names in the four packages | parts of identifiers (`_` and capitals separate them): `_IN_NAMES` |
| help of commands, settings and metrics; errors; docs and README | `_IN_TEXTS` |

Words that also have an ordinary meaning are looked for only where the retired one can be told:

* `given`, `kept`, `mark`, `front`, `instance`, `admission` in names: not at all. `mark` is also the
  mark of a node that a scale-down may end; field `instance` is on the wire; `write_admission` is
  the current word.
* `saw`, `tell`: only as names of functions and variables; `tell` is also a method of files.
* `told`, `asked`: in texts only behind a form of "to be" ("is told", "was asked").
* `leaving`: but for wire names (`leavingSeconds`, `leaving/`, `NODE_STATE_LEAVING`).
* `fault`: in names but for `Node.fault`, which is on the wire.
* comments and docstrings: only words without an ordinary meaning, "is told" and "of ours",
  `_IN_COMMENTS`.
* `handed back`: in texts only; the field `handed_back` is on the wire.

ADRs and the CHANGELOG are history and are not checked.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_settings import BaseSettings

from gateway.config import GatewaySettings
from node_agent.config import AgentSettings
from quorate.cli.app import application
from scheduler.config import SchedulerSettings

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scheduler", "node_agent", "gateway", "quorate")
GENERATED = ("quorate/v1", "quorate/internal", "gateway/ui", "gateway/_ui")

_IN_NAMES = frozenset(
    "tenure career vitality incumbent stray strays crew pace paced saw told tell "
    "wish wished wishes holding holdings uncommitted begun refusal refusals fault faults "
    "leaving".split()
)
# Names that are on the wire or in etcd; by word.
_ALLOWED = {
    "fault": {"fault"},
    "leaving": {
        *("leaving_since", "leaving_seconds", "LeavingRecord", "NODE_STATE_LEAVING"),
        *("LEAVING", "DEFAULT_LEAVING", "MAX_LEAVING"),
    },
}
# Where a word is a name of somebody else: a method of Python's files, a field of a message.
_ALLOWED_IN = {
    "tell": {"quorate/etcd/server/launcher.py", "quorate/etcd/snapshot/file.py"},
    "leaving": {
        "scheduler/agents/node_link.py",
        "scheduler/agents/orders.py",
        "node_agent/session/session.py",
    },
}
_BE = r"\b(is|are|was|were|be|been|being)"
_IN_TEXTS = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        r"\btenures?\b",
        r"\bcareers?\b",
        r"\bleader watch\b",
        r"\bvitality\b",
        r"\bincumbents?\b",
        r"\bstrays?\b",
        r"\bcrews?\b",
        r"\bpaced?\b",
        r"\bwish(es|ed)?\b",
        r"\buncommitted\b",
        r"\bhand(ed|s|ing)? back\b",
        r"(?<!`)\bleaving\b(?! \(idle)",
        rf"{_BE}( not| never)? (told|asked)\b",
        r"\bof ours\b",
        r"\bas (it|they) comes?\b",
        r"\bNor (do|does|did|is|are|was|has|have|can|will)\b",
        r"\bsits? out\b",
        r"\bproves? nothing\b",
    )
)


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not str(path.relative_to(ROOT)).startswith(GENERATED):
                yield path


def _parts(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())


def _retired_names(path: Path) -> Iterator[str]:
    where = str(path.relative_to(ROOT))
    with path.open() as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type != tokenize.NAME:
                continue
            for word in _IN_NAMES.intersection(_parts(token.string)):
                allowed = token.string in _ALLOWED.get(word, ())
                allowed |= token.string == word and where in _ALLOWED_IN.get(word, ())
                if not allowed:
                    yield f"{where}:{token.start[0]}: {token.string}"


def _retired_in(text: str) -> list[str]:
    return [found.group() for pattern in _IN_TEXTS if (found := pattern.search(text))]


def _mistakes(texts: Iterator[tuple[str, str]]) -> list[str]:
    return [
        f"{where}: {words} in {text!r}" for where, text in texts if (words := _retired_in(text))
    ]


def test_names_have_no_retired_words() -> None:
    assert [name for path in _sources() for name in _retired_names(path)] == []


def _commands(command: Any, path: str) -> Iterator[tuple[str, str]]:
    yield path, f"{command.help or ''} {command.epilog or ''}"
    for parameter in command.params:
        yield f"{path} {parameter.name}", str(getattr(parameter, "help", "") or "")
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, f"{path} {name}")


def test_help_of_commands_has_no_retired_words() -> None:
    texts = list(_commands(typer.main.get_command(application()), "quorate"))
    assert len(texts) > 100
    assert _mistakes(iter(texts)) == []


@pytest.mark.parametrize("settings", [SchedulerSettings, AgentSettings, GatewaySettings])
def test_help_of_settings_has_no_retired_words(settings: type[BaseSettings]) -> None:
    fields = settings.model_fields
    assert _mistakes((name, field.description or "") for name, field in fields.items()) == []


_METRICS = {"counter", "counters", "gauge", "gauges", "histogram", "histograms"}


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _literals(node: ast.AST) -> str:
    return " ".join(
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


_ERRORS = frozenset(
    "invalid exhausted precondition unavailable not_found permission_denied unauthenticated "
    "already_exists aborted Refusal Rejection Problem problem".split()
)


def _messages(path: Path) -> Iterator[tuple[str, str]]:
    """The literals of metrics' help and of errors: what is raised, and what makes an error."""
    where = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield f"{where}:{node.lineno}", _literals(node.exc)
        elif isinstance(node, ast.Call):
            called = _called(node)
            if called in _METRICS | _ERRORS or called.endswith("Error"):
                yield f"{where}:{node.lineno}", _literals(node)


def test_errors_and_help_of_metrics_have_no_retired_words() -> None:
    texts = [each for path in _sources() for each in _messages(path)]
    assert len(texts) > 500
    assert _mistakes(iter(texts)) == []


_IN_COMMENTS = re.compile(
    r"\b(tenures?|careers?|leader watch|vitality|incumbents?|crews?|wish(es|ed)?)\b"
    r"|\b(is|are|was|were|be|been) told\b|\bof ours\b",
    re.IGNORECASE,
)


def test_comments_and_docstrings_have_no_words_that_had_a_retired_meaning_alone() -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if _IN_COMMENTS.search(line)
    ]
    assert lines == []


_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def _events(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        logger = node.func.value
        if node.func.attr not in _LEVELS or not isinstance(logger, ast.Name) or not node.args:
            continue
        if logger.id in ("log", "_log"):
            events = [node.args[0]]
            if isinstance(events[0], ast.IfExp):
                events = [events[0].body, events[0].orelse]
            yield from (str(e.value) for e in events if isinstance(e, ast.Constant))


def test_log_events_are_names_in_snake_case() -> None:
    # "%s: %s" is that of the standard library's logging, in programs that use the SDK.
    events = [event for path in _sources() for event in _events(path) if event != "%s: %s"]
    assert len(events) > 80
    assert [
        event for event in events if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", event)
    ] == []


def _documents() -> list[Path]:
    return [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/runbooks").glob("*.md"),
    ]


@pytest.mark.parametrize("path", _documents(), ids=lambda path: path.name)
def test_documents_have_no_retired_words(path: Path) -> None:
    text = path.read_text()
    if path.name == "glossary.md":
        text = text.partition("## Retired words")[0]
    lines = enumerate(text.splitlines(), 1)
    assert _mistakes((f"{path.name}:{number}", line) for number, line in lines) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nor does it start", ["Nor does"]),
        ("a clerk is told of it", ["is told"]),
        ("a gRPC client as it comes", ["as it comes"]),
        ("leaving (idle, a scale-down may end them)", []),
        ("unless told otherwise", []),
    ],
)
def test_texts_are_searched_for_whole_words(text: str, found: list[str]) -> None:
    assert _retired_in(text) == found


def test_every_retired_word_of_the_glossary_is_explained() -> None:
    table = (ROOT / "docs/glossary.md").read_text().partition("## Retired words")[2]
    retired = set(
        re.findall(r"[a-z]+", " ".join(re.findall(r"\| ([^|]+) \|$", table, re.MULTILINE)))
    )
    explained = __doc__ or ""
    checked = _IN_NAMES | set(
        re.findall(r"[a-z]+", explained + " ".join(p.pattern for p in _IN_TEXTS))
    )
    assert retired - checked <= {"not", "watch", "leader", "callers", "agent"}
