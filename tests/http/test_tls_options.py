"""TLS from files: who is trusted, who we are, and what is said of files that do not serve."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiNetworkError
from rxorch.http import AioHttpTransport, Request
from rxorch.http.tls import TlsOptions
from tests.http.conftest import MakeTransport
from tests.http.raw import RawServer
from tests.http.test_tls import PEM, echo_paths, server_side

KEY = Path(__file__).with_name("loopback_key.pem")
"""The key of ``loopback.pem``, encrypted."""
PASSWORD = "opensesame"


def asking_who_calls() -> ssl.SSLContext:
    context = server_side()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(PEM)
    return context


def own(tmp_path: Path) -> Path:
    """The certificate of ``loopback.pem`` without its key."""
    text = PEM.read_text()
    start, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    file = tmp_path / "certificate.pem"
    file.write_text(text[text.index(start) : text.index(end)] + end + "\n")
    return file


async def call(transport: AioHttpTransport, server: RawServer) -> bytes:
    content = (await transport.send(Request("GET", URL(server.url + "/path")))).content
    await transport.aclose()
    return content


async def test_whom_the_file_names_is_trusted(make_transport: MakeTransport) -> None:
    async with RawServer(echo_paths, server_side()) as server:
        assert await call(make_transport(tls=TlsOptions(ca_file=PEM)), server) == b"/path"


async def test_nobody_else_is(make_transport: MakeTransport) -> None:
    async with RawServer(echo_paths, server_side()) as server:
        with pytest.raises(ApiNetworkError, match="certificate is not trusted"):
            await call(make_transport(tls=TlsOptions()), server)


async def test_verify_false_trusts_everybody(make_transport: MakeTransport) -> None:
    async with RawServer(echo_paths, server_side()) as server:
        server.url = server.url.replace("127.0.0.1", "localhost")
        assert await call(make_transport(tls=TlsOptions(verify=False)), server) == b"/path"


async def test_a_server_may_ask_who_calls(make_transport: MakeTransport, tmp_path: Path) -> None:
    tls = TlsOptions(ca_file=PEM, certificate=own(tmp_path), key=KEY, key_password=PASSWORD)
    async with RawServer(echo_paths, asking_who_calls()) as server:
        assert await call(make_transport(tls=tls), server) == b"/path"
        assert await call(make_transport(tls=TlsOptions(ca_file=PEM, certificate=PEM)), server) == b"/path"
        with pytest.raises(ApiNetworkError):
            await call(make_transport(tls=TlsOptions(ca_file=PEM)), server)


async def test_an_old_version_is_not_spoken(make_transport: MakeTransport) -> None:
    old = server_side()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with RawServer(echo_paths, old) as server:
        assert await call(make_transport(tls=TlsOptions(ca_file=PEM)), server) == b"/path"
        with pytest.raises(ApiNetworkError, match=r"TLS handshake failed|cannot connect"):
            await call(make_transport(tls=TlsOptions(ca_file=PEM, minimum="1.3")), server)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ca_file": "nowhere.pem"}, "ca_file 'nowhere.pem' cannot be read: No such file"),
        ({"ca_file": __file__}, "ca_file .* holds no certificate"),
        ({"certificate": "nowhere.pem"}, "certificate 'nowhere.pem' cannot be read"),
        ({"certificate": PEM, "key": "nowhere.key"}, "key 'nowhere.key' cannot be read"),
        ({"certificate": __file__}, "certificate .* hold no certificate and key"),
        ({"certificate": PEM, "key": KEY}, "key .* has an encrypted key; give key_password"),
        ({"certificate": PEM, "key": KEY, "key_password": "hunter2"}, "key .* key_password does not open"),
        ({"certificate": PEM, "key": Path(__file__)}, "hold no certificate and key"),
    ],
)
def test_a_file_that_does_not_serve_is_named(options: dict[str, Any], says: str) -> None:
    tls = TlsOptions(**options)
    with pytest.raises(ApiConfigurationError, match=says) as caught:
        AioHttpTransport(tls=tls)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"key": KEY}, {"key_password": "x"}, {"verify": False, "ca_file": PEM}, {"minimum": "1.1"}],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ApiConfigurationError, match=r"^tls: "):
        TlsOptions(**options)


def test_a_context_and_options_are_one_too_many() -> None:
    with pytest.raises(ApiConfigurationError, match="ssl_context or tls"):
        AioHttpTransport(tls=TlsOptions(), ssl_context=ssl.create_default_context())


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(TlsOptions(certificate=PEM, key=KEY, key_password="hunter2"))
