"""Each RPC is answered by exactly one family, which is found out when a term begins."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from quorate.externalscaler import externalscaler_pb2
from scheduler.api.servicer import compose

SERVICE = externalscaler_pb2.DESCRIPTOR.services_by_name["ExternalScaler"]


class Metrics:
    async def GetMetricSpec(self, request: Any, context: Any) -> Any: ...

    async def GetMetrics(self, request: Any, context: Any) -> Any: ...


class Activity:
    async def IsActive(self, request: Any, context: Any) -> Any: ...

    async def StreamIsActive(self, request: Any, context: Any) -> AsyncGenerator[Any, None]:
        yield


def test_methods_come_from_the_family_that_has_them() -> None:
    metrics, activity = Metrics(), Activity()
    servicer = compose(SERVICE, metrics, activity)
    assert servicer.answers == {
        "GetMetricSpec": metrics.GetMetricSpec,
        "GetMetrics": metrics.GetMetrics,
        "IsActive": activity.IsActive,
    }
    assert dict(servicer.streams) == {"StreamIsActive": activity.StreamIsActive}


@pytest.mark.parametrize(
    ("families", "found"),
    [((Metrics(),), "none"), ((Metrics(), Activity(), Activity()), "Activity, Activity")],
)
def test_a_method_without_a_family_or_with_two_is_an_error(
    families: tuple[object, ...], found: str
) -> None:
    with pytest.raises(LookupError, match=rf"ExternalScaler\.IsActive .*: {found}"):
        compose(SERVICE, *families)
