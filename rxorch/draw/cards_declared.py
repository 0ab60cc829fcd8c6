"""Cards of what is declared: endpoint, configuration, orchestrator."""

from __future__ import annotations

from typing import Any, Final

from rxorch.config import APIOrchestrationConfig
from rxorch.draw.bundle import image_of
from rxorch.draw.cards_html import (
    Html,
    address,
    and_more,
    card,
    chip,
    chips,
    code,
    cut,
    details,
    joined,
    line,
    muted,
    strong,
    table,
)
from rxorch.draw.facts import EndpointFacts, facts_of, settings_of
from rxorch.draw.picture import flow_picture
from rxorch.draw.subject import Drawable
from rxorch.draw.theme import METHODS
from rxorch.draw.words import bare
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiError
from rxorch.flow import Flow
from rxorch.orchestrator import APIOrchestrator
from rxorch_operators import CircuitState
from rxorch_operators._seconds import seconds_words

__all__ = ["config_card", "endpoint_card", "method_chip", "orchestrator_card"]

_MOST_ENDPOINTS: Final = 12
_DRAWN: Final = 40
"""Endpoints up to which a card has a picture in it."""

_METHOD_CHIPS: Final = {"get": "ok", "delete": "failed", "write": "write"}
_NOT_AGAIN: Final = frozenset({"name", "url", "method"})


def endpoint_card(endpoint: APIEndpoint) -> Html:
    """What is called, under which policies."""
    facts = facts_of(endpoint, APIOrchestrationConfig())
    needs = [code(f"{{{field}}}") for field in endpoint.template_fields]
    settings = [
        (field, code(cut(getattr(value, "__name__", None) or repr(value))))
        for field, value in endpoint.__repr_args__()
        if field is not None and field not in _NOT_AGAIN
    ]
    return card(
        line(strong(facts.name), method_chip(facts.method), address(cut(facts.url))),
        line(chips(_chips(facts))),
        line(muted("takes"), *needs[:_MOST_ENDPOINTS]) if needs else "",
        details("settings", table((), settings)) if settings else "",
    )


def config_card(config: APIOrchestrationConfig) -> Html:
    """What runs, and how."""
    return _declared_card("APIOrchestrationConfig", config.mode.value, config, config.flow(), config)


def orchestrator_card(orchestrator: APIOrchestrator) -> Html:
    """What runs, how, and what it has done so far."""
    flow, config = orchestrator.flow, orchestrator.config
    kind = config.mode.value if config.endpoints else getattr(getattr(flow, "kind", None), "value", "")
    return _declared_card(
        "APIOrchestrator",
        kind,
        orchestrator,
        flow,
        config,
        _figures(orchestrator),
        _breakers(orchestrator),
    )


def method_chip(method: str) -> Html:
    """A method in its colour."""
    return chip(method, _METHOD_CHIPS[METHODS.get(method, "write")])


def _declared_card(
    title: str, kind: str, what: Drawable, flow: Flow, config: APIOrchestrationConfig, *more: object
) -> Html:
    endpoints = list(flow.endpoints())
    told = card(
        line(strong(title), chip(kind, "write") if kind else "", muted(_counted(len(endpoints)))),
        line(chips(settings_of(config))),
        *more,
        _endpoint_table(endpoints, config),
    )
    return joined([told, _picture(what, len(endpoints))])  # below the card is more room for it


def _endpoint_table(endpoints: list[APIEndpoint], config: APIOrchestrationConfig) -> Html:
    if not endpoints:
        return Html("")
    shown = [facts_of(each, config) for each in endpoints[:_MOST_ENDPOINTS]]
    rows = [
        (strong(each.name), method_chip(each.method), address(cut(bare(each.url), 70)), chips(_chips(each)))
        for each in shown
    ]
    more = len(endpoints) - len(shown)
    return Html(table((), rows) + line(and_more(more)))


def _chips(facts: EndpointFacts) -> list[Any]:
    before = [f"after {name}" for name in facts.depends_on]
    condition = [] if facts.condition is None else [chip(f"if {facts.condition}", "warned")]
    return [*facts.chips, *condition, *(chip(each, "muted") for each in before)]


def _picture(what: Drawable, endpoints: int) -> Html:
    if not 2 <= endpoints <= _DRAWN:
        return Html("")
    try:
        picture = flow_picture(what)
    except ApiError:  # of a flow that cannot be planned there is no picture
        return Html("")
    return details("picture", Html(image_of("flow", picture.svg())))


def _figures(orchestrator: APIOrchestrator) -> Html:
    figures = orchestrator.get_metrics()
    if not figures.calls:
        return Html("")
    said = [
        f"{figures.calls:,} calls",
        f"{figures.success_rate:.3g} % ok",
        f"{figures.retries:,} retries",
        f"p95 {seconds_words(figures.p95 / 1000)}",
    ]
    if figures.cache_hits:
        said.append(f"{figures.cache_hits:,} from the cache")
    if orchestrator.in_flight:
        said.append(f"{orchestrator.in_flight:,} in flight")
    return line(muted(" · ".join(said)))


def _breakers(orchestrator: APIOrchestrator) -> Html:
    states = {name: getattr(each, "state", None) for name, each in orchestrator.breakers.items()}
    found = [
        chip(f"{name}: circuit {state.value.replace('_', ' ')}", "failed")
        for name, state in states.items()
        if isinstance(state, CircuitState) and state is not CircuitState.CLOSED
    ]
    return line(chips(found))


def _counted(number: int) -> str:
    return f"{number:,} endpoint{'' if number == 1 else 's'}"
