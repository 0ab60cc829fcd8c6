"""Headers that the requests of an endpoint share: their lines are made once for each origin."""

from __future__ import annotations

from yarl import URL

from rxorch.http import AioHttpTransport, Request
from rxorch.http.headers import FrozenHeaders
from tests.http.raw import Peer, RawServer


async def test_they_are_the_same_each_time_and_no_others() -> None:
    """Two mappings in turn, and many that come into the place of dead ones."""
    heads: list[bytes] = []

    async def keep_heads(peer: Peer) -> None:
        while True:
            heads.append(await peer.request())
            await peer.answer()

    transport = AioHttpTransport()
    async with RawServer(keep_heads) as server:
        shared = [FrozenHeaders({"X-Id": str(number)}) for number in range(2)]
        for number in (0, 1, 0, 1, 0):
            await transport.send(Request("GET", URL(server.url), shared[number]))
        for number in range(200):  # more than are kept
            await transport.send(
                Request("POST", URL(server.url), FrozenHeaders({"X-Id": f"n{number}"}), b"x")
            )
        await transport.aclose()
    ids = [line.split(b": ")[1] for head in heads for line in head.split(b"\r\n") if line.startswith(b"X-Id")]
    assert ids == [b"0", b"1", b"0", b"1", b"0", *(b"n%d" % number for number in range(200))]
    assert all(b"Content-Length: 1\r\n" in head for head in heads[5:])
    assert not any(b"Content-Length" in head for head in heads[:5])
