"""Name lookups: shared per host, and a hanging one in nobody's way."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rxorch.http.resolver import HostResolver


class Names:
    """A getaddrinfo whose lookups of ``slow...`` hang until they are let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[str] = []
        self.done = threading.Semaphore(0)

    def __call__(self, host: str, port: object, **options: Any) -> list[Any]:
        self.asked.append(host)
        try:
            if host.startswith("slow"):
                assert self.gate.wait(20)
            if host.startswith("unknown"):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            if host.startswith("bad"):
                raise UnicodeError("label too long")
            v4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
            v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 3))
            return [v4, v6]
        finally:
            self.done.release()


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.gate.set()


async def test_addresses_carry_port_and_interface(names: Names) -> None:
    found = await HostResolver(getaddrinfo=names).resolve("host", 8080)
    assert [(item["hostname"], item["host"], item["port"], item["family"]) for item in found] == [
        ("host", "192.0.2.1", 8080, socket.AF_INET),
        ("host", "fe80::1%3", 8080, socket.AF_INET6),
    ]


async def test_many_hanging_hosts_do_not_hold_up_another(names: Names) -> None:
    resolver = HostResolver(getaddrinfo=names)
    hanging = [asyncio.ensure_future(resolver.resolve(f"slow{n}", 80)) for n in range(100)]
    found = await resolver.resolve("quick", 80)
    assert found[0]["host"] == "192.0.2.1"
    assert not any(task.done() for task in hanging)
    # A thread that is no daemon would keep the process from ending.
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("dns-slow")]
    assert [thread.daemon for thread in threads] == [True] * 100
    names.gate.set()
    await asyncio.gather(*hanging)


async def test_who_asks_for_the_same_host_shares_one_lookup(names: Names) -> None:
    resolver = HostResolver(getaddrinfo=names)
    waiting = [asyncio.ensure_future(resolver.resolve("slow", port)) for port in (80, 443, 80)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    names.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [result[0]["port"] for result in results[1:]] == [443, 80]  # type: ignore[index]
    assert names.asked == ["slow"]
    await resolver.resolve("slow", 80)
    assert names.asked == ["slow", "slow"]


@pytest.mark.parametrize("host", ["unknown", "bad"])
async def test_a_name_that_cannot_be_found_is_an_os_error(names: Names, host: str) -> None:
    resolver = HostResolver(getaddrinfo=names)
    for _ in range(2):
        with pytest.raises(OSError):
            await resolver.resolve(host, 80)
    assert len(names.asked) == 2


async def test_an_error_that_nobody_waits_for_any_more_is_not_reported(names: Names) -> None:
    resolver = HostResolver(getaddrinfo=names)
    task = asyncio.ensure_future(resolver.resolve("slow", 80))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await resolver.close()
    names.gate.set()
    await asyncio.to_thread(names.done.acquire)


async def test_too_many_at_a_time_fail_at_once(names: Names) -> None:
    resolver = HostResolver(max_lookups=2, getaddrinfo=names)
    hanging = [asyncio.ensure_future(resolver.resolve(f"slow{n}", 80)) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="2 name lookups"):
        await resolver.resolve("third", 80)
    names.gate.set()
    await asyncio.gather(*hanging)
    assert await resolver.resolve("third", 80)


async def test_close_ends_the_wait(names: Names) -> None:
    resolver = HostResolver(getaddrinfo=names)
    task = asyncio.ensure_future(resolver.resolve("slow", 80))
    await asyncio.sleep(0)
    await resolver.close()
    with pytest.raises(OSError, match="closed"):
        await task


def test_a_lookup_that_outlives_its_loop_ends_quietly(names: Names) -> None:
    async def ask() -> None:
        task = asyncio.ensure_future(HostResolver(getaddrinfo=names).resolve("slow", 80))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(ask())
    names.gate.set()
    assert names.done.acquire(timeout=20)


async def test_the_system_knows_localhost() -> None:
    found = await HostResolver().resolve("localhost", 80)
    assert {item["host"] for item in found} & {"127.0.0.1", "::1"}
