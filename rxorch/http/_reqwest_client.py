"""Making the client of pyreqwest: everything off that a policy stack must not have below it."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yarl import URL

from rxorch.errors import ApiConfigurationError
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
        builder.proxy(_proxy(proxy))
    _speak_tls(builder, tls or TlsOptions())
    try:
        return builder.build()
    except (import_pyreqwest().PyreqwestError, ValueError, RuntimeError) as failure:
        if "fork" in str(failure):
            raise ApiConfigurationError(
                "pyreqwest was used before this process was forked; start processes by 'spawn'"
            ) from None
        raise ApiConfigurationError("pyreqwest does not accept the certificates or the key of tls") from None


def _seconds(name: str, value: float) -> timedelta:
    if not 0 < value < 10**8:
        raise ApiConfigurationError(f"{name} must be a number of seconds above 0")
    return timedelta(seconds=value)


def _proxy(text: str) -> ProxyBuilder:
    try:
        url = URL(text)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError
        proxy = import_pyreqwest().ProxyBuilder.all(str(url.with_user(None).with_password(None)))
    except ValueError:
        raise ApiConfigurationError("proxy must be a url that begins with http:// or https://") from None
    if url.user is not None or url.password is not None:
        proxy = proxy.basic_auth(url.user or "", url.password or "")
    return proxy


def _speak_tls(builder: ClientBuilder, tls: TlsOptions) -> None:
    if tls.minimum not in ("1.2", "1.3"):
        raise ApiConfigurationError("tls.minimum must be '1.2' or '1.3'")
    if tls.key_password is not None:
        raise ApiConfigurationError("the transport 'pyreqwest' cannot open a key with tls.key_password")
    builder.min_tls_version("TLSv1.2" if tls.minimum == "1.2" else "TLSv1.3")
    builder.danger_accept_invalid_certs(not tls.verify)
    try:
        if tls.ca_file is not None:
            _trust(builder, _file("ca_file", tls.ca_file))
        if tls.certificate is not None:
            identity = _file("certificate", tls.certificate)
            if tls.key is not None:
                identity += b"\n" + _file("key", tls.key)
            builder.identity_pem(identity)
    except ValueError as failure:
        if isinstance(failure, ApiConfigurationError):
            raise
        raise ApiConfigurationError("a file of tls does not hold what it should (PEM)") from None


def _trust(builder: ClientBuilder, pem: bytes) -> None:
    end = b"-----END CERTIFICATE-----"
    certificates = [part + end for part in pem.split(end)[:-1]]
    if not certificates:
        raise ApiConfigurationError("tls.ca_file has no certificate in it (PEM)")
    for certificate in certificates:
        builder.add_root_certificate_pem(certificate[certificate.index(b"-----BEGIN") :])


def _file(name: str, path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as failure:
        raise ApiConfigurationError(f"tls.{name} cannot be read: {failure.strerror}") from None
