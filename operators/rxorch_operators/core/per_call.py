"""How an operator that looks at a call's arguments gets them when it guards a function.

In a pipeline nobody calls anything: a `key=` or `cost=` that is a function is asked without arguments. Around
a function it is asked with those of the call. An operator that wants them has a method `for_call`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, TypeAlias, cast

from reactivex import Observable

__all__ = ["Function", "Operator", "PerCall", "call_key", "for_call"]

Operator: TypeAlias = Callable[[Observable[Any]], Observable[Any]]
Function: TypeAlias = Callable[..., Any]


class PerCall(Protocol):
    """An operator that makes itself anew for each call of a function."""

    def for_call(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operator:
        """The operator for one call of `fn` with these arguments."""


def for_call(operator: Operator, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operator:
    """The operator for one call: itself, unless it looks at the arguments."""
    make = getattr(operator, "for_call", None)
    return operator if make is None else cast("Operator", make(fn, args, kwargs))


def call_key(fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
    """What makes two calls equal unless somebody says otherwise: the function and all its arguments.

    Types count too, so that `1` and `True` are two things; inside of a tuple they are not looked at.

    Raises:
        TypeError: An argument cannot be hashed.
    """
    named = tuple(sorted(kwargs.items()))
    types = (*map(type, args), *(type(value) for _, value in named))
    key = (fn, args, named, types)
    try:
        hash(key)
    except TypeError as error:
        name = getattr(fn, "__qualname__", repr(fn))
        raise TypeError(
            f"the arguments of {name} cannot be hashed ({error}): give key=, a function of the arguments"
        ) from None
    return key
