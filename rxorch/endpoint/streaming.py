"""Answers that are read piece by piece: one attempt as an observable of what it brings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Final

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.exchange import aside
from rxorch.errors import ApiResponseTooLargeError
from rxorch.http.elements import ServerSentEvent, decoder_of, elements
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse
from rxorch.http.transport import StreamingTransport
from rxorch_operators import from_async_iterable
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage

if TYPE_CHECKING:
    from rxorch.endpoint.call import Call
    from rxorch.http.request import Request

__all__ = ["LAST_EVENT_ID", "ElementStream"]

LAST_EVENT_ID: Final = "Last-Event-ID"
_EXCERPT: Final = 64 * 1024
"""How much is read of an answer that is no success, in bytes."""


class ElementStream(Stage[Any]):
    """One attempt of a call: emits the elements of the answer as they come and as they are wanted."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return as_stage(from_async_iterable(_read(self.call))).attach(sink, scheduler)


async def _read(call: Call) -> AsyncIterator[Any]:
    runtime = call.runtime
    request, seen = await runtime.begin(call)
    async with AsyncExitStack() as stack:

        async def open_answer(call: Call, request: Request) -> StreamedResponse:
            await stack.aclose()  # of the hop before
            return await _opened(call, request, stack)

        if runtime.exchange is None:
            response = await open_answer(call, request)
        else:
            response = await runtime.exchange.answer(call, request, open_answer)
        if not response.ok:
            raise runtime.refusal(call, await _excerpt(response))
        decoder = decoder_of(runtime.endpoint.stream or "bytes", runtime.endpoint.max_element_bytes)
        found = await stack.enter_async_context(aclosing(elements(response.pieces, decoder)))
        async for element in found:
            if type(element) is ServerSentEvent:
                # An id that no header can hold cannot be asked for again.
                call.last_event_id = element.id if element.id.isprintable() else ""
                if element.retry is not None:
                    call.reconnect = element.retry / 1000
            call.emitted += 1
            yield runtime.shaped(call, element)
    if runtime.hooks is not None:
        await aside(runtime.hooks.after(seen, None), call)


async def _opened(call: Call, request: Request, stack: AsyncExitStack) -> StreamedResponse:
    transport = call.runtime.caller.transport
    call.request = request
    call.tried.append(request)
    try:
        if isinstance(transport, StreamingTransport):
            response = await stack.enter_async_context(transport.stream(request))
        else:
            response = _whole(await transport.send(request))
    except ApiResponseTooLargeError:
        call.answered += 1
        raise
    finally:
        call.runtime.sends += request.sent
    call.answered += 1
    call.status_code = response.status
    call.headers = response.headers
    return response


def _whole(response: Response) -> StreamedResponse:
    async def pieces() -> AsyncIterator[bytes]:
        if response.content:
            yield response.content

    return StreamedResponse(
        response.status, pieces(), response.headers, reason=response.reason, url=response.url
    )


async def _excerpt(response: StreamedResponse) -> Response:
    content = bytearray()
    async for piece in response.pieces:
        content += piece
        if len(content) >= _EXCERPT:
            break
    return Response(
        response.status, bytes(content), response.headers, reason=response.reason, url=response.url
    )
