"""From a Request to the place that it goes to and the bytes of its head."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiohttp import ClientRequest, encode_basic_auth
from aiohttp.hdrs import HOST
from multidict import CIMultiDict
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http.body import StreamedBody
from rxorch.http.decoding import ACCEPT_ENCODING
from rxorch.http.gate import AddressGate
from rxorch.http.headers import FrozenHeaders, check_method, header_key
from rxorch.http.proxy import Proxies, Proxy
from rxorch.http.request import Request

__all__ = ["DefaultHeaders", "Origin", "encode_head"]

_MAX_ORIGINS = 1024
_MAX_KEPT = 64
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Origin:
    """A scheme, host and port: what is the same for all requests to it, worked out once.

    Args:
        url: of a request.
        proxy: what the way there leads through, if anything.
        user_agent: how a tunnel is asked for.

    Attributes:
        target: what aiohttp's connector wants to know of a request, which is where to connect.
        prefix: what stands before the path in a request line: nothing, but for an http proxy.
        kept: lines of headers that many requests share, by the identity of the mapping that holds them.
        proxy_authorization: value of that header, where requests themselves go to a proxy and not through it.
    """

    __slots__ = ("authorization", "host_line", "kept", "prefix", "proxy_authorization", "target")

    def __init__(self, url: URL, proxy: Proxy | None = None, user_agent: str = "") -> None:
        host = url.host_port_subcomponent
        if url.scheme not in ("http", "https") or not host:
            raise ApiConfigurationError("the url must begin with http:// or https:// and name a host")
        if not _is_plain(host) or host.startswith("."):
            raise ApiConfigurationError("the url's host is not a valid name")
        self.kept: dict[int, tuple[FrozenHeaders, str]] = {}
        self.host_line = f"Host: {host}\r\n"
        self.prefix = self.proxy_authorization = ""
        if proxy is None:
            self.target = ClientRequest("GET", url.origin())
        elif url.scheme == "https":
            headers = _asking(proxy, user_agent)
            self.target = ClientRequest("GET", url.origin(), proxy=proxy.url, proxy_headers=headers)
            # The connector would add it, and after that look for idle connections under another key.
            headers[HOST] = self.target.headers[HOST]
        else:
            self.target = ClientRequest("GET", url.origin(), proxy=proxy.url)
            self.prefix = str(url.origin())
            if proxy.authorization:
                self.proxy_authorization = proxy.authorization
                self.host_line += f"Proxy-Authorization: {proxy.authorization}\r\n"
        self.authorization = ""
        if url.user is not None or url.password is not None:
            credentials = encode_basic_auth(url.user or "", url.password or "")
            self.authorization = f"Authorization: {credentials}\r\n"


def _asking(proxy: Proxy, user_agent: str) -> CIMultiDict[str]:
    headers = CIMultiDict({"User-Agent": user_agent})
    if proxy.authorization:
        headers["Proxy-Authorization"] = proxy.authorization
    return headers


class Origins:
    """The origins of the latest requests.

    Args:
        gate: which hosts may be called.
        by_way_of: the proxies.
        user_agent: how a proxy is asked for a tunnel.
    """

    __slots__ = ("_by_way_of", "_gate", "_known", "_user_agent")

    def __init__(self, gate: AddressGate | None, by_way_of: Proxies | None, user_agent: str) -> None:
        self._gate = gate
        self._by_way_of = by_way_of
        self._user_agent = user_agent
        self._known: dict[tuple[str, str], Origin] = {}

    def of(self, url: URL) -> Origin:
        """The origin of ``url``.

        Raises:
            ApiAddressRefusedError: the gate keeps it shut.
            ApiConfigurationError: there is none in it that could be called.
        """
        key = (url.scheme, url.raw_authority)
        origin = self._known.get(key)
        if origin is None:
            if self._gate is not None:
                self._gate.check(url)
            if len(self._known) >= _MAX_ORIGINS:
                self._known.clear()
            proxy = None if self._by_way_of is None else self._by_way_of.of(url)
            origin = self._known[key] = Origin(url, proxy, self._user_agent)
        return origin

    def __len__(self) -> int:
        return len(self._known)


class DefaultHeaders:
    """The headers that a request gets unless it has them."""

    __slots__ = ("_pairs", "all_lines", "keys", "lines")

    def __init__(self, user_agent: str) -> None:
        pairs = {"Accept": "*/*", "Accept-Encoding": ACCEPT_ENCODING, "User-Agent": user_agent}
        self._pairs = pairs
        self.lines = {name.lower(): f"{name}: {value}\r\n" for name, value in pairs.items()}
        self.keys = frozenset(self.lines)
        self.all_lines = "".join(self.lines.values())

    def without(self, given: set[str]) -> str:
        """The lines of those that are not among ``given`` (names in lower case)."""
        if self.keys.isdisjoint(given):
            return self.all_lines
        return "".join(line for key, line in self.lines.items() if key not in given)

    def added_to(self, request: Request, origin: Origin) -> dict[str, str]:
        """All headers of ``request`` as ``encode_head`` writes them, but for those that a session adds."""
        pairs = dict(self._pairs)
        body = request.body
        if isinstance(body, StreamedBody):
            pairs["Content-Type"] = body.content_type
            if body.length is not None:
                pairs["Content-Length"] = str(body.length)
        if origin.authorization:
            name, _, value = origin.authorization.strip().partition(": ")
            pairs[name] = value
        if origin.proxy_authorization:
            pairs["Proxy-Authorization"] = origin.proxy_authorization
        given = {name.lower() for name in request.headers}
        missing = {name: value for name, value in pairs.items() if name.lower() not in given}
        return {**request.headers, **missing}


def encode_head(request: Request, origin: Origin, defaults: DefaultHeaders, *, close: bool) -> bytes:
    """The request line and headers of ``request``, up to and with the empty line.

    What comes from templates is checked here once more, where nothing can go round the check: no value can
    end its line and begin another.

    Raises:
        ApiConfigurationError: a method or header name that may not be sent.
        ApiValidationError: a url or header value that would break the framing.
    """
    path = request.url.raw_path_qs
    if not _is_plain(path):
        raise ApiValidationError("the url is not percent-encoded")
    start = f"{check_method(request.method)} {origin.prefix}{path} HTTP/1.1\r\n"
    end = "Connection: close\r\n\r\n" if close else "\r\n"
    headers = request.headers
    if type(headers) is FrozenHeaders and not isinstance(request.body, StreamedBody):
        kept = origin.kept.get(id(headers))
        if kept is None:
            kept = _keep(origin, headers, defaults)
        return f"{start}{kept[1]}{_body_lines(request, frozenset())}{end}".encode()
    given: set[str] = set()
    lines = _header_lines(headers, origin, defaults, given)
    return f"{start}{lines}{_body_lines(request, given)}{end}".encode()


def _keep(origin: Origin, headers: FrozenHeaders, defaults: DefaultHeaders) -> tuple[FrozenHeaders, str]:
    """The lines of headers that the requests of an endpoint share, made once for each origin."""
    if len(origin.kept) >= _MAX_KEPT:
        origin.kept.clear()
    # The mapping is kept with its lines: while it lives, no other has its identity.
    kept = origin.kept[id(headers)] = headers, _header_lines(headers, origin, defaults, set())
    return kept


def _header_lines(
    headers: Mapping[str, str], origin: Origin, defaults: DefaultHeaders, given: set[str]
) -> str:
    lines = [origin.host_line]
    for name, value in headers.items():
        key = header_key(name)
        if key in given or not isinstance(value, str) or not value.isprintable():
            raise ApiValidationError(f"header {name!r} is given twice, is no text, or has control characters")
        given.add(key)
        lines.append(f"{name}: {value}\r\n")
    lines.append(defaults.without(given))
    if origin.authorization and "authorization" not in given:
        lines.append(origin.authorization)
    return "".join(lines)


def _body_lines(request: Request, given: Collection[str]) -> str:
    body = request.body
    if body is None:
        return "Content-Length: 0\r\n" if request.method in _WITH_BODY else ""
    if not isinstance(body, StreamedBody):
        return f"Content-Length: {len(body)}\r\n"
    framing = "Transfer-Encoding: chunked" if body.length is None else f"Content-Length: {body.length}"
    if "content-type" in given:
        return f"{framing}\r\n"
    if not body.content_type.isprintable():
        raise ApiValidationError("the content_type of the StreamedBody has control characters")
    return f"{framing}\r\nContent-Type: {body.content_type}\r\n"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
