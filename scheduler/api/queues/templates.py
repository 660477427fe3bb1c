"""SetMessageTemplate and GetMessageTemplate: what messages become in a queue."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from quorate.runtime.ids import QueueName
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.asking import ask, audited, refused
from scheduler.api.candidates import Candidates
from scheduler.api.origin import may_submit
from scheduler.api.servicer import Context
from scheduler.api.specs.check import SpecCheck
from scheduler.api.validate import queue_name
from scheduler.core.jobs import placeholders
from scheduler.core.model import events as e
from scheduler.core.model.answers import no_queue
from scheduler.core.values import TaskSpec
from scheduler.engine.driver import Driver
from scheduler.storage.record_kinds import MESSAGE_PLACEHOLDERS, MESSAGE_TASKS
from scheduler.storage.records import message_template

# Bytes of a template: it is a part of each task that is made of it, and of the queue's record.
MAX_TEMPLATE_BYTES: Final = 64 << 10


class TemplateCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, candidates: Candidates, check: SpecCheck) -> None:
        self._driver = driver
        self._candidates = candidates
        self._check = check

    async def SetMessageTemplate(
        self, request: pb.SetMessageTemplateRequest, context: Context
    ) -> Message:
        may_submit("set a message template")
        name = QueueName(queue_name("queue", request.queue))
        template = None
        if request.HasField("template"):
            template = self._template(request.template)
            await self._candidates.require(MESSAGE_TASKS)
            if placeholders.has_any(template.spec):
                await self._candidates.require(MESSAGE_PLACEHOLDERS)
            await self._candidates.require_for([template])
        view = pb.SetMessageTemplateResponse()
        if template is not None:
            view.template.CopyFrom(request.template)
        asked = audited("SetMessageTemplate", request, context)
        await ask(
            self._driver,
            asked,
            lambda token: e.MessageTemplateSubmitted(name, template, asked, token),
        )
        return view

    async def GetMessageTemplate(
        self, request: pb.GetMessageTemplateRequest, context: Context
    ) -> Message:
        name = QueueName(queue_name("queue", request.queue))
        row = self._driver.state.queues.get(name)
        template = None if row is None else row.template
        await self._driver.readable()
        if row is None:
            raise refused(no_queue(name))
        if template is None:
            return pb.GetMessageTemplateResponse()
        spec = task_pb2.TaskSpec.FromString(template.spec)
        return pb.GetMessageTemplateResponse(template=spec)

    def _template(self, spec: task_pb2.TaskSpec) -> TaskSpec:
        """What the core needs of a valid template. Raises INVALID_ARGUMENT naming the field."""
        size = spec.ByteSize()
        if size > MAX_TEMPLATE_BYTES:
            raise invalid(
                "template",
                f"{size} bytes; at most {MAX_TEMPLATE_BYTES} are allowed, because it is a part of "
                "each task",
                reason="PAYLOAD_TOO_LARGE",
                limit=MAX_TEMPLATE_BYTES,
                value=size,
            )
        for field, why in (
            ("not_before", "comes from the message (deliver_after)"),
            ("payload_blob", "is not kept for a template"),
        ):
            if spec.HasField(field):
                raise invalid(f"template.{field}", f"{why}; leave it out")
        if spec.trace_context:
            raise invalid("template.trace_context", "is of one task; leave it out")
        if spec.HasField("unique") and spec.unique.HasField("window"):
            raise invalid("template.unique.window", "is of one task; leave it out")
        if spec.command.stdin:
            raise invalid("template.command.stdin", "is the body of the message; leave it out")
        if spec.HasField("python"):
            if not spec.python.entrypoint:
                raise invalid("template.python.entrypoint", "is required: module:function")
            if spec.python.WhichOneof("arguments") == "pickle":
                raise invalid(
                    "template.python.pickle", "cannot follow the body of a message; use json"
                )
        self._check.spec(spec, "template", self._driver.clock.now())
        for _ in self._check.large_json(spec, "template"):
            pass
        placeholders.check(spec)
        found = message_template(spec.SerializeToString(deterministic=True))
        assert found is not None
        return found
