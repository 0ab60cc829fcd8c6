"""OAuth 2.0 tokens for machines: client credentials and refresh tokens (RFC 6749), on ``oauthlib``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from pydantic import SecretStr

from rxorch.client.token_endpoint import Granted, TokenEndpoint
from rxorch.endpoint.auth import BasicAuth, BearerAuth
from rxorch.endpoint.tokens import Token, TokenSource
from rxorch.errors import ApiConfigurationError

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller

__all__ = ["OAuth2ClientCredentials", "OAuth2RefreshToken"]

_OWN: Final = frozenset(
    {
        "body",
        "client_id",
        "client_secret",
        "code_verifier",
        "grant_type",
        "include_client_id",
        "refresh_token",
        "scope",
    }
)
"""Fields that have a parameter of their own, and words that oauthlib takes for its own."""


class _OAuth2(BearerAuth):
    """What both grants share: who asks, and of which token endpoint."""

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str | SecretStr | None,
        *,
        scope: str | Iterable[str] | None,
        audience: str | None = None,
        client_auth: Literal["basic", "body"],
        extra: Mapping[str, str | SecretStr] | None,
        leeway: float,
        origins: Iterable[str] | None,
    ) -> None:
        if client_auth not in ("basic", "body"):
            raise ApiConfigurationError('client_auth: give "basic" or "body"')
        _oauthlib_client(type(self).__name__)
        self._client_id = _text(client_id, "client_id").get_secret_value()
        self._secret = None if client_secret is None else _text(client_secret, "client_secret")
        self._scope = _scope(scope)
        self._extra = _fields(extra)
        if audience is not None:
            if "audience" in self._extra:
                raise ApiConfigurationError("extra: audience has a parameter of its own")
            self._extra["audience"] = _text(audience, "audience")
        basic = None
        if client_auth == "basic" and self._secret is not None:
            # Each part is form-encoded first (RFC 6749, section 2.3.1).
            secret = self._secret.get_secret_value()
            basic = BasicAuth(quote(self._client_id, safe=""), quote(secret, safe=""))
        self._in_form = basic is None
        self._token_endpoint = TokenEndpoint(token_url, basic, self._came)
        super().__init__(TokenSource(self._fetch, leeway=leeway), origins=origins)

    async def _fetch(self, caller: Caller) -> Token:
        granted = await self._token_endpoint.call(caller, self._form())
        return granted.token

    def _came(self, granted: Granted) -> None:
        """Look at an answer, before anything can come in between."""

    def _form(self) -> str:
        raise NotImplementedError

    def _shared_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {name: text.get_secret_value() for name, text in self._extra.items()}
        fields["include_client_id"] = self._in_form
        if self._in_form and self._secret is not None:
            fields["client_secret"] = self._secret.get_secret_value()
        return fields


class OAuth2ClientCredentials(_OAuth2):
    """Bearer tokens by the client credentials grant (RFC 6749, section 4.4). Needs the extra ``oauth``.

    The token is fetched when a call first needs it, once for all calls, kept until shortly before its end,
    and fetched anew when a server answers 401. Its request goes through the client that needs the token:
    repeated on failure, with a circuit breaker of its own, and visible in the events. Flows in which a person
    consents (authorization code, device) are not here.

    Args:
        token_url: the token endpoint; https, unless it is on this machine.
        client_id: who asks.
        client_secret: text or a ``SecretStr``.
        scope: scopes, as text with spaces or as an iterable.
        audience: sent as ``audience``, which some servers want.
        client_auth: ``"basic"``: id and secret in the Authorization header; ``"body"``: in the form.
        extra: more fields of the form, such as ``resource``.
        leeway: seconds before its end at which a token is fetched anew.
        origins: urls of the only origins that tokens are sent to.

    Raises:
        ApiConfigurationError: an argument that cannot work, or the extra is missing.

    Example:
        >>> OAuth2ClientCredentials("https://id.example.com/token", "shop", "s3cret", scope="orders:read")
        <OAuth2ClientCredentials>
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str | SecretStr,
        *,
        scope: str | Iterable[str] | None = None,
        audience: str | None = None,
        client_auth: Literal["basic", "body"] = "basic",
        extra: Mapping[str, str | SecretStr] | None = None,
        leeway: float = 30.0,
        origins: Iterable[str] | None = None,
    ) -> None:
        super().__init__(
            token_url, client_id, client_secret,
            scope=scope, audience=audience, client_auth=client_auth, extra=extra, leeway=leeway,
            origins=origins,
        )  # fmt: skip

    def _form(self) -> str:
        client = _oauthlib_client()(self._client_id)
        form: str = client.prepare_request_body(scope=self._scope, **self._shared_fields())
        return form


class OAuth2RefreshToken(_OAuth2):
    """Bearer tokens by a refresh token (RFC 6749, section 6). Needs the extra ``oauth``.

    Otherwise as ``OAuth2ClientCredentials``. A server that gives a new refresh token with each access token
    has the old one replaced: ``on_rotated`` is told, so that it can be stored. If it fails, so does the call,
    and it is told again before the next use. When everybody who waits for a token leaves, the request for
    it is given up, as any other is: a server that had rotated by then must accept the old one once more.

    Args:
        token_url: the token endpoint; https, unless it is on this machine.
        refresh_token: text or a ``SecretStr``.
        client_id: who asks.
        client_secret: text or a ``SecretStr``; None for a public client.
        scope: scopes, if fewer than were granted.
        client_auth: ``"basic"`` or ``"body"``.
        extra: more fields of the form.
        leeway: seconds before its end at which a token is fetched anew.
        on_rotated: a function, plain or ``async``, that is called with each new refresh token, as text,
            before any call goes on.
        origins: urls of the only origins that tokens are sent to.

    Raises:
        ApiConfigurationError: an argument that cannot work, or the extra is missing.

    Example:
        >>> OAuth2RefreshToken("https://id.example.com/token", "s3cret", "shop")
        <OAuth2RefreshToken>
    """

    def __init__(
        self,
        token_url: str,
        refresh_token: str | SecretStr,
        client_id: str,
        client_secret: str | SecretStr | None = None,
        *,
        scope: str | Iterable[str] | None = None,
        client_auth: Literal["basic", "body"] = "basic",
        extra: Mapping[str, str | SecretStr] | None = None,
        leeway: float = 30.0,
        on_rotated: Callable[[str], object] | None = None,
        origins: Iterable[str] | None = None,
    ) -> None:
        super().__init__(
            token_url, client_id, client_secret,
            scope=scope, client_auth=client_auth, extra=extra, leeway=leeway, origins=origins,
        )  # fmt: skip
        if on_rotated is not None and not callable(on_rotated):
            raise ApiConfigurationError("on_rotated: give a function of one text, plain or async")
        self._refresh_token = _text(refresh_token, "refresh_token")
        self._on_rotated = on_rotated
        self._untold = False
        self._at_work: asyncio.AbstractEventLoop | None = None

    async def _fetch(self, caller: Caller) -> Token:
        loop = asyncio.get_running_loop()
        if self._at_work not in (None, loop) and not self._at_work.is_closed():
            # Two requests with one refresh token look like theft: the server would withdraw all tokens.
            raise ApiConfigurationError(
                "the refresh token is in use on another event loop: use it on one at a time"
            )
        self._at_work = loop
        try:
            await self._tell()
            token = await super()._fetch(caller)
            await self._tell()
        finally:
            self._at_work = None
        return token

    def _came(self, granted: Granted) -> None:
        new = granted.refresh_token
        if new is not None and new != self._refresh_token:
            self._refresh_token = new
            self._untold = True

    async def _tell(self) -> None:
        if self._untold and self._on_rotated is not None:
            told = self._on_rotated(self._refresh_token.get_secret_value())
            if inspect.isawaitable(told):
                await told
        self._untold = False

    def _form(self) -> str:
        client = _oauthlib_client()(self._client_id)
        form: str = client.prepare_refresh_body(
            client_id=self._client_id,
            refresh_token=self._refresh_token.get_secret_value(),
            scope=self._scope,
            **self._shared_fields(),
        )
        return form


def _oauthlib_client(asker: str = "OAuth2") -> Any:
    try:
        from oauthlib.oauth2 import BackendApplicationClient
    except ImportError:
        raise ApiConfigurationError(f'{asker} needs oauthlib: pip install "rxorch[oauth]"') from None
    return BackendApplicationClient


def _text(value: object, field: str) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        raise ApiConfigurationError(f"{field}: give text, not {type(value).__name__}")
    if not text or not text.isprintable():
        raise ApiConfigurationError(f"{field}: empty, or with control characters in it")
    return SecretStr(text)


def _scope(scope: str | Iterable[str] | None) -> str | None:
    if scope is None:
        return None
    if not isinstance(scope, str):
        scopes = list(scope) if isinstance(scope, Iterable) else [None]
        if not all(isinstance(each, str) for each in scopes):
            raise ApiConfigurationError("scope: give text, or a list of texts")
        scope = " ".join(map(str, scopes))
    return _text(scope, "scope").get_secret_value()


def _fields(extra: Mapping[str, str | SecretStr] | None) -> dict[str, SecretStr]:
    fields = {} if extra is None else extra
    if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
        raise ApiConfigurationError("extra: give a mapping of names to texts")
    for name in _OWN.intersection(fields):
        raise ApiConfigurationError(f"extra: {name} cannot stand here")
    return {name: _text(text, f"extra: {name[:40]}") for name, text in fields.items()}
