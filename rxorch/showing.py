"""Shown: how a notebook shows the objects of the lower floors, which know nothing of drawing."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any, ClassVar

__all__ = ["MaskedRepr", "Shown", "drawn"]


def drawn(maker: str, what: Any, **settings: Any) -> Any:
    """What a function of `rxorch.draw` makes of something. It is loaded when one asks."""
    return getattr(import_module("rxorch.draw"), maker)(what, **settings)


class Shown:
    """What a notebook shows as a card. The module that makes it is loaded when one asks.

    Its name alone is known here: imports go down the floors.
    """

    __slots__ = ()

    _cards: ClassVar[str] = "rxorch.draw.cards"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        forms: dict[str, Any] = import_module(self._cards).card_bundle(self, include, exclude)
        return forms


class MaskedRepr:
    """The `repr` of a dataclass without what its errors say of secrets; declare it with `repr=False`."""

    __slots__ = ()

    def __repr__(self) -> str:
        told: str = import_module("rxorch.http.masking").record_repr(self)
        return told
