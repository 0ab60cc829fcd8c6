"""Credentials: what is added to a request so that a server knows who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rxorch.http.request import Request

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller

__all__ = ["Auth"]


@runtime_checkable
class Auth(Protocol):
    """Adds credentials to requests. One object serves all calls of a client, at the same time."""

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
            True if the next ``authorize`` will give other credentials than those on ``request`` (the ones
            that were refused are forgotten, or somebody has renewed them meanwhile): the call is then tried
            once more. False if there are no others.
        """
        ...
