"""``poll``: what an endpoint gives, asked for again and again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, Final

from reactivex import Observable

from rxorch.endpoint import APIEndpoint, Caller, EndpointCall, InSession, uncancelled
from rxorch.endpoint.call import LOOSE
from rxorch.endpoint.values import check_parser
from rxorch.errors import ApiConfigurationError, ApiError
from rxorch_operators import from_async_iterable, last_of
from rxorch_operators.core.stage import as_stage

__all__ = ["poll"]

_NOTHING: Final = object()


def poll(
    client: Caller,
    endpoint: APIEndpoint,
    data: Any = None,
    *,
    every: float,
    until: Callable[[Any], object] | None = None,
    changed: bool | Callable[[Any], Any] = False,
    max_calls: int | None = None,
    on_error: Callable[[ApiError], object] | None = None,
) -> Observable[Any]:
    """Calls an endpoint every so many seconds and emits what it gives.

    Each call is an ordinary one: retries, limits, breaker, credentials and events are those of the endpoint.
    There is never more than one, and none while the consumer has no room; a call or a consumer that takes
    longer than `every` delays the next and is not made up for.

    Args:
        client: What calls.
        endpoint: What is called.
        data: Of each call.
        every: Seconds from the beginning of one call to that of the next, above 0. The first is made at once.
        until: A function of a value; after the first one for which it holds the polling ends.
        changed: Emit only values that differ from the last one that was emitted; a function says by what:
            `lambda page: page["version"]`.
        max_calls: Calls at most, None for no limit.
        on_error: Called with the error of a call that failed; the polling goes on. Without it the error ends
            it.

    Emits: values. Completes after the one that `until` holds for, or after `max_calls`.
    Errors: that of a call that failed, without `on_error`; what `until`, `changed` or `on_error` raise.
    Disposal: cancels the call or the wait.

    Raises:
        ApiConfigurationError: An argument that cannot work.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, ApiClient
    >>> from rxorch import operators as rxo
    >>> from rxorch.testing import MockTransport
    >>> job = APIEndpoint(name="job", url="https://api.example.com/jobs/{id}")
    >>> async def main():
    ...     transport = MockTransport({"job": [{"state": "running"}, {"state": "done"}]})
    ...     async with ApiClient(transport) as client:
    ...         states = poll(client, job, {"id": 7}, every=0.01, until=lambda job: job["state"] == "done")
    ...         return [job["state"] async for job in rxo.to_async_iterable(states)]
    >>> asyncio.run(main())
    ['running', 'done']
    """
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0 < every < math.inf:
        raise ApiConfigurationError("every: give seconds above 0")
    if max_calls is not None and (type(max_calls) is not int or max_calls < 1):
        raise ApiConfigurationError("max_calls: give a whole number, 1 or more, or None")
    if endpoint.stream is not None:
        raise ApiConfigurationError("a stream sends by itself; observe it as it is", endpoint=endpoint.name)
    for label, function in (("until", until), ("changed", changed), ("on_error", on_error)):
        if not isinstance(function, bool | None):
            check_parser(function, label=label)
    polled = _Polled(client, endpoint, data, every, until, changed, max_calls, on_error)
    return InSession(as_stage(from_async_iterable(polled)), client)


class _Polled(AsyncIterable[Any]):
    def __init__(
        self,
        client: Caller,
        endpoint: APIEndpoint,
        data: Any,
        every: float,
        until: Callable[[Any], object] | None,
        changed: bool | Callable[[Any], Any],
        max_calls: int | None,
        on_error: Callable[[ApiError], object] | None,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._data = data
        self._every = every
        self._until = until
        self._changed = changed
        self._max_calls = math.inf if max_calls is None else max_calls
        self._on_error = on_error

    async def __aiter__(self) -> AsyncGenerator[Any]:
        loop = asyncio.get_running_loop()
        last: Any = _NOTHING
        calls = 0
        while True:
            began = loop.time()
            calls += 1
            value = await self._called()
            if value is not _NOTHING:
                mark = self._mark(value)
                if self._changed is False or last is _NOTHING or mark != last:
                    last = mark
                    yield value
                if self._until is not None and uncancelled(self._until, value):
                    return
            if calls >= self._max_calls:
                return
            await asyncio.sleep(max(0.0, began + self._every - loop.time()))

    async def _called(self) -> Any:
        try:
            return await last_of(EndpointCall(self._client.runtime(self._endpoint), self._data, LOOSE))
        except ApiError as error:
            if self._on_error is None:
                raise
            uncancelled(self._on_error, error)
            return _NOTHING

    def _mark(self, value: Any) -> Any:
        return uncancelled(self._changed, value) if callable(self._changed) else value
