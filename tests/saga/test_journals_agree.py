"""Whatever is done with journals, they all answer the same; and what holds after it, whatever it was."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch.errors import ApiError
from rxorch.saga import (
    AuditEvent,
    Claim,
    Journal,
    Lease,
    SagaState,
    StepRecord,
    StepStatus,
)
from tests.saga.journals import Clock, Journals, journals_of, new

Call: TypeAlias = tuple[str, dict[str, Any]]
"""A method and its arguments; a number in the place of a lease stands for one of those that were given."""

run_ids = st.sampled_from(["a", "a", "b"])
sagas = st.sampled_from(["order", "order", "refund"])
owners = st.sampled_from(["me", "you"])
seconds = st.sampled_from([5.0, 30.0])
leases = st.integers(-4, -1)
limits = st.sampled_from([0, 1, 2, 100])
errors = st.none() | st.dictionaries(st.sampled_from(["type", "message"]), st.text(max_size=3), max_size=2)
texts = st.none() | st.binary(max_size=4)
states = st.sampled_from(SagaState)
steps = st.builds(
    StepRecord,
    step=st.sampled_from(["pay", "pack"]),
    undo=st.booleans(),
    status=st.sampled_from(StepStatus) | st.just(StepStatus.FAILED),
    attempt=st.integers(1, 3),
    key=st.just("k"),
    began=st.integers(1, 4),
    ended=st.none() | st.integers(1, 4),
    input_json=texts,
    output_json=texts,
    error=errors,
    began_at=st.floats(0, 1e10),
    ended_at=st.none() | st.floats(0, 1e10),
    due=st.none() | st.just(float("inf")),
)


def call(method: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(method), st.fixed_dictionaries(arguments))


written = {
    "lease": leases,
    "steps": st.lists(steps, max_size=2),
    "error": errors,
    "result_json": texts,
}
calls = st.one_of(
    call("create", new=st.builds(new, run_ids, sagas), owner=owners, seconds=seconds),
    call("claim", run_id=run_ids, owner=owners, seconds=seconds),
    call("renew", lease=leases, seconds=seconds),
    call("release", lease=leases),
    call("post", lease=leases, step=steps),
    call("write", state=st.none(), **written),
    call("write", state=states, **written),
    call("write", state=st.just(SagaState.FAILED), **written),
    call("request_cancel", run_id=run_ids, reason=st.text(max_size=3)),
    call(
        "signal", run_id=run_ids, name=st.sampled_from(["paid", "packed"]), value_json=st.binary(max_size=3)
    ),
    call("reopen", run_id=run_ids),
    call("acknowledge", numbers=st.sets(st.integers(1, 30), max_size=5)),
    call("unclaimed", saga=sagas, limit=limits),
    call("outbox", limit=limits),
    call("history", run_id=run_ids, after=st.integers(0, 20)),
    call(
        "runs",
        saga=st.none() | sagas,
        states=st.none() | st.sets(states),
        limit=limits,
        after=st.none() | run_ids,
    ),
    call("move", by=st.sampled_from([1.0, 5.0, 31.0, -2.0])),
    call("switch"),
    call("aclose"),
)


class Played:
    """Journals of a kind, and the leases that they gave."""

    def __init__(self, journals: Journals, other: Journal) -> None:
        self.clock: Clock = journals.clock
        self.journal = journals.one
        self.other = other
        self.leases = [Lease("a", "me", 1)]

    async def answer(self, method: str, arguments: dict[str, Any]) -> Any:
        """What a call gives; the class of its error, if it raises one."""
        if method == "move":
            self.clock.now += arguments["by"]
            return None
        if method == "switch":
            await self.journal.run("a")  # nobody waits for what is posted, and the other would not find it
            self.journal, self.other = self.other, self.journal
            return None
        if "lease" in arguments:
            known = self.leases[-4:]
            arguments = {**arguments, "lease": known[arguments["lease"] % len(known)]}
        called: Callable[..., Any] = getattr(self.journal, method)
        try:
            answer: Any = called(**arguments)
            if answer is not None:  # as `post` gives
                answer = await answer
        except (ApiError, ValueError) as error:
            return type(error)
        if method == "aclose":
            await self.journal.open()
        claim = answer[0] if method == "create" else answer
        if isinstance(claim, Claim):
            self.leases.append(claim.lease)
        return answer

    async def all(self) -> list[Any]:
        """What is in the journal."""
        everything: list[Any] = [await self.journal.runs(), await self.journal.outbox()]
        for run_id in ("a", "b"):
            everything += [await self.journal.steps(run_id), await self.journal.history(run_id)]
        return everything


async def both(script: list[Call], folder: Path) -> list[Any]:
    """Plays a script on both kinds; gives what is in them in the end."""
    async with journals_of("memory", folder) as memory, journals_of("sqlite", folder) as sqlite:
        one = Played(memory, await memory.another())
        two = Played(sqlite, await sqlite.another())
        for number, (method, arguments) in enumerate(script):
            expected = await one.answer(method, arguments)
            found = await two.answer(method, arguments)
            assert found == expected, f"call {number}, {method}"
        everything = await one.all()
        assert await two.all() == everything
        return everything


def check(runs: list[Any], histories: list[list[AuditEvent]]) -> None:
    """What holds of a journal at any time."""
    for run, history in zip(runs, histories, strict=True):
        assert history[0].kind == "run.started" and run.changed == history[-1].at
        assert run.generation == 1 + sum(event.kind == "run.resumed" for event in history)
        assert not (run.state.is_over and run.owner)
        if run.state.is_over:
            ends = [event.kind for event in history if event.kind.startswith("run.")]
            assert ends[-1] == f"run.{run.state.value}"


@settings(max_examples=80, deadline=None)
@given(st.lists(calls, min_size=12, max_size=50))
def test_all_journals_answer_the_same(script: list[Call]) -> None:
    begun = [("create", {"new": new("a"), "owner": "me", "seconds": 30.0})]
    with tempfile.TemporaryDirectory() as folder:
        runs, _, _, history_a, _, history_b = asyncio.run(both([*begun, *script], Path(folder)))
    histories = {"a": history_a, "b": history_b}
    check(runs, [histories[run.run_id] for run in runs])
