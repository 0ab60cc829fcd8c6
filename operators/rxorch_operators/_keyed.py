"""What tells calls apart in `cache` and `coalesce`: the one meaning of their `key=`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

from .core.per_call import Function, call_key

__all__ = ["Keyed"]


class Keyed:
    """An operator with `key=`: a constant, a function that tells, or None.

    Without a key, the pipelines of one operator object share one key of their own, and guarded calls are told
    apart by function and arguments.
    """

    __slots__ = ("_is_own", "asks", "key")

    def __init__(self, key: Hashable | Callable[..., Hashable]) -> None:
        self._is_own = key is None
        self.key = object() if key is None else key
        self.asks = callable(key)

    def key_of(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
        """The key of one call of a guarded function."""
        if self.asks:
            return cast("Callable[..., Hashable]", self.key)(*args, **kwargs)
        return call_key(fn, args, kwargs) if self._is_own else self.key
