"""Cards of sagas, their runs and how these ended: states and steps, no inputs and no results."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from rxorch.draw.bundle import chosen_forms
from rxorch.draw.cards_declared import method_chip
from rxorch.draw.cards_html import (
    Html,
    address,
    and_more,
    card,
    chip,
    chips,
    code,
    cut,
    line,
    muted,
    strong,
    table,
)
from rxorch.draw.facts import printable
from rxorch.draw.masking import masked, shape_of
from rxorch.draw.words import bare
from rxorch.endpoint import APIEndpoint
from rxorch.http.redaction import redact_url
from rxorch.saga.picture import told_of
from rxorch.saga.records import RunRecord, SagaState
from rxorch.saga.run import SagaResult, SagaRun
from rxorch.saga.saga import Saga
from rxorch.saga.steps import Step
from rxorch_operators._seconds import seconds_words

__all__ = ["card_bundle", "saga_card_of"]

_MOST_STEPS: Final = 30
_KINDS: Final = {
    SagaState.COMPLETED: "ok",
    SagaState.COMPENSATED: "warned",
    SagaState.FAILED: "failed",
}


def card_bundle(
    what: Any, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, Any]:
    """What `_repr_mimebundle_` gives of a saga, a run of one, or how it ended."""
    return chosen_forms({"text/plain": masked(repr(what)), "text/html": saga_card_of(what)}, include, exclude)


def saga_card_of(what: Saga | SagaRun | SagaResult | RunRecord) -> str:
    """The card as HTML; see `rxorch.draw.cards.card_of`.

    Raises:
        TypeError: it is nothing of a saga.
    """
    for kind, make in _CARDS:
        if isinstance(what, kind):
            return make(what)
    raise TypeError(f"there is no card of {type(what).__name__}")


def _saga(saga: Saga) -> Html:
    steps = [*saga.definition.steps.values()]
    rows = [_step(step) for step in steps[:_MOST_STEPS]]
    more = len(steps) - len(rows)
    return card(
        line(strong("Saga"), strong(cut(saga.name)), muted(f"{len(steps)} steps")),
        table(("step", "does", "undone by", ""), rows),
        line(and_more(more)),
        line(muted("runs are kept in"), code(type(saga.journal).__name__)),
    )


def _step(step: Step) -> tuple[object, ...]:
    marks = [chip(mark, "warned") for mark in ("pivot", "retriable") if getattr(step, mark)]
    return strong(cut(step.name, 60)), _doing(step.endpoint), _undoing(step.compensation), chips(marks)


def _doing(leaf: Any) -> Html:
    if not isinstance(leaf, APIEndpoint):
        kind = str(getattr(leaf, "kind", "call"))
        return chip("function" if kind == "call" else kind, "muted")
    return Html(f"{method_chip(leaf.method)} {address(cut(bare(redact_url(leaf.url)), 60))}")


def _undoing(undo: Any) -> Html:
    if undo is None:
        return muted("nothing")
    if isinstance(undo, APIEndpoint):
        return _doing(undo)
    return code(f"{getattr(undo, '__name__', type(undo).__name__)}()")


def _run(run: SagaRun) -> Html:
    return card(
        line(strong("SagaRun"), code(cut(run.run_id)), muted("of"), strong(cut(run.saga.name))),
        line(chips([cut(name, 40) for name in run.saga.definition.steps], "muted")),
        line(muted("its picture:"), code("await run.show()"), muted("· its end:"), code("await run")),
    )


def _result(result: SagaResult) -> Html:
    kept = result.value is not None
    return card(
        line(strong("SagaResult"), _state(result.state), code(cut(result.run_id))),
        line(muted("value"), code(shape_of(result.value))) if kept else "",
        _because(result.error),
    )


def _record(run: RunRecord) -> Html:
    time = seconds_words(run.changed - run.began) if run.state.is_over else "not over"
    owner = f"driven by {printable(run.owner)}" if run.owner else ""
    return card(
        line(strong(cut(run.saga)), code(cut(run.run_id)), _state(run.state), muted(time)),
        _because(run.error),
        line(muted(owner)) if owner else "",
    )


def _state(state: SagaState) -> Html:
    return chip(str(state).replace("_", " "), _KINDS.get(state, "busy"))


def _because(error: dict[str, str] | None) -> Html:
    if not error:
        return Html("")
    step = error.get("step")
    return line(muted("because of"), strong(cut(step, 60)) if step else "", code(masked(told_of(error))))


_CARDS: Final[tuple[tuple[type, Callable[[Any], Html]], ...]] = (
    (Saga, _saga),
    (SagaRun, _run),
    (SagaResult, _result),
    (RunRecord, _record),
)
