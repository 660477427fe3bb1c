"""Pages of the documentation site that nobody writes: a hook of mkdocs (see mkdocs.yml).

    index.md                  the README
    changelog.md              CHANGELOG.md
    reference/api/SERVICE.md  from the proto files: methods, HTTP routes, messages, comments
    reference/settings.md     from the settings classes of the three services
    reference/cli.md          from the command line itself
    reference/python.md       for mkdocstrings: the SDK's docstrings

They are made anew by each build, so they cannot be stale. A link that leads out of `docs/` to
something which has no page becomes plain code; one that leads nowhere at all fails the build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import typer
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor import ServiceDescriptor as Service
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic_settings import BaseSettings

import quorate
from gateway.config import GatewaySettings
from gateway.rest.openapi.comments import comment, first_sentence
from node_agent.config import AgentSettings
from quorate.cli.app import application
from quorate.v1 import broker_pb2, node_agent_pb2, scheduler_pb2, service_pb2
from scheduler.config import SchedulerSettings

CHECKOUT: Final = Path(__file__).resolve().parents[2]
MERMAID: Final = CHECKOUT / "build/docs/node_modules/mermaid/dist/mermaid.min.js"
IFRAME_WORKER: Final = CHECKOUT / "build/docs/node_modules/iframe-worker/shim/index.js"
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_SETTINGS: Final = (
    ("python -m scheduler", SchedulerSettings),
    ("python -m node_agent", AgentSettings),
    ("python -m gateway", GatewaySettings),
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Diagrams are drawn by a mermaid of our own, not by one from the internet."""
    if MERMAID.is_file():
        config.extra_javascript.append("assets/mermaid.min.js")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {
        "index.md": _moved((CHECKOUT / "README.md").read_text()),
        "changelog.md": (CHECKOUT / "CHANGELOG.md").read_text(),
        "reference/settings.md": _settings_page(),
        "reference/cli.md": _cli_page(),
        "reference/python.md": _python_page(),
    }
    for service in services():
        pages[f"reference/api/{_slug(service.name)}.md"] = _service_page(service)
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    scripts = {"assets/mermaid.min.js": MERMAID, "assets/iframe-worker.js": IFRAME_WORKER}
    for path, source in scripts.items():
        if source.is_file():
            files.append(File.generated(config, path, content=source.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links that lead out of `docs/` lead to a page, or to none."""
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        path, hash_, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return link[0]
        inside = posixpath.normpath(posixpath.join(folder, path))
        if not inside.startswith(".."):
            return link[0]
        outside = posixpath.normpath(posixpath.join("docs", folder, path))
        page_of = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
        if outside in page_of:
            return f"[{text}]({posixpath.relpath(page_of[outside], folder or '.')}{hash_}{anchor})"
        if not (CHECKOUT / outside).exists():
            return link[0]  # mkdocs then says that it leads nowhere
        return f"{text} (`{outside}`)" if not image else ""

    return _LINK.sub(replaced, markdown)


def services() -> Sequence[Service]:
    """The public ones."""
    found = []
    for file in (scheduler_pb2, broker_pb2, service_pb2, node_agent_pb2):
        found += list(file.DESCRIPTOR.services_by_name.values())
    return found


def _moved(readme: str) -> str:
    """The README as a page in `docs/`."""
    without = readme.replace("](docs/", "](")
    return re.sub(r"\]\((?!https?:|#)((?:k8s|examples|protos|tests)[^)]*)\)", r"](../\1)", without)


def _slug(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


# -- the API


def _service_page(service: Service) -> str:
    lines = [f"# {service.full_name}", "", comment(service.full_name), "", "## Methods", ""]
    for method in service.methods:
        lines += _method(method)
    lines += ["## Messages", ""]
    for message in _messages(service):
        lines += _message(message)
    return "\n".join(lines)


def _method(method: MethodDescriptor) -> Iterator[str]:
    asks = ("stream " if method.client_streaming else "") + method.input_type.name
    answers = ("stream " if method.server_streaming else "") + method.output_type.name
    yield from (f"### {method.name}", "", f"`{method.name}({asks}) returns ({answers})`", "")
    for verb, path in _routes(method):
        yield from (f"`{verb} {path}`", "")
    yield from (_text(comment(method.full_name)), "")


def _routes(method: MethodDescriptor) -> Iterator[tuple[str, str]]:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb and verb != "custom":
            yield verb.upper(), getattr(one, verb)


def _messages(service: Service) -> Sequence[Descriptor]:
    """Those that its methods name, and those that these hold: each once, in that order."""
    found: dict[str, Descriptor] = {}
    waiting = [each for m in service.methods for each in (m.input_type, m.output_type)]
    while waiting:
        message = waiting.pop(0)
        if message.full_name in found or not message.full_name.startswith("quorate."):
            continue
        if not message.GetOptions().map_entry:
            found[message.full_name] = message
        waiting += [field.message_type for field in message.fields if field.message_type]
    return list(found.values())


def _message(message: Descriptor) -> Iterator[str]:
    yield from (f"### {message.name}", "", _text(comment(message.full_name)), "")
    if not message.fields:
        return
    yield from ("| field | type | |", "|---|---|---|")
    for field in message.fields:
        yield f"| `{field.name}` | {_type_of(field)} | {_cell(comment(field.full_name))} |"
    yield ""
    enums = {
        field.enum_type.full_name: field.enum_type for field in message.fields if field.enum_type
    }
    for enum in enums.values():
        yield from (f"`{enum.name}`:", "")
        for value in enum.values:
            said = comment(f"{enum.full_name}.{value.name}")
            yield f"* `{value.name}`{': ' if said else ''}{_cell(said)}"
        yield ""


def _type_of(field: FieldDescriptor) -> str:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = message.fields_by_name["key"], message.fields_by_name["value"]
        return f"map of {_type_of(key)} to {_type_of(value)}"
    names = {
        getattr(FieldDescriptor, n): n[5:].lower() for n in dir(FieldDescriptor) if n[:5] == "TYPE_"
    }
    named = message or field.enum_type
    name = named.name if named is not None else names[field.type]
    return f"`{name}`" + (", repeated" if field.is_repeated else "")


def _text(markdown: str) -> str:
    """A comment is plain text: what looks like a tag, or like a link, is none."""
    return markdown.replace("<", "&lt;").replace("[", "\\[")


def _cell(markdown: str) -> str:
    return _text(markdown).replace("|", "\\|").replace("\n", " ")


# -- the rest


def _settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Each setting is a flag, an environment variable and a default; flags win.",
        "",
    ]
    for program, settings in _SETTINGS:
        lines += [f"## `{program}`", "", "| flag | variable | default | |", "|---|---|---|---|"]
        lines += sorted(_setting_rows(settings))
        lines.append("")
    return "\n".join(lines)


def _setting_rows(settings: type[BaseSettings]) -> Iterator[str]:
    prefix = str(settings.model_config.get("env_prefix", ""))
    for name, field in settings.model_fields.items():
        default: Any = field.default
        if field.default_factory is not None:
            default = "found out"
        shown = "" if default in ("", None) else f"`{default}`"
        flag = "--" + name.replace("_", "-")
        said = _cell(field.description or "")
        yield f"| `{flag}` | `{prefix}{name.upper()}` | {shown} | {said} |"


def _cli_page() -> str:
    root: Any = typer.main.get_command(application())
    lines = ["# Command line", "", "`quorate COMMAND --help` says the same.", ""]
    for path, command in _commands(root, ["quorate"]):
        lines += [f"## `{' '.join(path)}`", "", _text(_plain(command.help or "")), ""]
        lines += _parameters(command)
    return "\n".join(lines)


def _commands(group: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    for name in group.commands:
        command = group.commands[name]
        if getattr(command, "hidden", False):
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, [*path, name])
        else:
            yield [*path, name], command


def _parameters(command: Any) -> Iterator[str]:
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    if not shown:
        return
    yield from ("| | |", "|---|---|")
    for one in shown:
        options = one.param_type_name == "option"
        name = ", ".join(one.opts) if options else (one.metavar or one.name or "").upper()
        yield f"| `{name}` | {_cell(_plain(getattr(one, 'help', '') or ''))} |"
    yield ""


def _plain(text: str) -> str:
    """Without the markup of rich."""
    return re.sub(r"(?<!\\)\[/?[a-z ]+\]", "", click.unstyle(text)).replace("\\[", "[").strip()


def _python_page() -> str:
    names = [name for name in quorate.__all__ if not name.startswith("__") and name != "errors"]
    homes = {name: getattr(quorate, name).__module__ for name in names}
    lines = ["# Python SDK", "", _text(first_sentence((quorate.__doc__ or "").strip())) + ".", ""]
    for name in names:
        lines += [f"::: {homes[name]}.{name}", ""]
    return "\n".join([*lines, "::: quorate.errors", ""])
