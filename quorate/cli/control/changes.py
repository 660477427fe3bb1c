"""What `quorate update` changes, as the SDK takes it."""

from __future__ import annotations

from typing import Any, Final, cast

from quorate.cli.words import pairs
from quorate.client.work.options import OptionArgs
from quorate.client.work.updates import UpdateArgs
from quorate.runtime.errors import invalid

# Empty: there is no such rule.
_NO_RULES: Final[OptionArgs] = {
    "where": (),
    "prefer": (),
    "tolerate": (),
    "near": {},
    "apart": {},
    "distinct": (),
    "spread": "",
    "placement": "",
}


def basic_changes(
    priority: int | None,
    label: list[str] | None,
    delay: float | None,
    timeout: float | None,
    retries: int | None,
    start_deadline: float | None,
    to_queue: str,
) -> UpdateArgs:
    """Of the options that were given. Raises BadParameter."""
    given: dict[str, Any] = {
        "priority": priority,
        "labels": pairs("--label", label) or None,
        "delay": delay,
        "timeout": timeout,
        "retries": retries,
        "start_deadline": start_deadline,
        "to_queue": to_queue or None,
    }
    return _as_update({name: value for name, value in given.items() if value is not None})


def limit_changes(
    limit_key: str | None,
    limit: list[str] | None,
    fairness_key: str | None,
    ordering_key: str | None,
) -> UpdateArgs:
    """The keys and shared limits that were given; an empty text removes what is there."""
    given: dict[str, Any] = {
        "limit_key": limit_key,
        "limits": [name for name in limit if name] if limit else None,
        "fairness_key": fairness_key,
        "ordering_key": ordering_key,
    }
    return _as_update({name: value for name, value in given.items() if value is not None})


def placement_changes(rules: OptionArgs, *, any_node: bool) -> UpdateArgs:
    """The rules that were given, in place of those of the same kind; `any_node`: of all.

    Raises QuorateError.
    """
    given = {name: value for name, value in rules.items() if value}
    if not any_node:
        return _as_update(given)
    if given:
        option = next(iter(given))
        raise invalid("--any-node", f"removes all rules; leave out --{option}, or --any-node")
    return _as_update(_NO_RULES)


def hook_changes(hooks: OptionArgs) -> UpdateArgs:
    """The hooks that were given."""
    return _as_update({name: value for name, value in hooks.items() if value})


def refuse_none(changes: UpdateArgs) -> None:
    """Raises QuorateError where there is nothing to change."""
    if not changes:
        raise invalid(
            "--priority",
            "give at least one of --priority, --label, --delay, --timeout, --retries, "
            "--start-deadline, --to-queue, a limit or key such as --limit, a placement rule such "
            "as --where, or a hook",
        )


def _as_update(given: Any) -> UpdateArgs:
    return cast(UpdateArgs, dict(given))
