"""The services count every request whose head reached them, whatever the client does next."""

from __future__ import annotations

import asyncio
import socket
import struct
from urllib.parse import urlsplit

import aiohttp
import pytest

from rxorch.demo.shop import Faults, Shop

HEAD = b"GET /users/%d HTTP/1.1\r\nHost: shop\r\nX-Order-Id: order-%06d\r\n\r\n"


def knock(shop: Shop, service: str = "users") -> socket.socket:
    """A plain connection: nothing between the test and the wire that would repeat or hold back a request."""
    url = urlsplit(shop.urls[service])
    return socket.create_connection((url.hostname, url.port), timeout=20)


def close_with_reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [socket.socket.close, close_with_reset])
async def test_clients_that_leave_at_once_are_counted(shop: Shop, leave: object) -> None:
    assert callable(leave)
    for number in range(1, 301):
        connection = knock(shop)
        connection.sendall(HEAD % (number, number))
        leave(connection)
    stats = await shop.stats()
    users = stats.services["users"]
    assert (users.requests, users.connections, users.in_flight) == (300, 300, 0)
    assert sum(users.endings.values()) == 300
    assert users.endings["gone"] > 0


async def test_a_head_in_two_parts_counts_once_and_half_a_head_not_at_all(shop: Shop) -> None:
    with knock(shop) as whole, knock(shop) as half:
        head = HEAD % (1, 1)
        whole.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole.sendall(head[:20])
        half.sendall(head[:-2])
        assert (await shop.stats()).requests == 0
        whole.sendall(head[20:])
        assert await asyncio.to_thread(whole.recv, 15) == b"HTTP/1.1 200 OK"
    assert (await shop.stats()).requests == 1


async def test_pipelined_requests_count_each(shop: Shop) -> None:
    with knock(shop) as connection:
        connection.sendall(b"".join(HEAD % (number, number) for number in range(1, 6)))
        while (await shop.stats()).services["users"].endings.get("200", 0) < 5:
            pass
    users = (await shop.stats()).services["users"]
    assert (users.requests, dict(users.endings), users.peak) == (5, {"200": 5}, 5)


async def test_pipelined_requests_of_a_client_that_left_are_not_in_flight() -> None:
    async with Shop(faults=Faults.none(latency=30)) as shop:
        with knock(shop) as connection:
            connection.sendall(b"".join(HEAD % (number, number) for number in range(1, 6)))
            while (await shop.stats(settled=False)).in_flight < 5:
                pass
        stats = await shop.stats()
    assert (stats.in_flight, dict(stats.services["users"].endings)) == (0, {"gone": 5})


async def test_settled_counts_wait_for_what_is_under_way() -> None:
    async with Shop(faults=Faults.none(latency=0.3)) as shop:
        with knock(shop) as connection:
            connection.sendall(HEAD % (1, 1))
            stats = await shop.stats()
    assert (stats.in_flight, dict(stats.services["users"].endings)) == (0, {"200": 1})


async def test_what_is_not_http_counts_as_a_400(shop: Shop) -> None:
    with knock(shop) as connection:
        connection.sendall(b"what is this\r\n\r\n")
        assert (await asyncio.to_thread(connection.recv, 100)).startswith(b"HTTP/1.0 400")
    assert dict((await shop.stats()).services["users"].endings) == {"400": 1}


async def test_an_unknown_path_is_counted(shop: Shop) -> None:
    async with aiohttp.request("GET", shop.urls["users"] + "/nothing") as response:
        assert response.status == 404
    assert dict((await shop.stats()).services["users"].endings) == {"404": 1}


async def test_in_flight_and_peaks_are_what_the_clients_did() -> None:
    async with Shop(faults=Faults.none(latency=30)) as shop:
        connections = [knock(shop) for _ in range(7)] + [knock(shop, "fraud")]
        for number, connection in enumerate(connections):
            # Two requests belong to order 0: users and fraud.
            connection.sendall(HEAD % (1, number % 7))
        while (stats := await shop.stats(settled=False)).in_flight < 8:
            pass
        assert (stats.peak, stats.orders_peak) == (8, 7)
        assert (stats.services["users"].in_flight, stats.services["users"].peak) == (7, 7)
        for connection in connections:
            connection.close()
        stats = await shop.stats()
        assert (stats.in_flight, stats.peak) == (0, 8)
        assert stats.services["users"].endings == {"gone": 7}


async def test_asking_for_the_counts_changes_nothing_and_reset_clears_all(shop: Shop) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(shop.urls["payment"] + "/charges", json={"order": "o", "amount_cents": 1}):
            pass
        assert (await shop.stats()) == (await shop.stats())
        await shop.reset()
        stats = await shop.stats()
        assert (stats.requests, stats.peak, dict(stats.effects), dict(stats.charged)) == (0, 0, {}, {})
