"""Which proxy a request goes through, and with which credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.request import getproxies_environment

from aiohttp import encode_basic_auth
from yarl import URL

from rxorch.errors import ApiConfigurationError

__all__ = ["Proxies", "Proxy", "proxies"]

_SCHEMES: Final = ("http", "https", "all")


class Proxy:
    """A proxy, its credentials apart from its url, so that no message shows them.

    Attributes:
        url: where it is.
        authorization: value of the Proxy-Authorization header; empty without credentials.
    """

    __slots__ = ("authorization", "url")

    def __init__(self, text: str) -> None:
        try:
            url = URL(text)
        except (ValueError, TypeError):
            raise ApiConfigurationError("proxy: not a url, such as http://user:password@host:3128") from None
        if url.scheme != "http" or not url.host or url.path not in ("", "/") or url.query or url.fragment:
            # It is not shown: what a "/" or "?" in the password makes of it is not what was meant.
            raise ApiConfigurationError(
                "proxy: not a url of the form http://user:password@host:port (percent-encode what has a "
                "meaning in urls: %2F for a slash)"
            )
        self.authorization = ""
        if url.user is not None or url.password is not None:
            try:
                self.authorization = encode_basic_auth(url.user or "", url.password or "", "utf-8")
            except ValueError:
                raise ApiConfigurationError("proxy: its user name has a colon") from None
        self.url = url.origin()

    def __repr__(self) -> str:
        return f"<Proxy {self.url}>"


class Proxies:
    """The proxies of a transport, by the scheme of the url that is called.

    Args:
        by_scheme: a proxy for ``"http"``, for ``"https"``, for ``"all"`` that have none of their own.
        no_proxy: hosts that are called without one; see ``AioHttpTransport``.
    """

    __slots__ = ("_by_scheme", "_hosts", "_networks")

    def __init__(self, by_scheme: Mapping[str, str], no_proxy: Iterable[str]) -> None:
        if not isinstance(by_scheme, Mapping):
            raise ApiConfigurationError("proxy: give a url, urls by scheme, or None")
        if set(by_scheme) - set(_SCHEMES):
            raise ApiConfigurationError('proxy: its keys are "http", "https" and "all"')
        self._by_scheme = {scheme: Proxy(text) for scheme, text in by_scheme.items()}
        if isinstance(no_proxy, str):
            raise ApiConfigurationError("no_proxy is a list of hosts")
        entries = [_entry(entry) for entry in no_proxy if entry.strip()]
        networks = {entry: network for entry in entries if (network := _network(entry)) is not None}
        self._networks = tuple(networks.values())
        self._hosts = tuple(
            entry.removeprefix("*.").lstrip(".") for entry in entries if entry not in networks
        )

    def of(self, url: URL) -> Proxy | None:
        """The proxy that a request to ``url`` goes through; None if it goes straight there."""
        proxy = self._by_scheme.get(url.scheme) or self._by_scheme.get("all")
        return None if proxy is None or self._is_exempt(url) else proxy

    def _is_exempt(self, url: URL) -> bool:
        host = (url.raw_host or "").rstrip(".").lower()
        names = {host, f"{host}:{url.port}"}
        is_address = _is_address(host)
        for entry in self._hosts:
            if entry == "*" or entry in names:
                return True
            # "1" is no end of 9.9.9.1: an address is exempt as a whole, or by its network.
            if not is_address and any(name.endswith(f".{entry}") for name in names):
                return True
        return is_address and any(ip_address(host) in network for network in self._networks)

    def __bool__(self) -> bool:
        return bool(self._by_scheme)

    def __repr__(self) -> str:
        return f"<Proxies {self._by_scheme}>"


def proxies(proxy: str | Mapping[str, str] | None, no_proxy: Iterable[str] = ()) -> Proxies | None:
    """Read the options of a transport.

    Args:
        proxy: url for all requests, urls by scheme, or ``"environment"``: the variables HTTP_PROXY,
            HTTPS_PROXY, ALL_PROXY and NO_PROXY as they are now.
        no_proxy: hosts that are called without one.

    Raises:
        ApiConfigurationError: something that is no proxy; its message has no credentials.

    Example:
        >>> ways = proxies(
        ...     {"https": "http://me:hunter2@proxy.test:3128"}, no_proxy=["example.com", "10.0.0.0/8"]
        ... )
        >>> ways
        <Proxies {'https': <Proxy http://proxy.test:3128>}>
        >>> ways.of(URL("https://api.example.com/")), ways.of(URL("https://example.org/"))
        (None, <Proxy http://proxy.test:3128>)
    """
    if proxy is None:
        return None
    if isinstance(proxy, str) and proxy == "environment":
        found = getproxies_environment()
        by_scheme = {scheme: _with_scheme(found[scheme]) for scheme in _SCHEMES if found.get(scheme)}
        return Proxies(by_scheme, [*found.get("no", "").split(","), *no_proxy]) or None
    return Proxies({"all": proxy} if isinstance(proxy, str) else proxy, no_proxy) or None


def _entry(text: str) -> str:
    """A host as it stands in urls: in lower case, without a dot at its end, as IDNA writes it."""
    entry = text.strip().lower().rstrip(".")
    if entry.isascii():
        return entry
    try:
        return URL.build(scheme="http", host=entry.lstrip("*.")).raw_host or entry
    except ValueError:
        raise ApiConfigurationError("no_proxy: not a valid host name") from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _with_scheme(text: str) -> str:
    return text if "://" in text else f"http://{text}"


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
