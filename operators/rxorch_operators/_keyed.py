"""What tells calls and elements apart: the one meaning of `key=`, and keys that are not what they were."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, cast

from .core.per_call import Function, call_key

__all__ = ["Keyed", "remove"]

V = TypeVar("V")


def remove(entries: dict[Hashable, V], key: Hashable, value: V) -> list[V]:
    """Removes the entry that holds a value, whatever has become of its key.

    A key whose hash has changed finds its entry no more, and one may refuse to be compared: then the entry is
    found by the identity of its value.

    Args:
        entries: Has the entry.
        key: What it was put under.
        value: What it holds.

    Returns: values of other entries that had to go too, since their own keys cannot be put anew.
    """
    try:
        if entries.get(key) is value:
            del entries[key]
            return []
    except Exception:
        pass
    others = [(other, held) for other, held in entries.items() if held is not value]
    entries.clear()
    lost: list[V] = []
    for other, held in others:
        try:
            if entries.setdefault(other, held) is not held:
                lost.append(held)
        except Exception:
            lost.append(held)
    return lost


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
