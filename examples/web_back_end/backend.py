"""A web back end that gives long work to the cluster: it answers at once, and shows the progress.

    uvicorn --factory examples.web_back_end.backend:application

| call | what it does |
|---|---|
| `GET /` | a page with a button, a progress bar and a way to cancel |
| `POST /reports` `{"first": 1, "last": 100}` | start a report: 202 and its address |
| `GET /reports/ID` | state, progress and, once finished, the result |
| `GET /reports/ID/events` | the same as server-sent events, until it is finished |
| `DELETE /reports/ID` | cancel it |

The process keeps nothing: a report is a job on the cluster, and its id is all that the browser
needs. Any number of such processes can serve the same reports, and each may be restarted at any
time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cloudpickle
import grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from quorate import AsyncClient
from quorate.errors import QuorateError

# Functions of this file travel with the job: the nodes need no copy of it.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

PAGE = Path(__file__).with_name("page.html")
# The errors of the cluster as HTTP says them; others are 502, as of a gateway.
STATUS = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}
MOST_NUMBERS = 10_000


def is_prime(number: int) -> bool:
    """What a report is about. Runs on the nodes, once for each number."""
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def application() -> Starlette:
    """The back end, connected to the cluster while it runs."""
    return Starlette(
        routes=[
            Route("/", page),
            Route("/reports", start, methods=["POST"]),
            Route("/reports/{id}", show),
            Route("/reports/{id}", cancel, methods=["DELETE"]),
            Route("/reports/{id}/events", events),
        ],
        exception_handlers={QuorateError: on_error},  # type: ignore[dict-item]
        lifespan=connected,
    )


@contextlib.asynccontextmanager
async def connected(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    """One client for all requests: it keeps its connections, and fails over by itself."""
    del app
    async with AsyncClient() as client:
        yield {"client": client}


async def page(request: Request) -> Response:
    """The page."""
    del request
    return HTMLResponse(PAGE.read_text())


async def start(request: Request) -> Response:
    """Start a report. A repeated call with the same `Idempotency-Key` starts none."""
    try:
        wanted = json.loads(await request.body())
        numbers = range(int(wanted["first"]), int(wanted["last"]) + 1)
    except (ValueError, KeyError, TypeError):
        return JSONResponse({"error": "first and last must be numbers"}, 400)
    if not 0 < len(numbers) <= MOST_NUMBERS:
        return JSONResponse({"error": f"1 to {MOST_NUMBERS} numbers are possible"}, 400)
    client: AsyncClient = request.state.client
    key = request.headers.get("Idempotency-Key", "")
    job = await client.options(request_id=key).array(is_prime, numbers, name="primes")
    return JSONResponse({"id": job.id}, 202, {"Location": f"/reports/{job.id}"})


async def show(request: Request) -> Response:
    """One report."""
    return JSONResponse(await report(request))


async def cancel(request: Request) -> Response:
    """End a report early; one that is finished stays as it is."""
    client: AsyncClient = request.state.client
    await client.job(request.path_params["id"]).cancel()
    return JSONResponse(await report(request))


async def events(request: Request) -> Response:
    """The report each time it changed, at most twice a second, until it is finished."""
    first = await report(request)

    async def stream() -> AsyncIterator[str]:
        shown, now = None, first
        while True:
            if now != shown:
                yield f"data: {json.dumps(now)}\n\n"
            if now["finished"]:
                return
            await asyncio.sleep(0.5)
            shown, now = now, await report(request)

    return StreamingResponse(stream(), media_type="text/event-stream")


async def report(request: Request) -> dict[str, Any]:
    """What a report looks like."""
    client: AsyncClient = request.state.client
    job = client.job(request.path_params["id"])
    state, progress = await job.status(), await job.progress()
    document: dict[str, Any] = {
        "state": state,
        "finished": state in ("SUCCEEDED", "FAILED", "CANCELLED"),
        "done": progress.finished,
        "total": progress.total,
        "share": round(progress.share, 3),
    }
    if state == "SUCCEEDED":
        document["primes"] = [value async for value in job.results()].count(True)
    return document


async def on_error(request: Request, error: QuorateError) -> Response:
    """What the cluster refused, in its own words."""
    del request
    return JSONResponse({"error": error.message}, STATUS.get(error.code, 502))
