"""The figures of all flows in the text format of Prometheus."""

from __future__ import annotations

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

_Sample = tuple[dict[str, str], float]


def metrics_text(state: ServerState) -> str:
    """All figures; counts since the application was made, times in seconds."""
    return "".join(f"{line}\n" for line in _lines(state))


def _lines(state: ServerState) -> Iterator[str]:
    answers = [({"status": str(status)}, count) for status, count in sorted(state.answers.items())]
    yield from _family("rxorch_http_answers_total", "counter", "Answers, by status.", answers)
    yield from _family("rxorch_runs_in_flight", "gauge", "Requests that run a flow now.", [({}, state.runs)])
    in_flight = [({"flow": name}, each.in_flight) for name, each in state.flows.items()]
    yield from _family("rxorch_calls_in_flight", "gauge", "Calls under way.", in_flight)
    figures = [
        ({"flow": flow, "endpoint": endpoint}, each)
        for flow, orchestrator in state.flows.items()
        for endpoint, each in orchestrator.get_metrics().endpoints.items()
    ]
    for name, attribute, text in _COUNTERS:
        counts = [(labels, getattr(each, attribute)) for labels, each in figures]
        yield from _family(f"rxorch_{name}_total", "counter", text, counts)
    yield from _durations(figures)


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
    # Names of flows and endpoints have no quotes, backslashes or line ends: nothing has to be escaped.
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return (
        f"{name}{{{shown}}} {value:g}" if shown and isinstance(value, float) else _whole(name, shown, value)
    )


def _whole(name: str, shown: str, value: float) -> str:
    return f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"
