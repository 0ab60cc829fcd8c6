"""Running the hooks of a client around an attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rxorch.client.foreign import settled
from rxorch.client.protocols import RequestHook
from rxorch.client.request_model import ApiRequestModel
from rxorch.client.writing import write_request
from rxorch.errors import ApiConfigurationError
from rxorch.http.request import Request

__all__ = ["HookChain"]


class HookChain:
    """The hooks of a client, as floor 3 wants them: around a ``Request`` and its parsed answer.

    Args:
        hooks: in the order in which ``before`` runs; ``after`` runs in the reverse order.

    Raises:
        ApiConfigurationError: no list, or one in it has neither ``before`` nor ``after``.
    """

    __slots__ = ("_hooks", "keeps_identity")

    def __init__(self, hooks: Sequence[RequestHook]) -> None:
        self._hooks: tuple[Any, ...] = _listed(hooks)
        for hook in self._hooks:
            if isinstance(hook, type) or not (_method(hook, "before") or _method(hook, "after")):
                raise ApiConfigurationError(
                    f"hooks: {_name(hook)} is no hook; give an object with a method before or after, such as "
                    "one of a class derived from BaseRequestHook"
                )
        self.keeps_identity = all(getattr(hook, "keeps_identity", False) for hook in self._hooks)

    async def run_before(self, model: ApiRequestModel) -> None:
        """Let each hook look at a request, in order."""
        for hook in self._hooks:
            before = _method(hook, "before")
            if before is not None:
                await settled(before(model))

    async def after(self, seen: ApiRequestModel, value: Any) -> None:
        """Let each hook look at the answer, in the reverse order."""
        for hook in reversed(self._hooks):
            after = _method(hook, "after")
            if after is not None:
                await settled(after(seen, value))

    async def before(self, request: Request) -> tuple[Request, ApiRequestModel]:
        """Let the hooks change a request that an endpoint has built."""
        text = str(request.url)
        model = ApiRequestModel.model_construct(
            url=text, method=request.method, headers=dict(request.headers), data=request.body
        )
        await self.run_before(model)
        # A url that no hook has changed is sent byte for byte as the endpoint built it.
        url = request.url if model.url == text else None
        limit, name = request.max_response_bytes, request.endpoint
        return write_request(model, url=url, max_response_bytes=limit, name=name), model


def _listed(hooks: Any) -> tuple[Any, ...]:
    if isinstance(hooks, list | tuple):
        return tuple(hooks)
    if isinstance(hooks, str | bytes | Mapping) or not isinstance(hooks, Sequence):
        raise ApiConfigurationError(f"hooks: give a list of hooks; not {type(hooks).__name__}")
    return tuple(hooks)


def _method(hook: object, name: str) -> Any:
    method = getattr(hook, name, None)
    return method if callable(method) else None


def _name(hook: object) -> str:
    return hook.__name__ if isinstance(hook, type) else type(hook).__name__
