"""https: who is trusted, and that a failed handshake sends nothing. The certificate is for 127.0.0.1."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from rxorch.errors import ApiNetworkError
from rxorch.http import AioHttpTransport, Request
from tests.http.conftest import MakeTransport
from tests.http.raw import Peer, RawServer, ok

PEM = Path(__file__).with_name("loopback.pem")


def server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


async def echo_paths(peer: Peer) -> None:
    while True:
        await peer.answer((await peer.request()).split(b" ")[1])


async def test_a_trusted_server_is_called_over_one_connection(make_transport: MakeTransport) -> None:
    transport = make_transport(ssl_context=ssl.create_default_context(cafile=str(PEM)))
    async with RawServer(echo_paths, server_side()) as server:
        for number in range(3):
            response = await transport.send(Request("GET", URL(f"{server.url}/{number}")))
            assert response.content == b"/%d" % number
        assert (transport.sends, server.connections) == (3, 1)
        await transport.aclose()


async def test_session_tickets_on_a_new_connection_are_no_answer(
    make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        accepted, _ = listener.accept()
        with server_side().wrap_socket(accepted, server_side=True) as peer:  # sends two tickets (TLS 1.3)
            peer.recv(65536)
            peer.send(ok(b"hello"))
            peer.recv(1)

    transport = make_transport(ssl_context=ssl.create_default_context(cafile=str(PEM)))
    prepare = transport._prepare

    def wait_for_the_tickets(protocol: Any) -> None:
        select.select([protocol.transport.get_extra_info("socket").fileno()], [], [], 20)
        prepare(protocol)

    monkeypatch.setattr(transport, "_prepare", wait_for_the_tickets)
    thread = threading.Thread(target=serve)
    thread.start()
    url = URL(f"https://127.0.0.1:{listener.getsockname()[1]}/")
    assert (await transport.send(Request("GET", url))).content == b"hello"
    await transport.aclose()
    thread.join()
    listener.close()


async def refused(transport: AioHttpTransport, server: RawServer, host: str = "127.0.0.1") -> ApiNetworkError:
    url = URL(server.url.replace("http://", "https://")).with_host(host)
    request = Request("GET", url, {"Authorization": "Bearer hunter2"})
    with pytest.raises(ApiNetworkError) as caught:
        await transport.send(request)
    assert (caught.value.sent, request.sent, transport.sends) == (False, False, 0)
    return caught.value


async def test_an_unknown_certificate_is_refused_by_default(transport: AioHttpTransport) -> None:
    async with RawServer(echo_paths, server_side()) as server:
        assert "certificate is not trusted" in str(await refused(transport, server))


async def test_a_certificate_for_another_host_is_refused(make_transport: MakeTransport) -> None:
    transport = make_transport(ssl_context=ssl.create_default_context(cafile=str(PEM)))
    async with RawServer(echo_paths, server_side()) as server:
        assert "certificate is not trusted" in str(await refused(transport, server, host="localhost"))


async def test_a_server_without_tls(transport: AioHttpTransport) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(plain) as server:
        assert "TLS handshake failed" in str(await refused(transport, server))
