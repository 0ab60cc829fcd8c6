"""OAuth 2.0 tokens for machines: client credentials and refresh tokens (RFC 6749), on ``oauthlib``."""

from __future__ import annotations

import inspect
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import SecretStr

from rxorch.endpoint.auth import BearerAuth
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.tokens import Token, TokenSource
from rxorch.errors import ApiConfigurationError, ApiError, ApiHttpError

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller
    from rxorch.http.response import Response

__all__ = ["OAuth2ClientCredentials", "OAuth2RefreshToken"]

_CODES: Final = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""The error codes of RFC 6749; any other is the server's own text and not repeated."""

_numbers: Final = count(1)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _OAuth2(BearerAuth):
    """What both grants share: the token endpoint, who asks there, and reading what it says."""

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str | SecretStr | None,
        *,
        scope: str | Iterable[str] | None,
        client_auth: Literal["basic", "body"],
        extra: Mapping[str, str] | None,
        leeway: float,
        origins: Iterable[str] | None,
    ) -> None:
        _check(token_url, client_auth)
        super().__init__(self._nothing, origins=origins)
        self._client = _oauthlib_client(client_id, self)
        secret = client_secret.get_secret_value() if isinstance(client_secret, SecretStr) else client_secret
        self._secret = secret
        self._client_id = client_id
        self._scope = scope if scope is None or isinstance(scope, str) else " ".join(scope)
        self._by_header = client_auth == "basic" and secret is not None
        self._extra = dict(extra or {})
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self._by_header:
            # Each part is form-encoded first (RFC 6749, section 2.3.1).
            pair = f"{quote(client_id, safe='')}:{quote(secret or '', safe='')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        parts = urlsplit(token_url)
        self._endpoint = APIEndpoint(
            name=f"token.{(parts.hostname or '').replace(':', '-')}.{next(_numbers)}",
            url=token_url.replace("{", "{{").replace("}", "}}"),
            method="POST",
            headers={name: text.replace("{", "{{").replace("}", "}}") for name, text in headers.items()},
            body=lambda form: form,
            idempotent=True,
            idempotency_key=None,
            response_parser=self._read,
            max_response_bytes=1024 * 1024,
            auth=False,
            follow_redirects=False,
            http_cache=False,
            cache_ttl=0,
        )
        self._source = TokenSource(self._fetch, leeway=leeway)

    @staticmethod
    def _nothing() -> str:
        raise AssertionError("replaced by a source of its own")

    async def _fetch(self, caller: Caller) -> Token:
        try:
            token: Token = await caller.call(self._endpoint, self._form())
        except ApiHttpError as error:
            if error.status_code in (400, 401):
                raise ApiError(
                    f"the token endpoint refused: {_code(error.body)}", endpoint=error.endpoint, url=error.url
                ) from None
            raise
        return token

    def _form(self) -> dict[str, str]:
        raise NotImplementedError

    def _base_form(self) -> dict[str, str]:
        form = dict(self._extra)
        if self._scope:
            form["scope"] = self._scope
        if not self._by_header:
            form["client_id"] = self._client_id
            if self._secret is not None:
                form["client_secret"] = self._secret
        return form

    def _parsed(self, text: str) -> Mapping[str, Any]:
        from oauthlib.oauth2 import OAuth2Error

        try:
            return self._client.parse_request_body_response(text)  # type: ignore[no-any-return]
        except OAuth2Error as error:
            code = error.error if error.error in _CODES else "its answer is no token (RFC 6749, section 5.1)"
            raise ApiError(f"the token endpoint refused: {code}") from None
        except (Warning, ValueError, KeyError, TypeError, AttributeError):
            raise ApiError("the token endpoint's answer is no token (RFC 6749, section 5.1)") from None

    def _read(self, response: Response) -> Token:
        answer = self._parsed(response.text)
        if str(answer.get("token_type", "")).lower() != "bearer":
            raise ApiError("the token endpoint gave a token that is no bearer token")
        self._keep(answer)
        expires_in = answer.get("expires_in")
        try:
            return Token(answer["access_token"], None if expires_in is None else float(expires_in))
        except (KeyError, TypeError, ValueError):
            raise ApiError("the token endpoint's answer has no usable token") from None

    def _keep(self, answer: Mapping[str, Any]) -> None:
        """Look at what else came with the token."""


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
        extra: more fields of the form.
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
        extra: Mapping[str, str] | None = None,
        leeway: float = 30.0,
        origins: Iterable[str] | None = None,
    ) -> None:
        form = dict(extra or {})
        if audience is not None:
            form["audience"] = audience
        super().__init__(
            token_url, client_id, client_secret,
            scope=scope, client_auth=client_auth, extra=form, leeway=leeway, origins=origins,
        )  # fmt: skip

    def _form(self) -> dict[str, str]:
        return {**self._base_form(), "grant_type": "client_credentials"}


class OAuth2RefreshToken(_OAuth2):
    """Bearer tokens by a refresh token (RFC 6749, section 6). Needs the extra ``oauth``.

    Otherwise as ``OAuth2ClientCredentials``. A server that gives a new refresh token with each access token
    has the old one replaced: ``on_rotated`` is told, so that it can be stored.

    Args:
        token_url: the token endpoint; https, unless it is on this machine.
        refresh_token: text or a ``SecretStr``.
        client_id: who asks.
        client_secret: text or a ``SecretStr``; None for a public client.
        scope: scopes, if fewer than were granted.
        client_auth: ``"basic"`` or ``"body"``.
        extra: more fields of the form.
        leeway: seconds before its end at which a token is fetched anew.
        on_rotated: called with a new refresh token, before it is used.
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
        extra: Mapping[str, str] | None = None,
        leeway: float = 30.0,
        on_rotated: Callable[[str], Any] | None = None,
        origins: Iterable[str] | None = None,
    ) -> None:
        super().__init__(
            token_url, client_id, client_secret,
            scope=scope, client_auth=client_auth, extra=extra, leeway=leeway, origins=origins,
        )  # fmt: skip
        if on_rotated is not None and (not callable(on_rotated) or inspect.iscoroutinefunction(on_rotated)):
            raise ApiConfigurationError("on_rotated: give a plain function of one text")
        self._refresh_token = (
            refresh_token.get_secret_value() if isinstance(refresh_token, SecretStr) else refresh_token
        )
        self._on_rotated = on_rotated

    def _form(self) -> dict[str, str]:
        return {**self._base_form(), "grant_type": "refresh_token", "refresh_token": self._refresh_token}

    def _keep(self, answer: Mapping[str, Any]) -> None:
        new = answer.get("refresh_token")
        if isinstance(new, str) and new and new != self._refresh_token:
            self._refresh_token = new
            if self._on_rotated is not None:
                self._on_rotated(new)


def _check(token_url: str, client_auth: str) -> None:
    parts = urlsplit(token_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ApiConfigurationError("token_url: secrets go there, so it must be https (or on this machine)")
    if client_auth not in ("basic", "body"):
        raise ApiConfigurationError('client_auth: give "basic" or "body"')


def _oauthlib_client(client_id: str, auth: object) -> Any:
    try:
        from oauthlib.oauth2 import BackendApplicationClient
    except ImportError:
        raise ApiConfigurationError(
            f'{type(auth).__name__} needs oauthlib: pip install "rxorch[oauth]"'
        ) from None
    if not isinstance(client_id, str) or not client_id:
        raise ApiConfigurationError("client_id: give text")
    return BackendApplicationClient(client_id)


def _code(body: str) -> str:
    """The error code of RFC 6749, section 5.2, if the answer has one of its list."""
    from pydantic_core import from_json

    try:
        code = from_json(body).get("error")
    except (ValueError, AttributeError):
        code = dict(parse_qsl(body)).get("error")
    return code if isinstance(code, str) and code in _CODES else "it gave no reason that is known"
