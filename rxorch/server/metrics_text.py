"""The figures of all flows and sagas in the text format of Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from rxorch.observe import EndpointFigures
from rxorch.server.state import ServerState

__all__ = ["metrics_text"]

_COUNTERS: Final = (
    ("requests", "total_requests", "Requests put on the wire."),
    ("calls", "calls", "Calls that ended."),
    ("call_errors", "errors", "Calls that failed."),
    ("calls_degraded", "degraded", "Calls whose value is a substitute for an error."),
    ("retries", "retries", "Attempts beyond the first of their call."),
    ("cache_hits", "cache_hits", "Calls answered from the cache."),
)
_QUANTILES: Final = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

_Sample = tuple[dict[str, str], float]


def metrics_text(state: ServerState, *, dead_letters: int | None = None) -> str:
    """All figures of this process; counts since the application was made, times in seconds.

    Args:
        state: Of the application.
        dead_letters: Runs of sagas that a person has to look at; None: there are no sagas, or nobody knows.
    """
    return "".join(f"{line}\n" for line in _lines(state, dead_letters))


def _lines(state: ServerState, dead_letters: int | None) -> Iterator[str]:
    process = [({"pid": str(os.getpid())}, 1)]
    yield from _family("rxorch_process_info", "gauge", "The process that these figures are of.", process)
    answers = [({"status": str(status)}, count) for status, count in sorted(state.answers.items())]
    yield from _family("rxorch_http_answers_total", "counter", "Answers, by status.", answers)
    yield from _family("rxorch_runs_in_flight", "gauge", "Requests that run a flow now.", [({}, state.runs)])
    yield from _runs(state)
    if dead_letters is not None:
        text = "Runs of sagas that wait for a person, in the journals."
        yield from _family("rxorch_dead_letters", "gauge", text, [({}, dead_letters)])
    in_flight = [({"flow": name}, each.in_flight) for name, each in state.flows.items()]
    yield from _family("rxorch_calls_in_flight", "gauge", "Calls under way.", in_flight)
    yield from _circuits(state)
    figures = [
        ({"flow": flow, "endpoint": endpoint}, each)
        for flow, orchestrator in state.flows.items()
        for endpoint, each in orchestrator.get_metrics().endpoints.items()
    ]
    for name, attribute, text in _COUNTERS:
        counts = [(labels, getattr(each, attribute)) for labels, each in figures]
        yield from _family(f"rxorch_{name}_total", "counter", text, counts)
    yield from _durations(figures)


def _runs(state: ServerState) -> Iterator[str]:
    tallies = state.book.tallies.items()
    under_way = [({"flow": name}, tally.in_flight) for name, tally in tallies]
    yield from _family("rxorch_runs_open", "gauge", "Runs that have not ended, by flow or saga.", under_way)
    ended = [
        ({"flow": name, "outcome": outcome}, count)
        for name, tally in tallies
        for outcome, count in (
            ("ok", tally.ok),
            ("failed", tally.failed),
            ("cancelled", tally.ended - tally.ok - tally.failed),
        )
    ]
    yield from _family("rxorch_runs_total", "counter", "Runs that ended, by flow or saga.", ended)


def _circuits(state: ServerState) -> Iterator[str]:
    states: list[_Sample] = [
        ({"flow": flow, "endpoint": endpoint, "state": breaker.state.value}, 1)
        for flow, orchestrator in state.flows.items()
        for endpoint, breaker in orchestrator.breakers.items()
    ]
    yield from _family("rxorch_circuit_state", "gauge", "1 for the state that a circuit is in.", states)


def _durations(figures: list[tuple[dict[str, str], EndpointFigures]]) -> Iterator[str]:
    name = "rxorch_call_duration_seconds"
    yield f"# HELP {name} Duration of calls."
    yield f"# TYPE {name} summary"
    for labels, each in figures:
        for quantile, attribute in _QUANTILES:
            yield _sample(name, {**labels, "quantile": quantile}, getattr(each, attribute) / 1000)
        yield _sample(f"{name}_sum", labels, each.avg_latency * each.calls / 1000)
        yield _sample(f"{name}_count", labels, each.calls)


def _family(name: str, kind: str, text: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"
