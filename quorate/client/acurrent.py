"""`quorate.current()` for coroutine functions, whose event loop must not wait.

    async def crawl(url):
        here = quorate.async_current()
        await asyncio.gather(*[here.submit(crawl, link) for link in await links_of(url)])
        await here.progress(1.0, url)

The numbers of request ids are those of `quorate.current()`: a function that uses both adds nothing
twice. Calls are numbered in the order in which they begin to run; `asyncio.gather` and `TaskGroup`
begin them in the order in which they are given.

Each event loop has a client of its own, which is closed with the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakKeyDictionary

from quorate.client.current import Current, current
from quorate.client.work.options import OptionArgs

if TYPE_CHECKING:
    from quorate.client.ahandle import AsyncTaskHandle
    from quorate.client.aio import AsyncClient
    from quorate.client.work.specs import Argument

P = ParamSpec("P")
R = TypeVar("R")


class AsyncCurrent:
    """One attempt, as the coroutine that it runs sees it. `quorate.async_current()` gives it.

    Attributes: as `Current`.
    """

    def __init__(self, of: Current, options: OptionArgs | None = None) -> None:
        self._current = of
        self._options = options or {}
        self.task_id = of.task_id
        self.attempt = of.attempt
        self.node = of.node
        self.chunk = of.chunk

    def __repr__(self) -> str:
        return f"AsyncCurrent({self.task_id!r}, attempt={self.attempt})"

    @overload
    async def submit(
        self, work: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncTaskHandle[R]: ...
    @overload
    async def submit(
        self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncTaskHandle[R]: ...
    async def submit(
        self, work: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> AsyncTaskHandle[Any]:
        """As `Current.submit`."""
        client = await self._client(self._current.numbered(), {})
        return await client.submit(work, *args, **kwargs)

    async def command(
        self,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        **options: Unpack[OptionArgs],
    ) -> AsyncTaskHandle[int]:
        """As `Current.command`."""
        client = await self._client(self._current.numbered(), options)
        return await client.command(argv, env=env, cwd=cwd)

    async def progress(self, fraction: float | None, text: str = "") -> None:
        """As `quorate.progress`; other coroutines get their turn."""
        self._current.progress(fraction, text)
        await asyncio.sleep(0)

    def options(self, **options: Unpack[OptionArgs]) -> AsyncCurrent:
        """The same with options for what is added, such as `retries=3`."""
        return AsyncCurrent(self._current, {**self._options, **options})

    async def _client(self, numbered: OptionArgs, options: OptionArgs) -> AsyncClient:
        client = await _loops_client()
        queue = self._current.queue
        if not queue:
            job, dot, _ = self.task_id.partition(".")
            found = await (client.job(job).job() if dot else client.get(job).task())
            queue = self._current.queue = found.queue
        given: dict[str, Any] = {**numbered, **self._options, **options}
        given["queue"] = queue
        return client.options(**given).adding_to(self._current.parent)


# One client for each event loop that runs: a worker makes a loop for each call.
_clients: WeakKeyDictionary[
    asyncio.AbstractEventLoop, tuple[AsyncClient, AsyncGenerator[AsyncClient]]
] = WeakKeyDictionary()


async def _opened() -> AsyncGenerator[AsyncClient]:
    from quorate.client.aio import AsyncClient

    async with AsyncClient() as client:
        yield client


async def _loops_client() -> AsyncClient:
    """The client of this loop. Closed when `asyncio.run` closes the loop's generators."""
    loop = asyncio.get_running_loop()
    known = _clients.get(loop)
    if known is None:
        generator = _opened()
        # Nothing is awaited before it yields: no other coroutine opens one meanwhile.
        client = await anext(generator)
        known = _clients[loop] = (client, generator)
    return known[0]


def async_current() -> AsyncCurrent:
    """The attempt that this process runs, for a coroutine. Raises RuntimeError, as `current`."""
    return AsyncCurrent(current())
