"""`@quorate.task`: a function that knows how it wants to be run on a cluster.

    @quorate.task(retries=3, timeout=60, queue="mail")
    def send(address): ...

    send("a@example.org")                 # here, as ever
    send.submit("a@example.org").result() # on the cluster
    list(send.map(addresses))

`@quorate.schedule`: when it is to run by itself, once `client.schedules.apply` was called with it.

    @quorate.schedule("nightly", cron="30 2 * * *")
    @quorate.task(retries=3)
    def report(): ...

`submit` and `map` use the client given to `on(client)`, else one that is opened for the process
when first needed (address as in `Client()`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.specs import ArrayOptions
from quorate.client.shared import process_client
from quorate.client.work.by_value import goes_by_value, register
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.schedules import DECLARED, Declared, ScheduleArgs
from quorate.client.work.specs import named

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function with options. Calling it calls the function, here and now.

    It pickles as functions do: by the name under which its module has it. What `on` and `but` made
    of that one carries its options along; a client stays behind, so that the copy uses the client
    of its process.
    """

    __wrapped__: Callable[P, R]
    __qualname__: str

    def __init__(
        self, function: Callable[P, R], options: TaskOptions, client: Client | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self.options = options
        self._client = client

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> str | tuple[Any, ...]:
        name: str = self.__qualname__
        found = named(self.__module__, name)
        if found is self:
            return name
        if isinstance(found, Task) and found.__wrapped__ is self.__wrapped__:
            return _variant, (found, self.options)
        return _by_value(self)

    def __repr__(self) -> str:
        return f"<quorate.task {self.__wrapped__.__module__}:{self.__wrapped__.__qualname__}>"

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """As `Client.submit`, with this task's options."""
        return self._bound().submit(self.__wrapped__, *args, **kwargs)

    def map(
        self, items: Iterable[Any], *, chunk: int | None = None, timeout: float | None = None
    ) -> Iterator[R]:
        """As `Client.map`, with this task's options."""
        return self._bound().map(self.__wrapped__, items, chunk=chunk, timeout=timeout)

    def array(
        self,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        **options: Unpack[ArrayOptions],
    ) -> JobHandle[R]:
        """As `Client.array`, with this task's options."""
        return self._bound().array(self.__wrapped__, items, count=count, **options)

    def on(self, client: Client) -> Task[P, R]:
        """The same, submitted through `client`."""
        return Task(self.__wrapped__, self.options, client)

    def but(self, **changes: Unpack[OptionArgs]) -> Task[P, R]:
        """The same with other options."""
        return Task(self.__wrapped__, self.options.but(changes), self._client)

    def _bound(self) -> Client:
        return (self._client or process_client()).with_options(self.options)


def _variant(base: Task[P, R], options: TaskOptions) -> Task[P, R]:
    return Task(base.__wrapped__, options)


def _by_value(self: Task[P, R]) -> tuple[Any, ...]:
    return Task, (self.__wrapped__, self.options)


def _for_node(self: Task[P, R]) -> str | tuple[Any, ...]:
    """How cloudpickle sends it: by value where a node cannot import its module."""
    return _by_value(self) if goes_by_value(self.__module__) else self.__reduce__()


register(Task, _for_node)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[OptionArgs]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(function: Callable[P, R] | None = None, /, **options: Unpack[OptionArgs]) -> Any:
    """Decorate a function; see the module. Options are those of `TaskOptions`."""
    chosen = TaskOptions().but(options)
    if function is not None:
        return Task(function, chosen)
    return lambda decorated: Task(decorated, chosen)


F = TypeVar("F", bound=Callable[..., Any])


def schedule(
    name: str,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **when: Unpack[ScheduleArgs],
) -> Callable[[F], F]:
    """Declare a schedule of a function, or of a `Task` with its options; see `ScheduleArgs`.

    Nothing is sent: `client.schedules.apply(function)` creates the schedule, or changes it.
    """
    declared = Declared(name, args, kwargs or {}, when)

    def decorate(function: F) -> F:
        setattr(function, DECLARED, declared)
        return function

    return decorate
