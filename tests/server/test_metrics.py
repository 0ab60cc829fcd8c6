"""/metrics, read by the parser of Prometheus' own client."""

from __future__ import annotations

import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rxorch import APIEndpoint, APIOrchestrator
from rxorch.saga import MemoryJournal, Saga
from rxorch.server import create_app
from rxorch.server.metrics_text import metrics_text
from rxorch.server.state import STATE
from tests.server.conftest import Ask, Serve, Upstream, endpoint, parallel_of
from tests.support.loopback import Loopback

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> tuple[dict[str, str], Samples]:
    """The kinds of the families, and all samples."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    return {family.name: family.type for family in families}, samples


def at(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_what_a_flow_has_done(services: Loopback, upstream: Upstream, serve: Serve, ask: Ask) -> None:
    flow = parallel_of(
        endpoint(services, "users", retry_count=1, retry_delay=0.001),
        endpoint(services, "orders"),
        circuit_breaker_threshold=1,
    )
    server = await serve({"profile": flow})
    url = f"{server.url}/orchestrations/profile"
    for each in ({"id": 1}, {"id": 2}):
        await ask("POST", url, json=each)
    upstream.orders = 500
    await ask("POST", url, json={"id": 3})
    kinds, samples = parsed((await ask("GET", f"{server.url}/metrics")).text)
    assert at(samples, "rxorch_process_info", pid=str(os.getpid())) == 1
    assert at(samples, "rxorch_http_answers_total", status="200") == 2
    assert at(samples, "rxorch_http_answers_total", status="206") == 1
    assert at(samples, "rxorch_calls_total", flow="profile", endpoint="users") == 3
    assert at(samples, "rxorch_call_errors_total", flow="profile", endpoint="orders") == 1
    assert at(samples, "rxorch_runs_total", flow="profile", outcome="ok") == 2
    assert at(samples, "rxorch_runs_total", flow="profile", outcome="failed") == 1
    assert at(samples, "rxorch_runs_open", flow="profile") == 0
    assert at(samples, "rxorch_circuit_state", flow="profile", endpoint="orders", state="open") == 1
    assert at(samples, "rxorch_circuit_state", flow="profile", endpoint="users", state="closed") == 1
    assert at(samples, "rxorch_call_duration_seconds_count", flow="profile", endpoint="users") == 3
    assert 0 < at(samples, "rxorch_call_duration_seconds_sum", flow="profile", endpoint="users") < 60
    assert kinds["rxorch_call_duration_seconds"] == "summary"
    assert (kinds["rxorch_calls"], kinds["rxorch_runs_open"]) == ("counter", "gauge")
    assert not any(name == "rxorch_dead_letters" for name, _ in samples)


async def test_dead_letters_of_sagas(services: Loopback, upstream: Upstream, serve: Serve, ask: Ask) -> None:
    server = await serve({"order": Saga("order", [endpoint(services, "orders")], journal=MemoryJournal())})
    _, samples = parsed((await ask("GET", f"{server.url}/metrics")).text)
    assert at(samples, "rxorch_dead_letters") == 0
    await ask("POST", f"{server.url}/orchestrations/order", json={"id": 1})
    _, samples = parsed((await ask("GET", f"{server.url}/metrics")).text)
    assert at(samples, "rxorch_runs_total", flow="order", outcome="ok") == 1


@pytest.mark.parametrize("label", ['a"b', "a\\b", "a\nb", "ünï", 'a\\\n"'])
def test_labels_are_escaped(label: str) -> None:
    flow = APIOrchestrator(APIEndpoint(name="user", url="https://api.example.com/users/{id}"))
    state = create_app({"user": flow})[STATE]
    state.flows = {label: flow}
    _, samples = parsed(metrics_text(state))
    assert at(samples, "rxorch_calls_in_flight", flow=label) == 0
