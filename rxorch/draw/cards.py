"""Cards: how endpoints, orchestrations, results and errors show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from rxorch.config import APIOrchestrationConfig
from rxorch.draw.bundle import chosen_forms
from rxorch.draw.cards_declared import config_card, endpoint_card, orchestrator_card
from rxorch.draw.cards_error import error_card
from rxorch.draw.cards_html import Html, cut
from rxorch.draw.cards_result import result_card, run_card, runs_card, stream_card
from rxorch.draw.masking import masked, named_error
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiError
from rxorch.flow import OrchestrationResult
from rxorch.orchestrator import APIOrchestrator
from rxorch.stream import Run, Runs, RunStream

__all__ = ["card_bundle", "card_of"]

_LONGEST: Final = 2_000

_CARDS: Final[tuple[tuple[type, Callable[[Any], Html]], ...]] = (
    (APIEndpoint, endpoint_card),
    (APIOrchestrationConfig, config_card),
    (APIOrchestrator, orchestrator_card),
    (OrchestrationResult, result_card),
    (Run, run_card),
    (Runs, runs_card),
    (RunStream, stream_card),
    (ApiError, error_card),
)


def card_bundle(
    what: Any, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, Any]:
    """What `_repr_mimebundle_` gives of an object that has a card."""
    forms = {"text/plain": _text_of(what), "text/html": card_of(what)}
    return chosen_forms(forms, include, exclude)


def _text_of(what: Any) -> str:
    if isinstance(what, ApiError):
        return named_error(what)
    if isinstance(what, APIEndpoint | APIOrchestrationConfig):
        return cut(repr(what), _LONGEST)  # which hides what is secret by itself
    return masked(repr(what), _LONGEST)


def card_of(what: Any) -> str:
    """The card of an object as HTML.

    Inline styles alone, escaped, without secrets, and of a bounded size: it may be shown where a notebook is
    not trusted, and stored.

    Args:
        what: An `APIEndpoint`, `APIOrchestrationConfig`, `APIOrchestrator`, `OrchestrationResult`, `Run`,
            `Runs`, `RunStream` or `ApiError`.

    Raises:
        TypeError: it is none of these.
    """
    for kind, make in _CARDS:
        if isinstance(what, kind):
            return make(what)
    raise TypeError(f"there is no card of {type(what).__name__}")
