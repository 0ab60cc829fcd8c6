"""What the pages state about the code is what the code says: numbers, orders, trees and lists."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import rxorch
from rxorch import events, operators
from rxorch.endpoint import stack
from rxorch.endpoint.retry_rules import RETRYABLE_STATUSES, THROTTLED_BASE
from rxorch.http import AioHttpTransport
from rxorch_operators import CircuitPolicy, RetryBudget, TtlCache
from tests.docs.test_docs import errors_of_the_tree
from tests.operators.core.test_demand import STOCK

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def spoken(name: str) -> str:
    """The text of a page, with every line break a space."""
    return " ".join((ROOT / "docs" / name).read_text().split())


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


def stated() -> Iterator[str]:
    """What the page of policies says about defaults, written with the defaults of the code."""
    endpoint = rxorch.APIEndpoint(name="a", url="https://api.example.com")
    assert endpoint.max_response_bytes is not None
    config, circuit, transport = rxorch.APIOrchestrationConfig(), CircuitPolicy(), defaults(AioHttpTransport)
    budget, cache = defaults(RetryBudget), defaults(TtlCache)
    *statuses, last = map(str, sorted(RETRYABLE_STATUSES))
    yield f"| {endpoint.max_attempts} attempts |"
    yield f"first: {endpoint.retry_count} by default"
    yield f"| none; {config.total_timeout:g} s for a run |"
    yield f"| {config.circuit_breaker_threshold} in a row, {config.circuit_breaker_timeout:g} s |"
    yield f"| {endpoint.timeout:g} s |"
    yield f"| {endpoint.max_response_bytes >> 20} MiB |"
    yield f"After {circuit.threshold} failures in a row it opens"
    yield f"After {circuit.timeout:g} s it is half-open and lets {circuit.half_open_permits} calls through"
    yield f"Each has {circuit.lease:g} s"
    yield f"at most {100 * budget['ratio']:g} % of the calls in the last {budget['window']:g} s"
    yield f"{budget['floor']} are always allowed"
    yield f"`rate_limit_window` ({config.rate_limit_window:g} s)"
    yield f"at most {cache['max_entries']:,} of them"
    yield f"the statuses {', '.join(statuses)} and {last}"
    yield f"At most {transport['limit']} connections, kept for {transport['keepalive']:g} s when idle"
    yield f"{THROTTLED_BASE:g} s after a 429 or 503"


@pytest.mark.parametrize("fact", list(stated()))
def test_the_page_of_policies_has_the_numbers_of_the_code(fact: str) -> None:
    assert fact in spoken("policies.md")


def test_the_table_of_the_retry_policy_has_its_defaults() -> None:
    text = (ROOT / "docs" / "policies.md").read_text().partition("| field of `RetryPolicy` |")[2]
    rows = re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", text.partition("\n\n")[0], re.MULTILINE)
    policy = rxorch.RetryPolicy()
    assert dict(rows) == {field.name: str(getattr(policy, field.name)) for field in fields(policy)}


def test_the_stack_on_the_page_is_that_of_the_code() -> None:
    order = re.compile(r"fallback -> total timeout .*? validate", re.DOTALL)
    (page,) = order.findall((ROOT / "docs" / "policies.md").read_text())
    (code,) = order.findall(stack.__doc__ or "")
    assert page.split() == code.split()


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    tree = (ROOT / "docs" / "errors.md").read_text().partition("```text\n")[2].partition("```")[0]
    path: list[str] = []
    for branches, name in re.findall(r"(?m)^([|` -]*)(\w+)", tree):
        path = [*path[: len(branches) // 4], name]
        assert path[0] == "ApiError"
        assert all(issubclass(getattr(rxorch, name), getattr(rxorch, parent)) for parent in path)
    named = set(re.findall(r"\w+(?:Error|Exceeded)\b", tree)) - {"TimeoutError", "ValueError"}
    assert named == set(errors_of_the_tree())


def test_the_modes_are_all_there() -> None:
    for page in ("docs/modes.md", "README.md"):
        text = (ROOT / page).read_text()
        assert [mode.name for mode in rxorch.OrchestrationMode if f"| {mode.name} |" not in text] == []


def test_the_index_of_events_is_complete() -> None:
    records = [name for name in events.__all__ if name not in ("Event", "EventBus")]
    assert [name for name in records if f"`{name}`" not in ARCHITECTURE.read_text()] == []


def test_the_stock_operators_that_hold_demand_are_those_tested() -> None:
    text = spoken("architecture.md")
    listed = text.partition("through these stock operators: ")[2].partition(". ")[0].split(", ")
    assert {name.removesuffix("_action") for name in listed} == set(STOCK)


def test_every_operator_is_on_its_page() -> None:
    text = (ROOT / "docs" / "operators.md").read_text()
    assert [name for name in operators.__all__ if f"`{name}`" not in text] == []
