"""One attempt between policies and transport: hooks, credentials, redirects, and the answer that counts.

Whatever of it nobody asked for is not there: an endpoint without any of them sends straight to its transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rxorch.endpoint.auth import Auth
from rxorch.endpoint.build import again
from rxorch.endpoint.redirects import RedirectPolicy, next_hop
from rxorch.errors import ApiError, ApiHttpError
from rxorch.http.origins import same_origin
from rxorch.http.redaction import redact_url
from rxorch.http.request import Request
from rxorch.http.response import AnswerHead

if TYPE_CHECKING:
    from rxorch.endpoint.call import Call
    from rxorch.endpoint.caller import Caller

__all__ = ["Aside", "Exchange", "Hop", "RequestHooks", "aside"]

T = TypeVar("T")


AnswerT = TypeVar("AnswerT", bound=AnswerHead)


class RequestHooks(Protocol):
    """What looks at every request before it is sent, and at what came of it."""

    keeps_identity: bool
    """True if no hook changes who is asking: only then may answers be kept or shared."""

    async def before(self, request: Request) -> tuple[Request, Any]:
        """Return the request to send, and what `after` wants to know of it."""
        ...

    async def after(self, seen: Any, value: Any) -> None:
        """Look at the parsed answer of a success."""
        ...


class Hop(Exception):
    """The answer is a redirect: what it asks for, `call.hop`, has to go the way of any other request."""


class Aside(Exception):
    """Carries an error that says nothing about the service: a hook's, or of getting credentials.

    No retry is made for it, and no breaker counts it. The caller of the endpoint gets what it carries.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def aside(work: Awaitable[T], call: Call | None = None) -> T:
    """Await something that belongs to an attempt (of this call), and is no part of the service."""
    if call is not None:
        call.is_aside = True
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        message = "a hook or credentials raised CancelledError, though nobody cancelled"
        raise Aside(RuntimeError(message)) from error
    except Exception as error:
        raise Aside(error) from None
    finally:
        if call is not None:
            call.is_aside = False


class Exchange:
    """Sends a request with what its endpoint wants around it.

    Args:
        caller: for credentials that have to be fetched.
        auth: credentials, or None.
        redirects: how far redirects are followed; None: not at all.
        at_home: whether the credentials go only to the origin that the endpoint itself names; otherwise they
            know theirs.
    """

    __slots__ = ("_at_home", "_caller", "auth", "redirects")

    def __init__(
        self,
        caller: Caller,
        auth: Auth | None,
        redirects: RedirectPolicy | None,
        *,
        at_home: bool = False,
    ) -> None:
        self._caller = caller
        self.auth = auth
        self._at_home = at_home
        self.redirects = redirects

    async def answer(
        self, call: Call, request: Request, send: Callable[[Call, Request], Awaitable[AnswerT]]
    ) -> AnswerT:
        """The answer to ``request``.

        Args:
            call: of the attempt.
            request: with all that hooks want; credentials come here.
            send: puts one request on the wire.

        Raises:
            Hop: it is a redirect that is to be followed.
            ApiHttpError: a redirect that is not followed, and why.
        """
        plain = request
        auth = self._credentials(call, request)
        if auth is not None:
            request = again(request)  # which nobody else holds, so that none goes on to the next hop
            await aside(auth.authorize(request, self._caller), call)
        try:
            answer = await send(call, request)
        except ApiError as error:
            error.url = redact_url(plain.url)  # a key in the query is a secret, whatever it is called
            raise
        if answer.status == 401 and auth is not None:
            call.renewable = auth.refused(request) and request.repeatable
        if self.redirects is not None:
            # From the request without credentials: where they go is decided for each hop anew.
            following = next_hop(plain, answer.status, answer.headers, self.redirects, call.hops)
            if isinstance(following, str):
                raise _unfollowed(call, plain, answer, following)
            if following is not None:
                call.follow(following, from_method=plain.method)
                raise Hop
        return answer

    def _credentials(self, call: Call, request: Request) -> Auth | None:
        assert call.built is not None
        if self._at_home and not same_origin(request.url, call.built.url):
            return None
        return self.auth


def _unfollowed(call: Call, request: Request, answer: AnswerHead, reason: str) -> ApiHttpError:
    return ApiHttpError(
        answer.status,
        "",
        answer.headers,
        message=f"HTTP {answer.status}: {reason}",
        endpoint=call.runtime.endpoint.name,
        url=redact_url(request.url),
    )
