"""Problems: what the headers of a failed REST request say."""

from __future__ import annotations

import pytest

from gateway.cluster.upstream_errors import UpstreamError
from gateway.http.problems import problem_response
from quorate.runtime.errors import exhausted


@pytest.mark.parametrize(("delay", "header"), [(2.3, "3"), (0.2, "1"), (None, "1")])
def test_an_exhausted_quota_says_when_to_come_again(delay: float | None, header: str) -> None:
    error = exhausted("CALL_RATE_EXCEEDED", "too many calls", limit=5)
    error.retry_delay = delay
    assert problem_response(UpstreamError(error)).headers["Retry-After"] == header
