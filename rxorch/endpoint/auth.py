"""Credentials: what is added to a request so that a server knows who is asking."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import SecretStr
from yarl import URL

from rxorch.endpoint.template import encode_query
from rxorch.endpoint.tokens import TokenSource, Unpickled, plain_secret
from rxorch.errors import ApiConfigurationError
from rxorch.http.headers import check_headers
from rxorch.http.origins import Origin, origin_of, origins_from
from rxorch.http.request import Request

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller

__all__ = ["AllAuth", "ApiKeyAuth", "Auth", "BasicAuth", "BearerAuth", "Bound", "TokenAuth", "bound"]

Secret = str | SecretStr | Callable[[], Any]
"""A secret, or a function (plain or ``async``) that gets one: text, a ``SecretStr`` or a ``Token``."""


@runtime_checkable
class Auth(Protocol):
    """Adds credentials to requests. One object stands for one identity, and serves all calls of a client."""

    async def authorize(self, request: Request, caller: Caller) -> None:
        """Put the credentials on ``request``: last of all, just before each attempt is sent.

        Args:
            request: of this attempt alone; ``headers`` may be shared, so it gets a new mapping:
                ``request.headers = {**request.headers, "Authorization": ...}``.
            caller: to call a token endpoint with, by the same policies as everything else.

        Raises:
            ApiError: there are no credentials to be had.
        """
        ...

    def refused(self, request: Request) -> bool:
        """Learn that the server answered 401 to ``request``.

        Returns:
            True if the next ``authorize`` will give other credentials than those on ``request``: the call is
            then tried once more.
        """
        ...


class TokenAuth(Unpickled):
    """Credentials that are one text on each request: given once, or fetched when they are needed.

    Fetched ones are shared by all who need them, kept while they are good, and fetched anew after a 401.

    Args:
        secret: the text, or what gets it: a function, or a source of its own.
        field: what errors call it.
        origins: urls of the only origins that they are sent to; None: whoever uses them says where.
        leeway: seconds before the end of a fetched token at which it is fetched anew.
    """

    def __init__(
        self,
        secret: Secret | TokenSource,
        field: str,
        *,
        origins: Iterable[str] | None = None,
        leeway: float = 30.0,
    ) -> None:
        self.origins: frozenset[Origin] | None = None if origins is None else origins_from(origins)
        self._source: TokenSource | None = None
        self._fixed: SecretStr | None = None
        if isinstance(secret, TokenSource):
            self._source = secret
        elif callable(secret) and not isinstance(secret, str | SecretStr):
            self._source = TokenSource.of(secret, field=field, leeway=leeway, written=self.written)
        else:
            self._fixed = SecretStr(self.written(secret, field))

    async def authorize(self, request: Request, caller: Caller) -> None:
        """Put the credentials on ``request``, if it goes where they may go."""
        if not self._may_go(request):
            return
        if self._fixed is not None:
            self.put(request, self._fixed.get_secret_value())
        elif self._source is not None:
            self.put(request, await self._source.get(request, caller))

    def refused(self, request: Request) -> bool:
        """Forget a fetched token that was refused; a fixed one there is no other for."""
        if self._source is None or not self._may_go(request):
            return False
        token = self.taken_from(request)
        return token is not None and self._source.refused(request, token)

    def written(self, secret: object, field: str) -> str:
        """Make what stands on a request of the secret; raise ``ApiConfigurationError`` if it cannot."""
        return plain_secret(secret, field)

    def put(self, request: Request, token: str) -> None:
        """Write the token on a request."""
        raise NotImplementedError

    def taken_from(self, request: Request) -> str | None:
        """Read the token off a request."""
        raise NotImplementedError

    def _may_go(self, request: Request) -> bool:
        return self.origins is None or origin_of(request.url) in self.origins

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class BearerAuth(TokenAuth):
    """A bearer token in the Authorization header (RFC 6750).

    Args:
        token: the token, or what gets it.
        scheme: the word before it.
        origins: urls of the only origins that it is sent to.
        leeway: see ``Token.expires_in``: a fetched token is fetched anew so many seconds before its end.

    Raises:
        ApiConfigurationError: a token that no header may hold; never shows it.

    Example:
        >>> BearerAuth("s3cret", origins=["https://api.example.com"])
        <BearerAuth>
    """

    def __init__(
        self,
        token: Secret | TokenSource,
        *,
        scheme: str = "Bearer",
        origins: Iterable[str] | None = None,
        leeway: float = 30.0,
    ) -> None:
        super().__init__(token, "token", origins=origins, leeway=leeway)
        self._prefix = f"{plain_secret(scheme, 'scheme')} "

    def put(self, request: Request, token: str) -> None:
        request.headers = _with_header(request.headers, "Authorization", self._prefix + token)

    def taken_from(self, request: Request) -> str | None:
        value = request.headers.get("Authorization", "")
        return value[len(self._prefix) :] if value.startswith(self._prefix) else None


class BasicAuth(TokenAuth):
    """User and password in the Authorization header (RFC 7617), as UTF-8.

    Args:
        user: without a colon: text or a ``SecretStr``, for some servers want a key here.
        password: the password, or what gets it; it may be empty.
        origins: urls of the only origins that they are sent to.
        leeway: see ``BearerAuth``.

    Raises:
        ApiConfigurationError: a colon in ``user``, or control characters.

    Example:
        >>> BasicAuth("ada", "s3cret")
        <BasicAuth>
    """

    def __init__(
        self,
        user: str | SecretStr,
        password: Secret,
        *,
        origins: Iterable[str] | None = None,
        leeway: float = 30.0,
    ) -> None:
        self._user = SecretStr(_basic_part(user, "user"))
        if ":" in self._user.get_secret_value():
            raise ApiConfigurationError("user: no colon may be in it")
        super().__init__(password, "password", origins=origins, leeway=leeway)

    def written(self, secret: object, field: str) -> str:
        pair = f"{self._user.get_secret_value()}:{_basic_part(secret, field)}"
        return b64encode(pair.encode()).decode()

    def put(self, request: Request, token: str) -> None:
        request.headers = _with_header(request.headers, "Authorization", f"Basic {token}")

    def taken_from(self, request: Request) -> str | None:
        value = request.headers.get("Authorization", "")
        return value.removeprefix("Basic ") if value.startswith("Basic ") else None


class ApiKeyAuth(TokenAuth):
    """A key in a header or in the query.

    Args:
        name: of the header or parameter.
        value: the key, or what gets it.
        place: ``"header"`` or ``"query"``. In the query, proxies and servers write it into their logs.
        origins: urls of the only origins that it is sent to.
        leeway: see ``BearerAuth``.

    Raises:
        ApiConfigurationError: a name or value that may not be sent.

    Example:
        >>> ApiKeyAuth("X-API-Key", "s3cret")
        <ApiKeyAuth>
    """

    def __init__(
        self,
        name: str,
        value: Secret,
        place: Literal["header", "query"] = "header",
        *,
        origins: Iterable[str] | None = None,
        leeway: float = 30.0,
    ) -> None:
        if place not in ("header", "query"):
            raise ApiConfigurationError('place: give "header" or "query"')
        if place == "header":
            check_headers({name: ""})
        elif not isinstance(name, str) or not name or not name.isprintable():
            raise ApiConfigurationError("name: give that of a parameter, as text")
        super().__init__(value, "value", origins=origins, leeway=leeway)
        self._name = name
        self._in_query = place == "query"

    def put(self, request: Request, token: str) -> None:
        if not self._in_query:
            request.headers = _with_header(request.headers, self._name, token)
            return
        url = request.url
        if self._name in url.query:
            raise ApiConfigurationError(f"the parameter {self._name!r} is in the url already")
        pair = encode_query({self._name: token})
        query = f"{url.raw_query_string}&{pair}" if url.raw_query_string else pair
        request.url = URL.build(
            scheme=url.scheme,
            authority=url.raw_authority,
            path=url.raw_path,
            query_string=query,
            encoded=True,
        )
        request.hidden = request.hidden | {self._name}

    def taken_from(self, request: Request) -> str | None:
        return request.url.query.get(self._name) if self._in_query else request.headers.get(self._name)


class AllAuth(Unpickled):
    """Several credentials on the same request, for a server that wants all of them.

    Args:
        auths: the credentials; each goes where it may go.

    Raises:
        ApiConfigurationError: none is given, or something that is none.

    Example:
        >>> AllAuth(BearerAuth("s3cret"), ApiKeyAuth("X-Tenant-Key", "s3cret"))
        <AllAuth of BearerAuth, ApiKeyAuth>
    """

    def __init__(self, *auths: Auth) -> None:
        if not auths or not all(isinstance(auth, Auth) for auth in auths):
            raise ApiConfigurationError("AllAuth: give credentials such as BearerAuth(token), at least one")
        self._auths = auths

    @property
    def origins(self) -> frozenset[Origin] | None:
        """The origins that they name; None if one of them names none."""
        named: list[Any] = [getattr(auth, "origins", None) for auth in self._auths]
        return None if None in named else frozenset().union(*named)

    async def authorize(self, request: Request, caller: Caller) -> None:
        """Put all of them on ``request``."""
        taken: set[str] = set()
        for auth in self._auths:
            before = request.headers
            await auth.authorize(request, caller)
            put = {name.lower() for name, text in request.headers.items() if before.get(name) != text}
            if not taken.isdisjoint(put):
                raise ApiConfigurationError("AllAuth: two of its credentials go into the same header")
            taken |= put

    def refused(self, request: Request) -> bool:
        """Tell each that they were refused; any of them may have been the reason."""
        answers = [auth.refused(request) for auth in self._auths]
        return any(answers)

    def __repr__(self) -> str:
        return f"<AllAuth of {', '.join(type(auth).__name__ for auth in self._auths)}>"


class Bound(Unpickled):
    """Credentials for certain origins only; see ``bound``."""

    def __init__(self, auth: Auth, origins: frozenset[Origin]) -> None:
        self.origins = origins
        self._auth = auth

    async def authorize(self, request: Request, caller: Caller) -> None:
        if origin_of(request.url) in self.origins:
            await self._auth.authorize(request, caller)

    def refused(self, request: Request) -> bool:
        return origin_of(request.url) in self.origins and self._auth.refused(request)

    def __repr__(self) -> str:
        return f"<{self._auth!r} for {len(self.origins)} origins>"


def bound(auth: Auth, origins: Iterable[str]) -> Auth:
    """Return credentials that are put on requests to these origins, and on no others.

    Args:
        auth: the credentials.
        origins: urls; scheme, host and port of each count.

    Raises:
        ApiConfigurationError: no valid url.

    Example:
        >>> bound(BearerAuth("s3cret"), ["https://api.example.com"])
        <<BearerAuth> for 1 origins>
    """
    return Bound(auth, origins_from(origins))


def _basic_part(secret: object, field: str) -> str:
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    if not isinstance(text, str):
        raise ApiConfigurationError(f"{field}: give text or a SecretStr, not {type(secret).__name__}")
    if not text.isprintable():  # so there is no lone surrogate either
        raise ApiConfigurationError(f"{field}: no control characters may be in it (RFC 7617)")
    return text


def _with_header(headers: dict[str, str], name: str, value: str) -> dict[str, str]:
    kept = {title: text for title, text in headers.items() if title.lower() != name.lower()}
    kept[name] = value
    return kept
