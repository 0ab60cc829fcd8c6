"""The traps that others fell into, who fell, and the test that keeps us out: no trap without a test."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Trap:
    """One trap.

    Args:
        what: What goes wrong.
        seen_in: Where it did.
        tests: The tests, as file and function.
    """

    what: str
    seen_in: str
    tests: tuple[str, ...]


TRAPS = [
    Trap(
        "a half-open probe that is cancelled closes the circuit",
        "Polly",
        (
            "operators/engines/test_circuit_trials.py::test_trap_a_cancelled_half_open_probe_closes_the_circuit",
            "operators/test_circuit_breaker.py::test_trap_a_cancelled_trial_neither_closes_nor_wedges",
        ),
    ),
    Trap(
        "a half-open probe that is cancelled or hangs wedges the circuit for ever",
        "resilience4j #544, #903, #2120",
        (
            "operators/engines/test_circuit_trials.py::test_trap_a_cancelled_half_open_probe_wedges_the_circuit_for_ever",
            "operators/engines/test_circuit_trials.py::test_trap_a_hung_probe_wedges_the_circuit_for_ever",
            "operators/test_circuit_breaker.py::test_trap_a_trial_that_hangs_loses_its_lease",
        ),
    ),
    Trap(
        "a cancelled call of the closed state adds probes to the half-open state",
        "resilience4j releasePermission",
        (
            "operators/test_circuit_breaker.py::test_trap_a_cancelled_call_of_the_closed_state_adds_no_trials",
            "operators/engines/test_circuit_trials.py::test_trap_a_call_of_the_closed_state_adds_probes_to_the_half_open_state",
        ),
    ),
    Trap(
        "a count shared by all subscriptions",
        "resilience4j RetryTransformer, RxPY before #765",
        ("operators/test_traps.py::test_trap_a_count_shared_by_all_subscriptions",),
    ),
    Trap(
        "waiting for a permit that cannot be cancelled, or that blocks the thread",
        "resilience4j FlowableRateLimiter, SemaphoreBulkhead",
        (
            "operators/test_rate_limit_traps.py::test_trap_waiting_for_a_permit_that_cannot_be_cancelled",
            "operators/test_rate_limit_traps.py::test_trap_waiting_for_a_permit_that_blocks_the_thread",
        ),
    ),
    Trap(
        "CancelledError caught and retried",
        "tenacity #529",
        ("operators/test_traps.py::test_trap_a_cancellation_that_is_caught_and_retried",),
    ),
    Trap(
        "wall clocks: a step back of the clock silences the operator",
        "RxPY throttle_first",
        (
            "operators/test_rate_limit_traps.py::test_trap_a_step_back_of_the_wall_clock_silences_throttle_first_and_not_throttle",
            "operators/engines/test_tally.py::test_trap_wall_clocks_a_step_back_does_not_lose_events",
        ),
    ),
    Trap(
        "herd: the same Retry-After given to 55 waiting calls, released at once",
        "aiohttp_retry #59",
        (
            "operators/test_rate_limit_traps.py::test_trap_a_herd_that_was_given_the_same_retry_after_is_released_at_once",
            "operators/engines/test_backoff.py::test_trap_herd_the_same_retry_after_given_to_55_waiters_does_not_release_them_at_once",
        ),
    ),
    Trap(
        "an unbounded queue behind a cap",
        "RxPY _merge.py, RxJS mergeInternals",
        ("operators/test_flat_map_traps.py::test_trap_an_unbounded_queue_behind_a_cap",),
    ),
    Trap(
        "ordered mode that stalls the whole pool behind one slow item",
        "aiostream #89",
        (
            "operators/test_flat_map_traps.py::test_trap_an_ordered_mode_that_stalls_the_whole_pool_behind_one_slow_item",
        ),
    ),
    Trap(
        "a cap check that races",
        "failsafe-go TryAcquirePermit",
        ("operators/test_rate_limit_traps.py::test_trap_a_cap_check_that_races_with_the_call_it_lets_go",),
    ),
    Trap(
        "singleflight: the first waiter's cancellation cancels all",
        "golang #55343",
        (
            "operators/test_coalesce.py::test_trap_the_first_ones_cancellation_is_nobody_elses",
            "operators/test_coalesce_guard.py::test_trap_singleflight_the_first_waiters_cancellation_cancels_all",
        ),
    ),
    Trap(
        "disposing one subscriber cancels the future of the others",
        "RxPY from_future",
        ("operators/test_traps.py::test_trap_disposing_one_subscriber_cancels_the_future_of_the_others",),
    ),
    Trap(
        "flat_map of an async def leaks an un-awaited coroutine",
        "RxPY",
        (
            "operators/test_flat_map_traps.py::test_trap_flat_map_of_an_async_function_leaks_an_unawaited_coroutine",
        ),
    ),
    Trap(
        "a timeout that fires on another thread with a bare Exception",
        "RxPY ops.timeout",
        ("operators/test_traps.py::test_trap_a_timeout_on_another_thread_with_a_bare_exception",),
    ),
    Trap(
        "a blocking run where a loop runs already; nest_asyncio",
        "RxPY Observable.run, asyncio.run in a notebook",
        (
            "operators/test_traps.py::test_trap_a_blocking_run_where_a_loop_runs_already",
            "test_orchestrator_loops.py::test_run_blocks_a_running_loop_and_comes_back_with_the_result",
        ),
    ),
    Trap(
        "what on_next raises vanishes without a word",
        "RxPY",
        ("operators/test_traps.py::test_trap_what_on_next_raises_vanishes",),
    ),
    Trap(
        "a test clock that moves by itself after 100 actions of one instant",
        "RxPY TestScheduler",
        ("operators/test_traps.py::test_trap_a_test_clock_that_moves_by_itself",),
    ),
    Trap(
        "a session bound to the loop that it was made on",
        "aiohttp",
        ("test_orchestrator_loops.py::test_two_loops_one_after_another",),
    ),
]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.what)
def test_every_trap_has_a_test(trap: Trap) -> None:
    assert trap.tests
    assert [test for test in trap.tests if not exists(test)] == []


def exists(test: str) -> bool:
    """Whether a test function of that name stands in that file."""
    file, _, name = test.partition("::")
    path = ROOT / "tests" / file
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return path.exists() and any(
        isinstance(node, functions) and node.name == name for node in ast.parse(path.read_text()).body
    )


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert not exists("operators/test_traps.py::test_trap_nobody_ever_fell_into")
    assert not exists("operators/test_nothing.py::test_trap_a_count_shared_by_all_subscriptions")
    assert exists("test_traps.py::test_every_trap_has_a_test")


def test_loops_are_not_nested() -> None:
    """`nest_asyncio` drops queued cells: nothing of ours may want it."""
    sources = [*(ROOT / "rxorch").rglob("*.py"), *(ROOT / "operators").rglob("*.py")]
    assert [path.name for path in sources if "nest_asyncio" in path.read_text()] == []
