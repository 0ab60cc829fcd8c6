"""Servers that say too much, too late, or close when a request comes: each answer goes to its own request."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from yarl import URL

from rxorch.errors import ApiNetworkError
from rxorch.http import Request
from tests.http.conftest import BOTH, AnyTransport, MakeTransport, make_by_name
from tests.http.raw import ok

KINDS = BOTH


class Server(asyncio.Protocol):
    """One connection of a server that calls ``answer(self, path)`` for each request."""

    def __init__(self, answer: Callable[[Server, bytes], None], open_: set[Server]) -> None:
        self.asked = 0
        """Requests on this connection so far."""
        self._answer = answer
        self._open = open_
        self._read = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            if b"content-length: 4" in head.lower():
                assert self._read.startswith(b"body")  # it comes in one piece with its head
                self._read = self._read[4:]
            self.asked += 1
            self._answer(self, head.split(b" ")[1])

    def send(self, data: bytes, turns: int = 0) -> None:
        """Write ``data``, now or some turns of the event loop later."""
        if turns:
            asyncio.get_running_loop().call_soon(self.send, data, turns - 1)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self, turns: int = 0) -> None:
        """End the connection, now or some turns of the event loop later."""
        if turns:
            asyncio.get_running_loop().call_soon(self.close, turns - 1)
        else:
            self._transport.close()


@asynccontextmanager
async def served(answer: Callable[[Server, bytes], None]) -> AsyncIterator[str]:
    """The url of a server that answers in this way; what is open at the end is closed."""
    open_: set[Server] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(answer, open_), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        while open_:
            for connection in list(open_):
                connection.close()
            await asyncio.sleep(0)


def talkative(chance: random.Random, *, later: bool) -> Callable[[Server, bytes], None]:
    """Answer each request with its path, and in every second case say more than was asked for.

    Args:
        chance: what decides.
        later: some of it is said when the answer is out and the next request may be, too. No client can tell
            that from the answer to the next request, if it keeps the connection.
    """

    def answer(server: Server, path: bytes) -> None:
        whim = chance.random()
        if path.startswith(b"/never"):
            server.send(ok(b"late " + path), turns=chance.randrange(6))
        elif whim < 0.2:
            server.send(ok(path) + ok(b"unasked"))
        elif whim < 0.4:
            server.send(ok(path))
            server.send(ok(b"unasked"))
        elif whim < 0.5 and later:
            server.send(ok(path))
            server.send(ok(b"unasked"), turns=chance.randrange(6))
        else:
            server.send(ok(path))

    return answer


async def give_up(transport: AnyTransport, url: str, turns: int) -> None:
    """Send a request, and cancel it so many turns of the event loop later."""
    task = asyncio.ensure_future(transport.send(Request("GET", URL(url))))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def wrong_answers(transport: AnyTransport, url: str, numbers: range) -> int:
    """Send requests one after another, give up every tenth, and count the answers that are not theirs."""
    wrong = 0
    for number in numbers:
        if number % 10 == 0:
            await give_up(transport, f"{url}/never{number}", turns=number // 10 % 12)
        try:
            response = await transport.send(Request("GET", URL(f"{url}/{number}")))
        except ApiNetworkError:  # nothing, rather than something wrong
            continue
        wrong += response.content != b"/%d" % number
    return wrong


@pytest.mark.parametrize("at_once", [1, 20])
async def test_no_wrong_answer_in_10_000_by_default(kind: str, at_once: int) -> None:
    """pyreqwest keeps no connection by default, and so can be told anything; aiohttp sees what is there."""
    transport = make_by_name(kind)
    async with served(talkative(random.Random(7), later=kind == "pyreqwest")) as url:
        wrong = await asyncio.gather(
            *(wrong_answers(transport, url, range(first, 5_000, at_once)) for first in range(at_once))
        )
        await transport.aclose()
    assert sum(wrong) == 0
    assert transport.sends >= 5_000


async def test_no_wrong_answer_without_reuse_whatever_is_said(make_transport: MakeTransport) -> None:
    transport = make_transport(connection_reuse=False)
    async with served(talkative(random.Random(7), later=True)) as url:
        assert await wrong_answers(transport, url, range(2_000)) == 0
        await transport.aclose()


class Ledger:
    """What happened to each request, at the server."""

    def __init__(self, chance: random.Random, *, answers_first: bool) -> None:
        self.executed: Counter[bytes] = Counter()
        self._chance = chance
        self._answers_first = answers_first

    def answer(self, server: Server, path: bytes) -> None:
        self.executed[path] += 1
        if self._chance.random() < 0.7:
            server.send(ok(path))
        elif self._answers_first:  # and goes away while the next request is on its way
            server.send(ok(path))
            server.close(turns=self._chance.randrange(8))
        else:
            server.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("answers_first", [True, False])
async def test_a_server_that_goes_away_sees_each_request_once(
    make_transport: MakeTransport, method: str, answers_first: bool
) -> None:
    transport, ledger = make_transport(), Ledger(random.Random(3), answers_first=answers_first)
    failed: dict[bytes, ApiNetworkError] = {}
    told_apart = 0
    body = b"body" if method == "POST" else None
    async with served(ledger.answer) as url:
        for number in range(1_500):
            path = b"/%d" % number
            request = Request(method, URL(f"{url}/{number}"), body=body)
            try:
                assert (await transport.send(request)).content == path
            except ApiNetworkError as error:
                failed[path] = error
                told_apart += error.sent is not request.sent
        await transport.aclose()
    unsent = sum(not error.sent for error in failed.values())
    assert (transport.sends, told_apart) == (1_500 - unsent, 0)
    assert set(ledger.executed.values()) == {1}
    # An error that says that nothing was sent is believed: the request is repeated.
    assert not [path for path, error in failed.items() if not error.sent and ledger.executed[path]]
    if not answers_first:
        assert transport.sends == ledger.executed.total()
        assert len(failed) > 300
