"""Making the client of pyreqwest: everything off that a policy stack must not have below it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rxorch.errors import ApiConfigurationError
from rxorch.http.proxy import Proxy
from rxorch.http.tls import TlsOptions

if TYPE_CHECKING:
    from pyreqwest.client import Client, ClientBuilder
    from pyreqwest.exceptions import PyreqwestError
    from pyreqwest.http import Url
    from pyreqwest.proxy import ProxyBuilder

__all__ = ["build_client", "import_pyreqwest"]


class _Pyreqwest(NamedTuple):
    ClientBuilder: type[ClientBuilder]
    ProxyBuilder: type[ProxyBuilder]
    PyreqwestError: type[PyreqwestError]
    Url: type[Url]


@cache
def import_pyreqwest() -> _Pyreqwest:
    """The parts of pyreqwest that are used here.

    Raises:
        ApiConfigurationError: it is not installed.
    """
    try:
        from pyreqwest.client import ClientBuilder
        from pyreqwest.exceptions import PyreqwestError
        from pyreqwest.http import Url
        from pyreqwest.proxy import ProxyBuilder
    except ImportError:
        raise ApiConfigurationError(
            'the transport "pyreqwest" needs pyreqwest: pip install "rxorch[fast]"'
        ) from None
    return _Pyreqwest(ClientBuilder, ProxyBuilder, PyreqwestError, Url)


def build_client(
    keepalive: float, silence: float, max_idle: int | None, tls: TlsOptions | None, proxy: str | None
) -> Client:
    """A client that sends what it is given, and nothing else.

    Args:
        keepalive: seconds that an idle connection is kept.
        silence: seconds after which a server that says nothing is given up.
        max_idle: most idle connections to a host; None for no limit.
        tls: whom to trust; None trusts what the system trusts.
        proxy: url of a proxy for everything; None for none.

    Raises:
        ApiConfigurationError: a file cannot be read, or an option is not valid.
    """
    builder = import_pyreqwest().ClientBuilder()
    # The thread that all clients share, rather than as many as there are cores: see _reqwest_exit.
    builder.runtime_multithreaded(False)
    builder.no_proxy().follow_redirects(False).referer(False).default_cookie_store(False).http1_only()
    builder.gzip(False).deflate(False).brotli(False).zstd(False)
    builder.pool_idle_timeout(_seconds("keepalive", keepalive))
    builder.read_timeout(_seconds("silence", silence))
    if max_idle is not None:
        builder.pool_max_idle_per_host(max_idle)
    if proxy is not None:
        builder.proxy(_by_way_of(Proxy(proxy)))
    try:
        if tls is not None:
            _speak_tls(builder, tls)
        return builder.build()
    except RuntimeError:
        raise ApiConfigurationError(
            "pyreqwest was used before this process was forked; start processes by 'spawn'"
        ) from None
    except ApiConfigurationError:
        raise
    except (import_pyreqwest().PyreqwestError, ValueError):
        raise ApiConfigurationError("tls: pyreqwest does not accept a certificate or the key") from None


def _seconds(name: str, value: float) -> timedelta:
    if not 0 < value < 10**8:
        raise ApiConfigurationError(f"{name} must be a number of seconds above 0")
    return timedelta(seconds=value)


def _by_way_of(proxy: Proxy) -> ProxyBuilder:
    way = import_pyreqwest().ProxyBuilder.all(str(proxy.url))
    return way.custom_http_auth(proxy.authorization) if proxy.authorization else way


def _speak_tls(builder: ClientBuilder, tls: TlsOptions) -> None:
    if tls.key_password is not None:
        raise ApiConfigurationError("tls: pyreqwest opens no key with key_password; give the key unencrypted")
    tls.context()  # what is wrong with the files is said there
    builder.min_tls_version("TLSv1.2" if tls.minimum == "1.2" else "TLSv1.3")
    builder.danger_accept_invalid_certs(not tls.verify)
    if tls.ca_file is not None:
        for certificate in _certificates(Path(tls.ca_file).read_bytes()):
            builder.add_root_certificate_pem(certificate)
    if tls.certificate is not None:
        identity = Path(tls.certificate).read_bytes()
        if tls.key is not None:
            identity += b"\n" + Path(tls.key).read_bytes()
        builder.identity_pem(identity)


def _certificates(pem: bytes) -> Iterator[bytes]:
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    for part in pem.split(begin)[1:]:
        yield begin + part.partition(end)[0] + end
