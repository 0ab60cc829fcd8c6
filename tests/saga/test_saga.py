"""What a saga is: every mode, what its runs give, and how they are found again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rxorch import (
    ApiConfigurationError,
    APIEndpoint,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.errors import ApiValidationError
from rxorch.flow.nodes import Flow
from rxorch.saga import (
    Heard,
    Journal,
    JournalError,
    Lease,
    MemoryJournal,
    Saga,
    SagaDefinitionChangedError,
    SagaError,
    SagaState,
    Step,
    StepRecord,
    UnknownRunError,
    wait_for,
)
from tests.saga.dying import Dying
from tests.saga.services import QUICK, Services


def fails(data: Any) -> None:
    raise ValueError("this never works")


def modes(make: Callable[..., APIEndpoint]) -> dict[str, tuple[Flow, list[set[str]]]]:
    """Flows that fail in the end, and the groups in which their steps are undone."""
    bad = Step(fails)
    a, b, c, d = (make(name) for name in "abcd")
    after = Step(fails, depends_on=["c", "d"])
    ordered = graph(a, make("b", depends_on=["a"]), make("c", depends_on=["a"]), make("d"), after)
    return {
        "sequential": (sequential(a, b, c, bad), [{"c"}, {"b"}, {"a"}]),
        "parallel": (sequential(parallel(a, b, c), bad), [{"a", "b", "c"}]),
        "fanout": (sequential(fanout(a, b), c, bad), [{"c"}, {"a", "b"}]),
        "graph": (ordered, [{"b", "c", "d", "a"}]),
        "pipeline": (pipeline(a, b, c, bad), [{"c"}, {"b"}, {"a"}]),
        "then": (sequential(conditional(lambda _: True, then=a, otherwise=b), c, bad), [{"c"}, {"a"}]),
        "otherwise": (sequential(conditional(lambda _: False, then=a, otherwise=b), c, bad), [{"c"}, {"b"}]),
        "nested": (
            sequential(a, parallel(sequential(b, c), d), bad),
            [{"b", "c", "d"}, {"a"}],
        ),
    }


@pytest.mark.parametrize(
    "mode", ["sequential", "parallel", "fanout", "graph", "pipeline", "then", "otherwise", "nested"]
)
async def test_every_mode_is_undone_in_reverse(mode: str, journal: Journal, services: Services) -> None:
    flow, groups = modes(services.step)[mode]
    async with Saga("order", flow, journal=journal) as saga:
        result = await saga.execute({"item": 7})

    assert result.state is SagaState.COMPENSATED
    assert result.error is not None
    assert (result.error["step"], result.error["type"]) == ("fails", "ValueError")
    undone = [text.removeprefix("undo ") for text in services.log if text.startswith("undo ")]
    for group in groups:
        assert set(undone[: len(group)]) == group
        del undone[: len(group)]
    assert not undone
    assert services.done == []
    if mode in ("graph", "nested"):  # within a group too, what came later is undone before
        order = services.log.index
        assert order("undo c") < order("undo a" if mode == "graph" else "undo b")


async def test_a_run_that_succeeds_gives_what_its_flow_gives(journal: Journal, services: Services) -> None:
    async with Saga("order", [services.step("a"), services.step("b")], journal=journal) as saga:
        run = await saga.start({"item": 7}, run_id="r")
        result = await run
        assert (result.run_id, result.state, result.ok) == ("r", SagaState.COMPLETED, True)
        assert (result.value, result.error) == ({"id": "b 1"}, None)
        assert services.log == ["a", "b"]
        assert services.bodies["b"] == {"item": 7, "a": {"id": "a 1"}}
        assert [step.step for step in await saga.steps("r")] == ["a", "b"]
        assert (await run.status()).result == {"id": "b 1"}
        assert await saga.runs([SagaState.COMPLETED]) == [await saga.status("r")]
        assert await saga.dead_letters() == []
        assert repr(run) == "<SagaRun r of 'order'>"
        assert repr(saga) == "<Saga 'order': a, b>"


async def test_a_pipeline_hands_on(journal: Journal) -> None:
    flow = pipeline(Step(lambda data: data + 1, name="more"), Step(lambda data: data * 2, name="twice"))
    async with Saga("sum", flow, journal=journal) as saga:
        assert (await saga.execute(20)).value == 42


async def test_the_same_run_id_is_the_same_run_and_one_effect(journal: Journal, services: Services) -> None:
    async with Saga("order", [services.step("a"), services.step("b")], journal=journal) as saga:
        runs = await asyncio.gather(*(saga.start({"n": n}, run_id="r") for n in range(8)))
        results = await asyncio.gather(*runs)
        assert all(result.ok for result in results)
        again = await saga.execute({"n": 9}, run_id="r")
        assert again == results[0]
        assert (await saga.status("r")).input in [{"n": n} for n in range(8)]
    assert services.asked == ["a", "b"]


async def test_runs_of_other_ids_are_other_runs(services: Services) -> None:
    async with Saga("order", [services.step("a")]) as saga:
        runs = [await saga.start(), await saga.start()]
        assert all([(await run).ok for run in runs])
    assert runs[0].run_id != runs[1].run_id
    assert services.log == ["a", "a"]


@pytest.mark.parametrize("run_id", ["", "a\nb", "a b", " a", "ä", "x" * 201, 7])
async def test_an_id_that_no_header_can_carry_is_refused(run_id: Any) -> None:
    async with Saga("order", [Step(fails)]) as saga:
        with pytest.raises(ApiConfigurationError, match="run_id: give a text of 1 to 200"):
            await saga.start({}, run_id=run_id)
        assert await saga.runs() == []


async def test_an_input_that_json_cannot_hold_begins_nothing() -> None:
    async with Saga("order", [Step(fails)]) as saga:
        with pytest.raises(ApiValidationError, match=r"\$\.card is a object, which JSON cannot hold"):
            await saga.start({"card": object()})
        assert await saga.runs() == []


async def test_an_unknown_run_is_told_so(journal: Journal) -> None:
    async with Saga("order", [Step(fails)], journal=journal) as saga:
        for asked in (
            saga.status("x"),
            saga.cancel("x"),
            saga.signal("x", "go"),
            saga.retry_dead_letter("x"),
            saga.run("x").status(),
            saga.run("x").cancel(),
        ):
            with pytest.raises(UnknownRunError, match="'x'"):
                await asked
        with pytest.raises(UnknownRunError):
            await saga.run("x")


async def test_a_run_of_another_saga_is_left_alone(journal: Journal) -> None:
    async with Saga("order", [wait_for("go")], journal=journal) as saga:
        await saga.start({}, run_id="r")
        async with Saga("other", [Step(fails)], journal=journal) as other:
            for asked in (other.start({}, run_id="r"), other.cancel("r"), other.signal("r", "go")):
                with pytest.raises(SagaError, match="run 'r' is of saga 'order', not of 'other'"):
                    await asked
            await saga.journal.open()  # it was closed with the other
        await saga.journal.open()
        assert (await saga.status("r")).state is SagaState.RUNNING


async def test_one_that_is_not_open_says_so() -> None:
    saga = Saga("order", [Step(fails)])
    with pytest.raises(SagaError, match="'order' is not open: use it with `async with`"):
        await saga.start()
    async with saga:
        with pytest.raises(SagaError, match="is open already"):
            await saga.__aenter__()
    with pytest.raises(SagaError, match="is not open"):
        await saga.cancel("x")
    async with saga:  # again
        assert (await saga.execute()).state is SagaState.COMPENSATED


# -- the definition ------------------------------------------------------------------------------------


async def test_changed_steps_are_a_clear_error_and_leave_the_run(journal: Journal) -> None:
    async with Saga("order", [wait_for("go")], journal=journal) as saga:
        await saga.start({}, run_id="r")
    async with Saga("order", [wait_for("go"), Step(fails)], journal=journal) as changed:
        with pytest.raises(SagaDefinitionChangedError) as raised:
            await changed.start({}, run_id="r")
        (run,) = await changed.resume()
        with pytest.raises(SagaDefinitionChangedError, match="other steps"):
            await run
        assert (await changed.status("r")).state is SagaState.RUNNING
    text = str(raised.value)
    assert "run 'r' began with other steps of saga 'order'" in text
    assert "drive it with the code it began with" in text
    assert "give changed steps another saga name" in text
    async with saga:
        await saga.resume()
        await saga.signal("r", "go")
        assert (await saga.run("r")).ok


async def test_a_run_that_is_over_may_have_had_other_steps(journal: Journal) -> None:
    async with Saga("order", [Step(fails)], journal=journal) as saga:
        await saga.execute({}, run_id="r")
    async with Saga("order", [Step(print)], journal=journal) as changed:
        assert (await changed.execute({}, run_id="r")).state is SagaState.COMPENSATED


def revert(data: Any) -> None:
    """Does nothing."""


DIFFERENT: list[list[Any]] = [
    [Step(fails)],
    [Step(fails, name="other")],
    [Step(fails, compensation=revert)],
    [Step(fails, pivot=True)],
    [Step(fails, retriable=True)],
    [Step(fails, condition=lambda _: True)],
    [Step(fails), Step(revert)],
    [Step(revert), Step(fails)],
    [parallel(Step(fails), Step(revert))],
    [conditional(lambda _: True, then=Step(fails), otherwise=Step(revert))],
]


def test_a_fingerprint_tells_definitions_apart() -> None:
    prints = [Saga("order", steps).definition.fingerprint for steps in DIFFERENT]
    assert len(set(prints)) == len(prints)
    assert prints == [Saga("order", steps).definition.fingerprint for steps in DIFFERENT]
    assert Saga("other", DIFFERENT[0]).definition.fingerprint != prints[0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Saga("", [Step(fails)]), "needs a name"),
        (lambda: Saga("x", []), "has no steps"),
        (lambda: Saga("x", [Step(fails), Step(fails)]), "fails"),
        (lambda: Saga("x", [Step(fails, name="undo")]), "cannot be called 'undo'"),
        (lambda: Step(7), "a step is an APIEndpoint or a function"),  # type: ignore[arg-type]
        (lambda: Step(lambda _: 1), "needs name="),
        (
            lambda: Step(fails, compensation=revert, pivot=True),
            "a pivot is never undone: leave out pivot, or its compensation",
        ),
        (
            lambda: Step(APIEndpoint(name="a", url="https://x.example/", compensate_with=revert), pivot=True),
            "step 'a': a pivot is never undone: leave out pivot, or the compensate_with of its endpoint",
        ),
        (
            lambda: Saga(
                "s",
                [Step(fails, compensation=APIEndpoint(name="b", url="https://x.example/", condition=revert))],
            ),
            "'b' has a condition or depends_on, which nobody asks of a compensation",
        ),
        (
            lambda: Saga(
                "s",
                [Step(fails, compensation=APIEndpoint(name="b", url="https://x.example/", stream="lines"))],
            ),
            "'b' is a stream, which cannot undo a step",
        ),
        (lambda: Step(fails, pivot=1), "pivot is True or False"),  # type: ignore[arg-type]
        (lambda: Step(fails, compensation=7), "compensation must be callable"),  # type: ignore[arg-type]
        (lambda: Saga("x", [Step(fails)], lease=0), "lease: give seconds above 0"),
        (lambda: Saga("x", [Step(fails)], workflow_header="a b"), "workflow_header"),
        (lambda: Saga("x", [Step(fails)], undo=3), "undo: give a RetryPolicy"),  # type: ignore[arg-type]
        (lambda: wait_for(""), "give the name of the signal"),
        (lambda: wait_for("x", timeout=-1), "timeout: give seconds"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_written(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ApiConfigurationError, match=said):
        make()


@pytest.mark.parametrize("field", ["action", "compensation"])
def test_an_error_handler_would_hide_a_failure(field: str) -> None:
    quiet = APIEndpoint(name="quiet", url="https://api.example.com/x", error_handler=lambda _: None)
    step = Step(quiet) if field == "action" else Step(fails, compensation=quiet)
    with pytest.raises(ApiConfigurationError, match="hides"):
        Saga("x", [step])


def test_steps_show_themselves() -> None:
    refund = APIEndpoint(name="refund", method="POST", url="https://api.example.com/refund")
    assert repr(Step(fails, compensation=refund)) == "<Step fails, undone by refund>"
    assert repr(Step(fails, compensation=revert)) == "<Step fails, undone by revert>"
    assert repr(Step(fails, pivot=True)) == "<Step fails, pivot>"


async def test_many_runs_at_once_end_each_for_itself(journal: Journal) -> None:
    done: list[int] = []

    async def odd(data: dict[str, int]) -> None:
        await asyncio.sleep(0)
        if data["n"] % 2:
            raise ValueError("odd")

    step = Step(
        lambda data: done.append(data["n"]), name="add", compensation=lambda data: done.remove(data["n"])
    )
    async with Saga("order", [step, Step(odd)], journal=journal, undo=QUICK) as saga:
        runs = [await saga.start({"n": n}) for n in range(60)]
        results = await asyncio.gather(*runs)
    assert [result.ok for result in results] == [n % 2 == 0 for n in range(60)]
    assert sorted(done) == list(range(0, 60, 2))


async def test_a_journal_that_fails_between_two_steps_ends_the_drive(journal: Journal) -> None:
    dying = Dying(journal, 2)  # at the note that the second step is skipped
    steps: list[Any] = [
        Step(revert, name="a"),
        Step(revert, name="b", condition=lambda _: False),
        Step(revert, name="c"),
    ]
    async with Saga("order", steps, journal=dying) as saga:
        run = await saga.start({}, run_id="r")
        with pytest.raises(JournalError, match="the process is gone"):
            await run
    assert "c" not in [step.step for step in await journal.steps("r")]


async def test_no_step_is_made_before_the_ends_of_those_before_it_are_written() -> None:
    made: list[str] = []
    overtaken = asyncio.Event()

    class Broken(MemoryJournal):
        async def write(
            self, lease: Lease, steps: Sequence[StepRecord] = (), *args: Any, **named: Any
        ) -> Heard:
            if "a" in [each.step for each in steps]:  # its end, and with it the beginning of b
                await overtaken.wait()
                raise JournalError("the disk is full")
            heard = await super().write(lease, steps, *args, **named)
            asyncio.get_running_loop().call_later(0.0, overtaken.set)
            return heard

    def step(name: str) -> Step:
        return Step(lambda _: made.append(name), name=name)

    flow = sequential(step("a"), parallel(step("b"), step("c")))
    async with Saga("order", flow, journal=Broken()) as saga:
        with pytest.raises(JournalError, match="the disk is full"):
            await saga.execute({}, run_id="r")
    assert made == ["a"]
