"""A token that is fetched once for all who need it, kept while it is good, and then fetched anew."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from rxorch.errors import ApiConfigurationError, ApiError
from rxorch.http.redaction import REDACTED

__all__ = ["Token", "TokenSource", "plain_secret"]

Fetch = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """What a provider of tokens returns when it knows how long its token is good.

    Args:
        value: the token.
        expires_in: seconds from now; None if it does not say.

    Example:
        >>> Token("s3cret", expires_in=3600)
        Token(***, expires_in=3600)
    """

    value: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        return f"Token({REDACTED}, expires_in={self.expires_in})"


def plain_secret(value: object, field: str) -> str:
    """The text of a secret, fit for a header.

    Raises:
        ApiConfigurationError: no text, empty, or with characters that no header may hold; names the field and
            never shows the value.
    """
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        raise ApiConfigurationError(f"{field}: give text or a SecretStr, not {type(value).__name__}")
    if not text or not text.isprintable() or not text.isascii() or text != text.strip():
        raise ApiConfigurationError(
            f"{field}: empty, with white space around it, or with characters that no header may hold"
        )
    return text


class TokenSource:
    """Keeps one token, whoever asks for it, on any event loop.

    Many who ask at the same time share one fetch. It is cancelled when the last of them has left, and its
    error goes to all who wait; the next one who asks begins anew.

    Args:
        fetch: gets a token, from the caller that needs it: a ``Token``, text or a ``SecretStr``.
        leeway: seconds before its end at which a token counts as expired; at most a tenth of its life.
        field: what errors call it.
    """

    __slots__ = ("_fetch", "_field", "_leeway", "_loop", "_pending", "_token", "_until")

    def __init__(self, fetch: Fetch, *, leeway: float = 30.0, field: str = "token") -> None:
        if not leeway >= 0.0:
            raise ApiConfigurationError("leeway: give seconds, 0 or more")
        self._fetch = fetch
        self._leeway = leeway
        self._field = field
        self._token: str | None = None
        self._until: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: _Pending | None = None

    @classmethod
    def of(cls, provider: Callable[[], Any], *, leeway: float = 30.0, field: str = "token") -> TokenSource:
        """A source that asks a function of the user's, plain or ``async``."""

        async def fetch(_: Any) -> Any:
            result = provider()
            return await result if inspect.isawaitable(result) else result

        return cls(fetch, leeway=leeway, field=field)

    async def get(self, caller: Any) -> str:
        """The token; fetched if there is none that is good.

        Raises:
            ApiError: the provider returned no token.
            Exception: what the provider raises.
        """
        loop = asyncio.get_running_loop()
        if self._token is not None and self._is_good(loop):
            return self._token
        pending = self._pending
        if pending is None or not pending.may_be_joined(loop):
            pending = self._pending = _Pending(loop, self._renew(caller, loop))
        return await pending.join()

    def refused(self, token: str) -> bool:
        """Learn that a token was refused; tell whether another one is to be had."""
        if self._token == token:
            self._token = None
        return True

    def _is_good(self, loop: asyncio.AbstractEventLoop) -> bool:
        # Another loop may count its time from elsewhere.
        return self._until is None or (self._loop is loop and loop.time() < self._until)

    async def _renew(self, caller: Any, loop: asyncio.AbstractEventLoop) -> str:
        started = loop.time()  # it grows old while it is on its way
        given = await self._fetch(caller)
        token = given if isinstance(given, Token) else Token(given)
        try:
            text = plain_secret(token.value, self._field)
        except ApiConfigurationError as error:
            raise ApiError(f"the provider returned no usable token: {error.message}") from None
        self._loop = loop
        self._token = text
        self._until = None
        if token.expires_in is not None:
            life = max(0.0, float(token.expires_in))
            self._until = started + life - min(self._leeway, life / 10)
        return text

    def __repr__(self) -> str:
        return f"<TokenSource of {self._field}>"


class _Pending:
    """A fetch under way, and how many wait for it."""

    __slots__ = ("_loop", "_task", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Any) -> None:
        self._loop = loop
        self._waiting = 0
        self._task: asyncio.Task[str] = loop.create_task(work)

    def may_be_joined(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._loop is loop and not self._task.done() and not self._task.cancelling()

    async def join(self) -> str:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])  # nothing of it outlives who wanted it
