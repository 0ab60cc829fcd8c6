"""A token that is fetched once for all who need it, kept while it is good, and then fetched anew."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary, WeakSet

from pydantic import SecretStr

from rxorch.errors import ApiConfigurationError, ApiError
from rxorch.http.redaction import REDACTED
from rxorch.http.request import Request
from rxorch_operators import coalesce, from_async, last_of

__all__ = ["Token", "TokenSource", "Unpickled", "plain_secret"]

Fetch = Callable[[Any], Awaitable[Any]]


class Unpickled:
    """What holds a secret: it is not pickled, and a copy of it is the same object."""

    __slots__ = ()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret and is not pickled: make it where it is used")


@dataclass(frozen=True, slots=True, repr=False)
class Token(Unpickled):
    """What a provider of tokens returns when it knows how long its token is good.

    Args:
        value: the token; kept as ``SecretStr``.
        expires_in: seconds from now; None if it does not say.

    Raises:
        ApiConfigurationError: ``expires_in`` is no number.

    Example:
        >>> Token("s3cret", expires_in=3600)
        Token(***, expires_in=3600)
    """

    value: str | SecretStr
    expires_in: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.value, str):
            object.__setattr__(self, "value", SecretStr(self.value))
        seconds = self.expires_in
        if seconds is None:
            return
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds):
            raise ApiConfigurationError("expires_in of a Token: give seconds, or None")

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
    """Keeps one token for each event loop on which it is asked for.

    Many who ask at the same time share one fetch. It is cancelled when the last of them has left, and its
    error goes to all who wait; the next one who asks begins anew.

    Args:
        fetch: gets a token, from the caller that needs it: a ``Token``, text or a ``SecretStr``.
        leeway: seconds before its end at which it is fetched anew; at most a tenth of its life.
        field: what errors call it.
        written: makes what stands on a request of the fetched text.

    Raises:
        ApiConfigurationError: ``leeway`` is no number of seconds.
    """

    __slots__ = ("_fetch", "_field", "_kept", "_leeway", "_written")

    def __init__(
        self,
        fetch: Fetch,
        *,
        leeway: float = 30.0,
        field: str = "token",
        written: Callable[[object, str], str] = plain_secret,
    ) -> None:
        if isinstance(leeway, bool) or not isinstance(leeway, int | float) or not 0.0 <= leeway < math.inf:
            raise ApiConfigurationError("leeway: give seconds, 0 or more")
        self._fetch = fetch
        self._leeway = leeway
        self._field = field
        self._written = written
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = WeakKeyDictionary()

    @classmethod
    def of(cls, provider: Callable[[], Any], *, field: str = "token", **settings: Any) -> TokenSource:
        """A source that asks a function of the user's, plain or ``async``.

        Raises:
            ApiConfigurationError: the function needs arguments.
        """
        try:
            inspect.signature(provider).bind()
        except ValueError:  # some builtins do not tell
            pass
        except TypeError:
            raise ApiConfigurationError(
                f"{field}: a function that gets it is called without arguments"
            ) from None

        async def fetch(_: Any) -> Any:
            result = provider()
            return await result if inspect.isawaitable(result) else result

        return cls(fetch, field=field, **settings)

    async def get(self, request: Request, caller: Any) -> str:
        """The token for a request; fetched if there is none that is good.

        Raises:
            ApiError: there is none to be had; what the provider raised is its cause.
        """
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            kept = self._kept[loop] = _Kept()
        if kept.token is not None and loop.time() < kept.until:
            return kept.token.get_secret_value()
        if kept.fetching and kept in _fetching.get():
            raise ApiError(
                f"{self._field}: what gets it calls an endpoint that needs it; give that one auth=False"
            )
        token = await self._shared(kept, caller)
        kept.fresh.add(request)
        return token.get_secret_value()

    def refused(self, request: Request, token: str) -> bool:
        """Learn that a token was refused; tell whether another one is worth trying.

        It is not for a request whose token was fetched for it: the next one would fare no better.
        """
        kept = self._kept.get(asyncio.get_running_loop())
        if kept is None:
            return False
        if kept.token is not None and kept.token.get_secret_value() == token:
            kept.token = None
        return request not in kept.fresh

    async def _shared(self, kept: _Kept, caller: Any) -> SecretStr:
        while True:
            try:
                return await last_of(kept.shared(from_async(self._renew, kept, caller)))
            except _Failed as caught:
                failed = caught
            # Another client fetched for us, and it may have failed for being closed: ours tries for itself.
            if failed.caller is caller:
                raise self._error(failed.error)

    def _error(self, error: BaseException) -> ApiError:
        """One for each of those who waited: the facts of a call are written on it."""
        if isinstance(error, ApiError):
            own: ApiError = copy(error)
            own.__cause__ = error.__cause__
            return own.with_traceback(error.__traceback__)
        own = ApiError(f"no {self._field}: what gets it raised {type(error).__name__}")
        own.__cause__ = error
        return own

    async def _renew(self, kept: _Kept, caller: Any) -> SecretStr:
        mark = _fetching.set(_fetching.get() | {kept})
        kept.fetching += 1
        try:
            return await self._fetched(kept, caller)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _Failed(error, caller) from None
        except Exception as error:
            raise _Failed(error, caller) from None
        finally:
            kept.fetching -= 1
            _fetching.reset(mark)

    async def _fetched(self, kept: _Kept, caller: Any) -> SecretStr:
        loop = asyncio.get_running_loop()
        started = loop.time()  # it grows old while it is on its way
        given = await self._fetch(caller)
        token = given if isinstance(given, Token) else Token(given)
        try:
            text = SecretStr(self._written(token.value, self._field))
        except ApiConfigurationError as error:
            message = f"the provider returned no usable token: {error.message}"
        else:
            kept.token = text
            kept.until = math.inf
            if token.expires_in is not None:
                life = max(0.0, token.expires_in)
                kept.until = started + life - min(self._leeway, life / 10)
            return text
        raise ApiError(message)

    def __repr__(self) -> str:
        return f"<TokenSource of {self._field}>"


class _Kept:
    """What is known on one event loop."""

    __slots__ = ("__weakref__", "fetching", "fresh", "shared", "token", "until")

    def __init__(self) -> None:
        self.token: SecretStr | None = None
        self.until = math.inf
        self.fetching = 0
        self.fresh: WeakSet[Request] = WeakSet()
        """Requests whose token was fetched for them."""
        self.shared = coalesce()


_fetching: Final[ContextVar[frozenset[_Kept]]] = ContextVar("rxorch_tokens_under_way", default=frozenset())
"""For whom the current task fetches: it would wait for itself if it asked for the same token."""


class _Failed(Exception):
    """Carries the error of a fetch to all who wait for it, and tells whose client it was."""

    def __init__(self, error: BaseException, caller: Any) -> None:
        super().__init__()
        self.error = error
        self.caller = caller
