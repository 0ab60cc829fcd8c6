"""The card of an `EndpointSet`: what can be called, and what each of it takes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from rxorch.draw.bundle import chosen_forms
from rxorch.draw.cards_declared import method_chip
from rxorch.draw.cards_html import Html, address, card, chip, code, cut, line, muted, strong, table
from rxorch.draw.masking import masked
from rxorch.openapi.endpoint_set import EndpointSet

__all__ = ["card_bundle", "endpoint_set_card"]

_SHOWN: Final = 200
_WIDTH: Final = 960


def card_bundle(
    what: EndpointSet, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, Any]:
    """What `_repr_mimebundle_` gives of a set of endpoints."""
    return chosen_forms({"text/plain": repr(what), "text/html": endpoint_set_card(what)}, include, exclude)


def endpoint_set_card(endpoints: EndpointSet) -> Html:
    """A row for each operation; the endpoints themselves are not made for it."""
    rows = [
        (
            strong(cut(name, 60)),
            method_chip(each.method),
            address(cut(each.path)),
            code(cut(", ".join(endpoints.keys_of(name)))),
            masked(each.summary),
        )
        for name, each in list(endpoints.operations.items())[:_SHOWN]
    ]
    more, skipped = len(endpoints) - _SHOWN, len(endpoints.skipped)
    return card(
        line(
            strong("EndpointSet"),
            cut(endpoints.title),
            muted(f"{len(endpoints)} endpoint{'' if len(endpoints) == 1 else 's'}"),
            chip(f"{skipped} skipped", "warned") if skipped else "",
        ),
        table(("endpoint", "method", "path", "takes", ""), rows) if rows else "",
        muted(f"and {more} more") if more > 0 else "",
        width=_WIDTH,
    )
