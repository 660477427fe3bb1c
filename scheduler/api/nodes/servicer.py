"""The calls about nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from google.protobuf.message import Message

from quorate.runtime.errors import not_found
from quorate.runtime.ids import NodeName
from quorate.security.identity import current_caller
from quorate.v1 import node_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.asking import PAGE_BYTES, after_name, ask, audited, page_of_names
from scheduler.api.candidates import Candidates
from scheduler.api.nodes import validate, views
from scheduler.api.servicer import Context
from scheduler.api.specs import placement
from scheduler.api.validate import required
from scheduler.core.model import events as e
from scheduler.core.model.events import Request
from scheduler.core.model.rows import Control
from scheduler.core.place_rules import Taint, Toleration
from scheduler.engine.driver import Driver
from scheduler.storage.record_kinds import PLACEMENT


class NodeCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, candidates: Candidates) -> None:
        self._driver = driver
        self._candidates = candidates
        self._state = driver.state

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> Message:
        known = {**self._state.nodes, **self._state.lost}
        names, token = page_of_names("nodes", known, request.page_size, request.page_token)
        answer = pb.ListNodesResponse(next_page_token=token, revision=self._driver.revision)
        length = 0
        for name in names:
            view = self._node_view(NodeName(name))
            length += view.ByteSize()
            if answer.nodes and length > PAGE_BYTES:
                answer.next_page_token = after_name("nodes", answer.nodes[-1].name)
                break
            answer.nodes.append(view)
        await self._driver.readable()
        return answer

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> Message:
        name = NodeName(required("name", request.name))
        view = self._node_view(name) if self._is_known(name) else None
        await self._driver.readable()
        if view is None:
            raise not_found("node", name)
        return pb.GetNodeResponse(node=view)

    async def CordonNode(self, request: pb.CordonNodeRequest, context: Context) -> Message:
        asked = audited("CordonNode", request, context)
        change = partial(replace, cordoned=True)
        return pb.CordonNodeResponse(node=await self._control(request.name, change, asked))

    async def UncordonNode(self, request: pb.UncordonNodeRequest, context: Context) -> Message:
        asked = audited("UncordonNode", request, context)
        change = partial(replace, cordoned=False, draining=False, drain_grace=0.0)
        return pb.UncordonNodeResponse(node=await self._control(request.name, change, asked))

    async def DrainNode(self, request: pb.DrainNodeRequest, context: Context) -> Message:
        asked = audited("DrainNode", request, context)
        grace = validate.drain_grace(request)
        change = partial(replace, cordoned=True, draining=True, drain_grace=grace)
        return pb.DrainNodeResponse(node=await self._control(request.name, change, asked))

    async def DismissNode(self, request: pb.DismissNodeRequest, context: Context) -> Message:
        asked = audited("DismissNode", request, context)
        node = NodeName(required("name", request.name))
        await ask(self._driver, asked, lambda token: e.NodeDismissAsked(node, asked, token))
        return pb.DismissNodeResponse()

    async def TaintNode(self, request: pb.TaintNodeRequest, context: Context) -> Message:
        asked = audited("TaintNode", request, context)
        placement.taint(request.taint)
        await self._candidates.require(PLACEMENT)
        taint = Taint(request.taint.key, request.taint.value)
        validate.refuse_more_taints(self._state.control(NodeName(request.name)), taint)

        def change(control: Control) -> Control:
            others = (one for one in control.taints if one != taint)
            return replace(control, taints=tuple(sorted((*others, taint))))

        return pb.TaintNodeResponse(node=await self._control(request.name, change, asked))

    async def UntaintNode(self, request: pb.UntaintNodeRequest, context: Context) -> Message:
        asked = audited("UntaintNode", request, context)
        key = required("key", request.key)
        removed = Toleration(key, request.value if request.HasField("value") else None)
        name = NodeName(request.name)
        row, own = self._state.nodes.get(name), self._state.control(name).taints
        if row is not None and not any(map(removed.covers, own)):
            validate.refuse_taint_of_agent(row, removed)

        def change(control: Control) -> Control:
            left = tuple(one for one in control.taints if not removed.covers(one))
            return replace(control, taints=left)

        return pb.UntaintNodeResponse(node=await self._control(request.name, change, asked))

    async def _control(
        self, name: str, change: Callable[[Control], Control], asked: Request
    ) -> node_pb2.Node:
        node = NodeName(required("name", name))
        control = self._state.control
        # What is on record is looked up when it is stepped: a call may have waited for room in the
        # journal, and another one of this node with it.
        await ask(
            self._driver,
            asked,
            lambda token: e.NodeControlAsked(node, change(control(node)), asked, token),
        )
        # Away at the moment, or for good: the order is on record under its name.
        view = self._node_view(node) if self._is_known(node) else node_pb2.Node(name=node)
        # It may show an order that came after this one, and is not committed.
        await self._driver.readable()
        return view

    def _is_known(self, name: NodeName) -> bool:
        return name in self._state.nodes or name in self._state.lost

    def _node_view(self, name: NodeName) -> node_pb2.Node:
        state = self._state
        if name not in state.nodes:
            return views.lost_node(state.lost[name], state.control(name), current_caller())
        return views.node(state.nodes[name], state.control(name), state.scaling_down.get(name))
