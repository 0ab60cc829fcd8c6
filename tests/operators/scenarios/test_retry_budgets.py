"""How many repeats a client may make in all: Finagle, Envoy and gRPC."""

from __future__ import annotations

from dataclasses import dataclass

from rxorch_operators.engines.budget import RetryBudget
from tests.operators.scenarios.scenario import Scenario, rows

FINAGLE = "Finagle, RetryBudgetTest: "
ENVOY = "Envoy, circuit_breaker.proto, RetryBudget: "


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetScenario(Scenario):
    """A budget, calls at second 0, and how many of so many requests for a repeat are granted.

    They come one after each call when `at` is None, else all together at that second.
    """

    ratio: float
    floor: int
    window: float = 10.0
    calls: int
    asked: int = 0
    at: float | None = None
    granted: int


SCENARIOS = (
    BudgetScenario(
        name="Finagle grants one repeat for ten calls",
        source=FINAGLE + "apply minRetriesPerSec=0, 0.1",
        ratio=0.1,
        floor=0,
        calls=2_000,
        granted=200,
    ),
    BudgetScenario(
        name="Finagle grants one repeat for two calls",
        source=FINAGLE + "apply minRetriesPerSec=0, 0.5",
        ratio=0.5,
        floor=0,
        calls=2_000,
        granted=1_000,
    ),
    BudgetScenario(
        name="Finagle grants three repeats for four calls",
        source=FINAGLE + "apply minRetriesPerSec=0, 0.75",
        ratio=0.75,
        floor=0,
        calls=2_000,
        granted=1_500,
    ),
    BudgetScenario(
        name="Finagle grants one repeat for ten thousand calls",
        source=FINAGLE + "apply minRetriesPerSec=0, 0.0001",
        ratio=0.0001,
        floor=0,
        calls=10_000,
        granted=1,
    ),
    BudgetScenario(
        name="Finagle may grant more repeats than there were calls",
        source=FINAGLE + "apply minRetries=0 maxPercentOver greater than 1.0",
        ratio=2.0,
        floor=0,
        calls=500,
        asked=1_200,
        at=0.0,
        granted=1_000,
    ),
    BudgetScenario(
        name="Finagle grants nothing before the first call without a reserve",
        source=FINAGLE + "apply minRetriesPerSec=0, the initial balance",
        ratio=0.5,
        floor=0,
        calls=0,
        asked=3,
        at=0.0,
        granted=0,
    ),
    BudgetScenario(
        name="Finagle grants the reserve before the first call",
        source=FINAGLE + "apply with minRetries and maxPercentOver=0, the initial balance",
        ratio=0.0,
        floor=10,
        calls=0,
        asked=30,
        at=0.0,
        granted=10,
    ),
    BudgetScenario(
        name="Finagle grants only the reserve at a share of zero",
        source=FINAGLE + "apply with minRetries and maxPercentOver=0",
        ratio=0.0,
        floor=10,
        calls=2_000,
        granted=10,
    ),
    BudgetScenario(
        name="Finagle grants nothing at a share of zero without a reserve",
        source=FINAGLE + "apply minRetriesPerSec=0 maxPercentOver=0 should be empty",
        ratio=0.0,
        floor=0,
        calls=100,
        granted=0,
    ),
    BudgetScenario(
        name="Finagle lets deposits expire",
        source="Finagle, RetryBudget scaladoc: ttl",
        ratio=0.5,
        floor=0,
        calls=100,
        asked=100,
        at=11.0,
        granted=0,
    ),
    BudgetScenario(
        name="Finagle keeps deposits within their time",
        source="Finagle, RetryBudget scaladoc: ttl",
        ratio=0.5,
        floor=0,
        calls=100,
        asked=100,
        at=9.0,
        granted=50,
    ),
    BudgetScenario(
        name="Envoy grants a quarter of a hundred requests",
        source=ENVOY + "budget_percent of 25",
        ratio=0.25,
        floor=3,
        calls=100,
        asked=40,
        at=0.0,
        granted=25,
    ),
    BudgetScenario(
        name="Envoy never goes below its least number",
        source=ENVOY + "min_retry_concurrency, default 3, at the default of 20 percent",
        ratio=0.2,
        floor=3,
        calls=5,
        asked=9,
        at=0.0,
        granted=3,
    ),
)

DIFFERS = (
    BudgetScenario(
        name="Finagle adds the reserve to the share",
        source=FINAGLE + "apply with minRetries and maxPercentOver, 0.1 and a reserve of 10",
        why="Ours takes the larger of both: the floor is for quiet clients, and a busy one is held to its "
        "share.",
        ratio=0.1,
        floor=10,
        calls=2_000,
        granted=200,
    ),
    BudgetScenario(
        name="Envoy bounds the retries under way and not those in a window",
        source=ENVOY + "limit on concurrent retries",
        why="Ours counts repeats over its window and gets nothing back when one ends: what loads the other "
        "side is the number of requests, not how long they take.",
        ratio=0.2,
        floor=3,
        calls=10,
        asked=9,
        at=5.0,
        granted=3,
    ),
    BudgetScenario(
        name="gRPC stops retries by the number of failures",
        source="gRPC proposal A6 (client retries): Throttling Retry Attempts, 10 tokens and a ratio of 0.1",
        why="There a failure takes a token and a success gives a tenth back, so of five failures in a row "
        "four may be repeated. Ours asks for each repeat and looks at calls, good or bad.",
        ratio=0.1,
        floor=3,
        calls=5,
        granted=3,
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_budget(row: BudgetScenario) -> None:
    budget = RetryBudget(ratio=row.ratio, window=row.window, floor=row.floor)
    granted = 0
    for _ in range(row.calls):
        budget.record_call(0.0)
        if row.at is None:
            granted += budget.try_spend(0.0)
    if row.at is not None:
        granted = sum(budget.try_spend(row.at) for _ in range(row.asked))
    assert granted == row.granted
    assert budget.statistics(row.at or 0.0).granted == granted
