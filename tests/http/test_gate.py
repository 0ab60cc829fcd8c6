"""The gate: where requests may not go, however the way there is written."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import ClientSession
from yarl import URL

from rxorch.errors import ApiAddressRefusedError, ApiConfigurationError, ApiNetworkError
from rxorch.http import AioHttpTransport, Request
from rxorch.http.gate import AddressGate
from tests.conftest import ServeLoopback
from tests.http.conftest import MakeTransport

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
]
REFUSED = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:5ef5:79fd::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "4000::1",
    "localhost",
    "1",
    "0177.0.0.1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressGate().allows(address)
    assert not AddressGate(deny_networks=[address]).allows(address)


@pytest.mark.parametrize("address", REFUSED)
def test_all_others_are_refused(address: str) -> None:
    assert not AddressGate().allows(address)


def test_exceptions_both_ways() -> None:
    gate = AddressGate(allow_networks=["10.0.0.0/8", "fd00::/8"], deny_networks=["10.9.0.0/16", "8.8.8.0/24"])
    allowed = ["10.1.2.3", "fd00::1", "9.9.9.9"]
    refused = ["10.9.0.1", "8.8.8.8", "192.168.0.1", "::ffff:10.1.2.3"]
    assert [gate.allows(address) for address in allowed] == [True] * 3
    assert [gate.allows(address) for address in refused] == [False] * 4


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example.com/", True),
        ("https://API.example.com./", True),
        ("https://a.b.example.org/", True),
        ("https://b\u00fccher.example/", True),
        ("http://[2606:4700::1]/", True),
        ("https://example.org/", False),
        ("https://evilexample.org/", False),
        ("https://api.example.com.evil.net/", False),
        ("https://8.8.8.8/", False),
    ],
)
def test_hosts(url: str, allowed: bool) -> None:
    names = ["api.example.com", "*.example.org", "b\u00fccher.example", "2606:4700::1"]
    gate = AddressGate(allow_hosts=names)
    if allowed:
        gate.check(URL(url))
        return
    with pytest.raises(ApiAddressRefusedError, match="the host of the url is not allowed"):
        gate.check(URL(url))


def test_no_host_at_all() -> None:
    with pytest.raises(ApiAddressRefusedError):
        AddressGate(allow_hosts=[]).check(URL("https://example.com/"))


def test_ports() -> None:
    gate = AddressGate(ports=[443, 8443])
    gate.check(URL("https://example.com/"))
    gate.check(URL("http://example.com:8443/"))
    for url in ("http://example.com/", "https://example.com:22/"):
        with pytest.raises(ApiAddressRefusedError, match="the port of the url is not allowed"):
            gate.check(URL(url))


@pytest.mark.parametrize(
    "options",
    [
        {"allow_hosts": "example.com"},
        {"allow_hosts": ["https://example.com"]},
        {"allow_hosts": ["*"]},
        {"allow_hosts": ["a@b"]},
        {"allow_hosts": [7]},
        {"allow_networks": "10.0.0.0/8"},
        {"deny_networks": ["10.0.0.1/8"]},
        {"deny_networks": ["example.com"]},
        {"ports": ["443"]},
        {"ports": [70_000]},
    ],
)
def test_what_is_no_host_network_or_port(options: dict[str, Any]) -> None:
    with pytest.raises(ApiConfigurationError, match=r"^gate: "):
        AddressGate(**options)


async def refused(transport: AioHttpTransport, url: str) -> ApiAddressRefusedError:
    request = Request("GET", URL(url, encoded=True), {"Authorization": "Bearer hunter2"}, endpoint="user")
    with pytest.raises(ApiAddressRefusedError) as caught:
        await transport.send(request)
    assert (request.sent, transport.sends, caught.value.endpoint) == (False, 0, "user")
    return caught.value


HOSTS = ["127.0.0.1", "localhost", "0x7f.1", "0x7f000001", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
"""Ways to write an address of this machine that do lead there, where nothing is in the way."""


@pytest.mark.parametrize("host", [*HOSTS, "[::1]", "[64:ff9b::7f00:1]", "169.254.169.254"])
async def test_no_way_leads_past_the_gate(
    loopback: ServeLoopback, make_transport: MakeTransport, host: str
) -> None:
    server = await loopback({"GET /x": 204})
    port = server.url.rpartition(":")[2]
    error = await refused(make_transport(gate=AddressGate()), f"http://{host}:{port}/x?token=hunter2")
    assert "the address of the host is not allowed" in str(error)
    assert "hunter2" not in str(error)
    assert server.connections_made == 0


@pytest.mark.parametrize(
    "host", ["2130706433", "0177.0.0.1", "127.1", "017700000001", "localhost.", "127.0.0.1."]
)
async def test_numbers_that_a_resolver_would_take_for_an_address(
    loopback: ServeLoopback, make_transport: MakeTransport, host: str
) -> None:
    server = await loopback({"GET /x": 204})
    port = server.url.rpartition(":")[2]
    with pytest.raises((ApiAddressRefusedError, ApiNetworkError)):
        url = URL(f"http://{host}:{port}/x", encoded=True)
        await make_transport(gate=AddressGate()).send(Request("GET", url))
    assert server.connections_made == 0


async def test_a_name_that_points_elsewhere_the_second_time(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    server = await loopback({"GET /x": 204})
    port = int(server.url.rpartition(":")[2])
    transport = make_transport(
        gate=AddressGate(allow_networks=["127.0.0.1"]), dns_ttl=0, connection_reuse=False
    )
    answers = iter(["127.0.0.1", "127.0.0.2"])

    def look_up(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    transport._resolver._getaddrinfo = look_up
    url = f"http://rebinding.test:{port}/x"
    assert (await transport.send(Request("GET", URL(url)))).status == 204
    transport._connector.clear_dns_cache()  # type: ignore[union-attr]
    with pytest.raises(ApiAddressRefusedError):
        await transport.send(Request("GET", URL(url)))
    assert server.total == 1


async def test_of_several_addresses_only_those_allowed_are_tried(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    server = await loopback({"GET /x": 204})
    port = int(server.url.rpartition(":")[2])
    transport = make_transport(gate=AddressGate(allow_networks=["127.0.0.1"]))

    def look_up(*_: Any, **__: Any) -> list[Any]:
        addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    transport._resolver._getaddrinfo = look_up
    assert (await transport.send(Request("GET", URL(f"http://many.test:{port}/x")))).status == 204


async def test_several_addresses_and_none_allowed(make_transport: MakeTransport) -> None:
    transport = make_transport(gate=AddressGate())

    def look_up(*_: Any, **__: Any) -> list[Any]:
        four = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{n}", 0)) for n in range(3)]
        return [*four, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", 0, 0, 0))]

    transport._resolver._getaddrinfo = look_up
    await refused(transport, "http://many.test/")


async def test_hosts_are_checked_before_they_are_looked_up(make_transport: MakeTransport) -> None:
    transport = make_transport(gate=AddressGate(allow_hosts=["example.com"]))
    for _ in range(2):
        await refused(transport, "http://secret.internal.invalid/")
    with pytest.raises(ApiAddressRefusedError):
        async with transport.stream(Request("GET", URL("http://secret.internal.invalid/"))):
            pass


async def test_the_gate_stands_behind_a_session_too(
    loopback: ServeLoopback, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = ClientSession._request

    async def wrapped(self: ClientSession, *args: Any, **options: Any) -> Any:
        return await shipped(self, *args, **options)

    monkeypatch.setattr(ClientSession, "_request", wrapped)
    server = await loopback({"GET /x": 204})
    await refused(make_transport(gate=AddressGate()), server.url + "/x")
    assert server.connections_made == 0


@pytest.mark.parametrize("host", HOSTS)
async def test_without_a_gate_they_all_lead_there(
    loopback: ServeLoopback, transport: AioHttpTransport, host: str
) -> None:
    server = await loopback({"GET /x": 204})
    url = f"http://{host}:{server.url.rpartition(':')[2]}/x"
    assert (await transport.send(Request("GET", URL(url, encoded=True)))).status == 204
