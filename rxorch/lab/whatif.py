"""whatif: recorded calls under another policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rxorch.draw.subject import Drawable
from rxorch.errors import ApiConfigurationError
from rxorch.lab.comparison import AS_RECORDED, Comparison, Side, Worst
from rxorch.lab.figures import Played, Price, checked_price, figures_of, recorded_calls
from rxorch.lab.policy import Given, Policy, given_of
from rxorch.lab.reading import tape_of
from rxorch.lab.replay import replay
from rxorch.lab.tape import Tape
from rxorch.worst_case.calls import call_cost

__all__ = ["whatif"]

AS_IT_WAS: Final = "as it was"
"""The replay under the policies of then."""


def whatif(
    recorded: Any,
    policy: Policy | Mapping[str, Policy],
    *,
    flow: Drawable | None = None,
    price: Price | None = None,
    seed: int = 0,
) -> Comparison:
    """What recorded calls would have come to under another policy: success, seconds, requests, cost.

    Every call is made again, in virtual time, through the same policy stack that calls go through. Attempts
    end as they were recorded. Those that were not made then are drawn from what the endpoint answered at
    about that time, the same way for all policies, and counted as `guessed`: the more of them, the less is
    known.

    A call begins when it began then, so that a policy that is slower or faster does not change what follows
    it. Answers of caches stay as they were. Server and client are not loaded more by more requests.

    Args:
        recorded: A `Recording`, the result of `execute`, a list of events, records of a ledger, or a `Tape`.
        policy: A `Policy`, or several by name.
        flow: The flow, configuration or orchestrator that was recorded: a policy changes what is said there.
            None: endpoints as they are by default, called by GET.
        price: Of a request, for all endpoints or by name.
        seed: Of the drawing, and of the jitter.

    Returns:
        A `Comparison`; `text()` and a notebook show it.

    Raises:
        ApiConfigurationError: There is nothing in what was recorded, or a policy cannot be.

    >>> from rxorch.lab import Policy, Tape, TapedAttempt, TapedCall
    >>> refused, answered = TapedAttempt(0.0, 0.1, "status", 503), TapedAttempt(0.5, 0.1, "ok")
    >>> calls = TapedCall("user", 0.0, 0.1, False, (refused,)), TapedCall("user", 0.5, 0.1, True, (answered,))
    >>> tape = Tape(calls)
    >>> found = whatif(tape, Policy(retry_count=4, retry_delay=0.2, retry_jitter="none"))
    >>> found.recorded.success, found["what if"].figures.success
    (0.5, 1.0)
    """
    tape = tape_of(recorded)
    prices = checked_price(price)
    given = given_of(flow, tape.endpoints)
    was = _side(AS_RECORDED, recorded_calls(tape), prices)
    sides = [was, _replayed(AS_IT_WAS, tape, given, prices, seed)]
    for name, each in _named(policy).items():
        sides.append(_replayed(name, tape, given.under(each), prices, seed, each))
    return Comparison(sides)


def _named(policy: Policy | Mapping[str, Policy]) -> dict[str, Policy]:
    policies = {"what if": policy} if isinstance(policy, Policy) else policy
    if not isinstance(policies, Mapping) or not policies:
        raise ApiConfigurationError("policy: give a Policy, or a mapping of names to policies")
    for name, each in policies.items():
        if not isinstance(name, str) or not isinstance(each, Policy) or name in (AS_RECORDED, AS_IT_WAS):
            raise ApiConfigurationError(
                f"policy: {name!r} has to be a text that leads to a Policy, and none of {AS_RECORDED!r} and "
                f"{AS_IT_WAS!r}"
            )
    return dict(policies)


def _replayed(
    name: str, tape: Tape, given: Given, price: Price | None, seed: int, policy: Policy | None = None
) -> Side:
    worst = {}
    for each in given.endpoints.values():
        cost = call_cost(each, given.config)
        worst[each.name] = Worst(cost.requests, cost.seconds)
    side = _side(name, replay(tape, given, seed), price)
    return replace(side, worst=worst, policy=policy)


def _side(name: str, calls: Sequence[Played], price: Price | None) -> Side:
    by_name: dict[str, list[Played]] = {}
    for call in calls:
        by_name.setdefault(call.endpoint, []).append(call)
    return Side(
        name, figures_of(calls, price), {each: figures_of(own, price) for each, own in by_name.items()}
    )
