"""The token endpoint of an OAuth 2.0 server: calling it, and reading what it says (RFC 6749, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr, ValidationError
from pydantic_core import from_json
from yarl import URL

from rxorch.endpoint.auth import BasicAuth
from rxorch.endpoint.call import LOOSE
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.reading import AnswerReader
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.endpoint.stack import EndpointCall
from rxorch.endpoint.tokens import Token
from rxorch.errors import ApiConfigurationError, ApiError, ApiHttpError
from rxorch.http.origins import is_loopback
from rxorch.http.response import Response
from rxorch_operators import last_of

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller

__all__ = ["Granted", "TokenEndpoint"]

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

_LONGEST: Final = 10 * 366 * 86_400
"""Seconds. A token that is said to last longer is fetched anew after ten years."""
_TIMEOUT: Final = 10.0
"""Seconds for one attempt: whoever needs the token has a limit of its own, which this must fit into."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint gave."""

    token: Token
    refresh_token: SecretStr | None


class TokenEndpoint:
    """A token endpoint, called through whatever client needs a token.

    Args:
        url: https, unless it is on this machine.
        basic: id and secret of the client, if they go into the Authorization header.
        granted: told what an answer gave, before anything else happens.

    Raises:
        ApiConfigurationError: the url cannot be one.
    """

    def __init__(
        self, url: str, basic: BasicAuth | None, granted: Callable[[Granted], object] = lambda _: None
    ) -> None:
        parsed = _checked_url(url)
        self._granted = granted
        try:
            self.endpoint = APIEndpoint(
                name="oauth2-token",
                url=url.replace("{", "{{").replace("}", "}}"),
                method="POST",
                headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
                body=lambda form: form,
                timeout=_TIMEOUT,
                idempotent=True,
                idempotency_key=None,
                response_parser=self._read,
                max_response_bytes=1024 * 1024,
                auth=False if basic is None else basic,
                follow_redirects=False,
                http_cache=False,
                cache_ttl=0,
            )
        except ValidationError:
            raise ApiConfigurationError(
                f"token_url: not a valid {parsed.scheme} url without user info and fragment"
            ) from None

    async def call(self, caller: Caller, form: str) -> Granted:
        """Ask for a token.

        Args:
            caller: whose transport, policies and events are used.
            form: the body.

        Raises:
            ApiError: the server refused, or gave no token.
        """
        runtime = caller.loose_runtime(self)
        if runtime is None:
            runtime = _TokenRuntime(self.endpoint, caller)
            caller.keep_loose(self, runtime)
        granted: Granted = await last_of(EndpointCall(runtime, form, LOOSE))
        return granted

    def _read(self, response: Response) -> Granted:
        granted = _granted(response)
        self._granted(granted)
        return granted


class _TokenRuntime(EndpointRuntime):
    """What a client knows of a token endpoint."""

    def __init__(self, endpoint: APIEndpoint, caller: Caller) -> None:
        super().__init__(endpoint, caller)
        # Who waits for the token holds a permit already: to wait for another one could be for ever.
        self.bulkhead = self.attempt_bulkhead = None
        self.hooks = None  # they are for the API; and they would see the secret, or add others to it
        self.reader = _TokenReader(endpoint.name, parser=endpoint.response_parser)


class _TokenReader(AnswerReader):
    """Reads answers of a token endpoint. What a refusal says is not kept: it may quote what was sent."""

    __slots__ = ()

    def refusal(self, response: Response) -> ApiHttpError:
        error = super().refusal(response)
        code = _code(response)
        if code is not None:
            error.message = f"HTTP {response.status}: the token endpoint refused: {code}"
        error.body = ""
        return error


def _checked_url(text: str) -> URL:
    try:
        url = URL(text)
    except (TypeError, ValueError):
        raise ApiConfigurationError("token_url: give an absolute url") from None
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url)):
        raise ApiConfigurationError("token_url: secrets go there, so it must be https (or on this machine)")
    return url


def _granted(response: Response) -> Granted:
    from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

    value = response.json()
    answer: dict[str, Any] = {}
    fault = None
    try:
        answer = BackendApplicationClient("").parse_request_body_response(response.text)
    except OAuth2Error as error:
        fault = _known(error.error) if isinstance(value, dict) and "error" in value else None
    except (Warning, ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        pass
    # Raised out here, so that oauthlib's errors, which quote the server, do not hang on ours.
    if fault is not None:
        raise ApiError(f"the token endpoint refused: {fault}")
    token, refresh = answer.get("access_token"), answer.get("refresh_token")
    if not _is_text(token) or not (refresh is None or _is_text(refresh)):
        raise ApiError("the token endpoint's answer is no token (RFC 6749, section 5.1)")
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ApiError(
            "the token endpoint gave a token that is no bearer token (token_type), as is needed here"
        )
    return Granted(Token(str(token), _life(answer, value)), None if refresh is None else SecretStr(refresh))


def _life(answer: dict[str, Any], value: dict[str, Any]) -> float | None:
    if value.get("expires_in") is None:
        return None
    # oauthlib leaves out a 0, as if nothing had been said.
    return float(max(0, min(int(answer.get("expires_in", 0)), _LONGEST)))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _code(response: Response) -> str | None:
    """The error code of a refusal (section 5.2); None if the answer is not of that form."""
    try:
        value = from_json(response.content)
    except ValueError:
        return None
    return _known(value["error"]) if isinstance(value, dict) and "error" in value else None


def _known(code: object) -> str:
    return code if isinstance(code, str) and code in _CODES else "for a reason that RFC 6749 does not list"
