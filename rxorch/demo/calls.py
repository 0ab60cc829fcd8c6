"""Three ways to call the shop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rxorch import APIEndpoint

__all__ = ["ask", "get", "once"]

_ATTEMPTS = 4
_FIRST_WAIT = 0.025


def get(name: str, url: str, **more: Any) -> APIEndpoint:
    """An endpoint that is tried up to four times, with short waits: the shop is near."""
    return APIEndpoint(
        name=name, url=url, **{"retry_count": _ATTEMPTS - 1, "retry_delay": _FIRST_WAIT, **more}
    )


def ask(name: str, url: str, body: Callable[[Any], Mapping[str, Any]], **more: Any) -> APIEndpoint:
    """A question that happens to be asked by POST: repeating it is harmless. ``body`` makes its body."""
    return get(name, url, method="POST", transform_input=body, idempotent=True, **more)


def once(name: str, url: str, body: Callable[[Any], Mapping[str, Any]], **more: Any) -> APIEndpoint:
    """An order to do something. All its attempts bear one key, so that it is done once.

    ``body`` makes the JSON body from the data; its ``order`` is part of the key.
    """

    def key(data: Mapping[str, Any]) -> str:
        return f"{name}/{data['order']}"

    return get(name, url, method="POST", transform_input=body, idempotency_key=key, **more)
