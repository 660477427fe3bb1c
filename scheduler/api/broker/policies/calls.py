"""SetMessagePolicy, ListMessagePolicies, DeleteMessagePolicy."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api import validate as shared
from scheduler.api.broker import validate
from scheduler.api.broker.arguments import OVERFLOWS, overflow_view
from scheduler.api.broker.exchanges import named
from scheduler.api.broker.steps import Steps
from scheduler.api.candidates import Candidates
from scheduler.api.servicer import Context
from scheduler.core.broker.handlers.policies import PolicyAsked, PolicyDeleteAsked
from scheduler.core.broker.policies import SECONDS
from scheduler.core.broker.queues.checks import MOST_SECONDS, MOST_TTL
from scheduler.core.broker.rows import ApplyTo, PolicyDefinition, PolicyRow
from scheduler.storage.record_kinds import POLICIES

_PLAIN: Final = (
    *("max_length", "max_length_bytes", "dead_letter_exchange", "dead_letter_routing_key"),
    *("delivery_limit", "alternate_exchange"),
)
_APPLY_TO: Final = {one.value: one for one in ApplyTo}


class PolicyCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, steps: Steps, candidates: Candidates) -> None:
        self._steps = steps
        self._broker = steps.broker
        self._candidates = candidates

    async def SetMessagePolicy(
        self, request: pb.SetMessagePolicyRequest, context: Context
    ) -> Message:
        row = _row(request.policy)
        await self._candidates.require(POLICIES)
        before: PolicyRow | None = None

        def make(token: Any) -> object:
            nonlocal before
            before = self._broker.state.policies.rows.get(row.key)
            return PolicyAsked(row, token)

        await self._steps.change(
            *("SetMessagePolicy", request, context, "message_policy"),
            named(row.virtual_host, row.name),
            make,
            lambda answer: before != row,
        )
        return pb.SetMessagePolicyResponse(policy=_view(row))

    async def ListMessagePolicies(
        self, request: pb.ListMessagePoliciesRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        state = self._broker.state
        state.router.host(host)
        views = list(map(_view, state.policies.of(host)))
        await self._broker.readable()
        return pb.ListMessagePoliciesResponse(policies=views)

    async def DeleteMessagePolicy(
        self, request: pb.DeleteMessagePolicyRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name, operator = validate.name("name", request.name), request.operator
        await self._steps.change(
            *("DeleteMessagePolicy", request, context, "message_policy", named(host, name)),
            lambda token: PolicyDeleteAsked(host, name, operator, token),
        )
        return pb.DeleteMessagePolicyResponse()


def _row(asked: m.MessagePolicy) -> PolicyRow:
    """A policy as it is asked for; what its values may be is for the core to decide."""
    apply_to = asked.apply_to or ApplyTo.ALL.value
    if apply_to not in _APPLY_TO:
        raise invalid(
            "policy.apply_to", f"{apply_to[:40]!r} is unknown; use one of {', '.join(_APPLY_TO)}"
        )
    return PolicyRow(
        validate.virtual_host(asked.virtual_host),
        validate.name("policy.name", asked.name),
        asked.pattern,
        _definition(asked.definition),
        _APPLY_TO[apply_to],
        asked.priority,
        asked.operator,
    )


def _definition(asked: m.PolicyDefinition) -> PolicyDefinition:
    found: dict[str, Any] = {
        field: getattr(asked, field) for field in _PLAIN if asked.HasField(field)
    }
    for field in SECONDS:
        if asked.HasField(field):
            is_ttl = field == "message_ttl"
            most = MOST_TTL if is_ttl else MOST_SECONDS
            name = f"policy.definition.{field}"
            found[field] = shared.duration(name, getattr(asked, field), most, zero=is_ttl)
    shared.known_enum("policy.definition.overflow", asked.overflow, range(4))
    if asked.overflow:
        found["overflow"] = OVERFLOWS[asked.overflow]
    return PolicyDefinition(**found)


def _view(row: PolicyRow) -> m.MessagePolicy:
    view = m.MessagePolicy(
        virtual_host=row.virtual_host,
        name=row.name,
        pattern=row.pattern,
        apply_to=row.apply_to.value,
        priority=row.priority,
        operator=row.operator,
    )
    definition = view.definition
    for field in _PLAIN:
        if (value := getattr(row.definition, field)) is not None:
            setattr(definition, field, value)
    for field in SECONDS:
        if (value := getattr(row.definition, field)) is not None:
            getattr(definition, field).FromNanoseconds(round(value * 1e9))
    if row.definition.overflow is not None:
        definition.overflow = overflow_view(row.definition.overflow)
    return view
