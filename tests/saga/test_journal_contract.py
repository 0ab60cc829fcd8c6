"""What `Journal` promises, sentence by sentence, of each journal that there is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rxorch.saga import (
    Heard,
    Journal,
    JournalError,
    Lease,
    LeaseLostError,
    MemoryJournal,
    NewRun,
    RunRecord,
    SagaError,
    SagaState,
    Signal,
    StepStatus,
    UnknownRunError,
)
from tests.saga.journals import NOON, Clock, Journals, begin, bring, new, step, told

OVER = [state for state in SagaState if state.is_over]
NOT_OVER = [state for state in SagaState if not state.is_over]
ERROR = {"step": "reserve", "type": "ApiHttpError", "message": "409"}


@pytest.fixture
def clock(journals: Journals) -> Clock:
    return journals.clock


async def found(journal: Journal, run_id: str = "order-1") -> RunRecord:
    run = await journal.run(run_id)
    assert run is not None
    return run


# -- the journal itself --------------------------------------------------------------------------------


async def test_each_is_a_journal(journal: Journal) -> None:
    assert isinstance(journal, Journal)


async def test_opening_and_closing_twice_is_harmless(journal: Journal) -> None:
    await begin(journal)
    await asyncio.gather(journal.open(), journal.open())
    assert (await found(journal)).run_id == "order-1"
    await asyncio.gather(journal.aclose(), journal.aclose())
    await journal.aclose()
    await journal.open()
    assert (await found(journal)).run_id == "order-1"


async def test_one_that_is_not_open_says_so(journal: Journal) -> None:
    lease = await begin(journal)
    await journal.aclose()
    for call in (
        journal.create(new(), "me", 30.0),
        journal.run("order-1"),
        journal.runs(),
        journal.count(),
        journal.steps("order-1"),
        journal.history("order-1"),
        journal.unclaimed("order"),
        journal.claim("order-1", "me", 30.0),
        journal.renew(lease, 30.0),
        journal.release(lease),
        journal.write(lease),
        journal.request_cancel("order-1"),
        journal.signal("order-1", "paid", b"1"),
        journal.reopen("order-1"),
        journal.outbox(),
        journal.acknowledge([1]),
    ):
        with pytest.raises(JournalError, match=r"is not open: .*await journal.open\(\)"):
            await call
    with pytest.raises(JournalError, match="is not open"):
        journal.post(lease, step())


# -- runs ----------------------------------------------------------------------------------------------


async def test_a_run_begins_with_a_lease(journal: Journal, clock: Clock) -> None:
    claim, is_new = await journal.create(new(), "me", 30.0)
    assert is_new
    assert claim.lease == Lease("order-1", "me", 1)
    assert claim.steps == () and claim.signals == ()
    assert claim.run == RunRecord(
        run_id="order-1",
        saga="order",
        fingerprint="f1",
        state=SagaState.RUNNING,
        input_json=b'{"item":7}',
        result_json=None,
        error=None,
        trace_id="ab" * 16,
        began=NOON,
        changed=NOON,
        generation=1,
        owner="me",
        leased_until=NOON + 30,
    )
    assert await journal.run("order-1") == claim.run
    assert await told(journal) == [("run.started", {"generation": 1})]


async def test_steps_may_begin_with_a_run(journals: Journals) -> None:
    paid = step(status=StepStatus.STARTED, ended=None, output_json=None)
    claim, is_new = await journals.one.create(new(), "me", 30.0, [paid])
    assert is_new and claim.steps == (paid,)
    assert await journals.one.steps("order-1") == [paid]
    assert await told(journals.one) == [
        ("run.started", {"generation": 1}),
        ("step.started", {"step": paid.step, "attempt": 1, "key": paid.key}),
    ]
    other = await journals.another()
    again, is_new = await other.create(new(), "you", 30.0, [step("ship"), paid])
    assert not is_new and again == claim
    assert await other.steps("order-1") == [paid]
    assert len(await other.outbox()) == 2


async def test_several_steps_that_begin_with_a_run_are_in_their_order(journals: Journals) -> None:
    late, early, again = step("ship", began=3), step("pay", began=2), step("ship", began=1, attempt=2)
    claim, _ = await journals.one.create(new(), "me", 30.0, [late, early, again])
    assert claim.steps == (again, early) == tuple(await (await journals.another()).steps("order-1"))
    assert [kind for kind, _ in await told(journals.one)] == ["run.started", *["step.started"] * 3]


async def test_a_run_that_is_there_is_not_changed(journals: Journals, clock: Clock) -> None:
    lease = await begin(journals.one)
    await journals.one.write(lease, [step()])
    await journals.one.signal("order-1", "paid", b"true")
    before = await found(journals.one)
    clock.now += 100
    other = await journals.another()
    claim, is_new = await other.create(new(fingerprint="f2", input_json=b"2"), "you", 30.0)
    assert not is_new
    assert claim.run == before == await found(other)
    assert claim.lease == lease
    assert claim.steps == (step(),)
    assert claim.signals == (Signal("paid", b"true", NOON),)
    assert len(await other.history("order-1")) == 3


async def test_the_lease_of_a_run_that_is_there_is_the_newest_even_if_nobody_has_it(journal: Journal) -> None:
    await journal.release(await begin(journal))
    claim, _ = await journal.create(new(), "you", 30.0)
    assert claim.lease == Lease("order-1", "", 1)
    assert claim.run.owner is None


async def test_a_run_that_is_not_there(journal: Journal) -> None:
    assert await journal.run("order-1") is None
    assert await journal.steps("order-1") == []
    assert await journal.history("order-1") == []


async def test_runs_are_given_in_the_order_in_which_they_began(journal: Journal, clock: Clock) -> None:
    for run_id in ("b", "c", "a", "d"):
        await begin(journal, run_id)
        clock.now -= 1  # a clock that is put back changes nothing
    assert [run.run_id for run in await journal.runs()] == ["b", "c", "a", "d"]
    assert [run.run_id for run in await journal.runs(limit=3)] == ["b", "c", "a"]
    assert [run.run_id for run in await journal.runs(limit=3, after="c")] == ["a", "d"]
    assert await journal.runs(after="d") == [] == await journal.runs(limit=0)
    back = [run.run_id for run in await journal.runs(newest_first=True)]
    assert back == ["d", "a", "c", "b"]
    assert [run.run_id for run in await journal.runs(newest_first=True, limit=2, after="a")] == ["c", "b"]
    assert await journal.runs(newest_first=True, after="b") == []


async def test_runs_after_one_that_is_not_there(journal: Journal) -> None:
    await begin(journal)
    with pytest.raises(UnknownRunError, match="no run 'nobody'"):
        await journal.runs(after="nobody")


async def test_runs_of_a_saga_and_of_states(journal: Journal) -> None:
    for saga in ("order", "refund"):
        for state in SagaState:
            lease = await begin(journal, f"{saga}-{state.value}", saga)
            await bring(journal, lease, state)

    async def ids(**wanted: object) -> list[str]:
        return [run.run_id for run in await journal.runs(**wanted)]  # type: ignore[arg-type]

    assert len(await ids()) == 12
    assert await ids(saga="refund") == [f"refund-{state.value}" for state in SagaState]
    assert await ids(states={SagaState.FAILED}) == ["order-failed", "refund-failed"]
    assert await ids(saga="order", states={SagaState.FAILED}) == ["order-failed"]
    both = [SagaState.FAILED, SagaState.RUNNING]
    assert await ids(states=both) == ["order-running", "order-failed", "refund-running", "refund-failed"]
    assert await ids(states=both, limit=2) == ["order-running", "order-failed"]
    assert await ids(states=both, after="order-failed", limit=1) == ["refund-running"]
    assert await ids(states=[]) == [] == await ids(saga="nothing")
    back = await ids(states=both, newest_first=True, limit=3)
    assert back == ["refund-failed", "refund-running", "order-failed"]
    assert await ids(states=both, newest_first=True, after="order-failed") == ["order-running"]
    assert await journal.count() == 12
    assert await journal.count("order") == 6
    assert await journal.count("order", both) == 2
    assert await journal.count(states=[SagaState.FAILED]) == 2


# -- leases --------------------------------------------------------------------------------------------


async def test_a_lease_that_holds_is_not_given_to_another(journals: Journals, clock: Clock) -> None:
    await begin(journals.one, seconds=30.0)
    other = await journals.another()
    clock.now += 29.9
    assert await other.claim("order-1", "you", 30.0) is None
    assert await other.unclaimed("order") == []
    assert len(await other.history("order-1")) == 1


async def test_a_lease_that_ended_is_taken_over_under_the_next_generation(
    journals: Journals, clock: Clock
) -> None:
    await begin(journals.one, seconds=30.0)
    await journals.one.write(Lease("order-1", "me", 1), [step()])
    await journals.one.signal("order-1", "paid", b"1")
    other = await journals.another()
    clock.now += 30.0
    assert await other.unclaimed("order") == ["order-1"]
    claim = await other.claim("order-1", "you", 60.0)
    assert claim is not None
    assert claim.lease == Lease("order-1", "you", 2)
    assert claim.run == await found(other)
    assert (claim.run.owner, claim.run.generation) == ("you", 2)
    assert (claim.run.leased_until, claim.run.changed) == (clock.now + 60, clock.now)
    assert claim.steps == (step(),) and claim.signals == (Signal("paid", b"1", NOON),)
    assert (await told(other))[-1] == ("run.resumed", {"generation": 2})


async def test_the_owner_may_take_a_lease_that_holds_again(journal: Journal) -> None:
    lease = await begin(journal)
    claim = await journal.claim("order-1", "me", 30.0)
    assert claim is not None and claim.lease.generation == 2
    with pytest.raises(LeaseLostError):
        await journal.write(lease)


async def test_a_lease_that_was_given_up_may_be_taken_at_once(journals: Journals) -> None:
    await journals.one.release(await begin(journals.one))
    run = await found(journals.one)
    assert run.owner is None and run.generation == 1
    other = await journals.another()
    assert await other.unclaimed("order") == ["order-1"]
    assert await other.claim("order-1", "you", 30.0) is not None


@pytest.mark.parametrize("state", NOT_OVER)
async def test_a_claim_leaves_the_state_as_it_is(journal: Journal, state: SagaState) -> None:
    lease = await begin(journal)
    await bring(journal, lease, state)
    claim = await journal.claim("order-1", "me", 30.0)
    assert claim is not None and claim.run.state is state


@pytest.mark.parametrize("state", OVER)
async def test_a_run_that_is_over_is_not_to_be_had(journal: Journal, clock: Clock, state: SagaState) -> None:
    lease = await begin(journal)
    await bring(journal, lease, state)
    clock.now += 1_000
    assert await journal.claim("order-1", "me", 30.0) is None
    assert await journal.unclaimed("order") == []


async def test_a_claim_of_a_run_that_is_not_there(journal: Journal) -> None:
    with pytest.raises(UnknownRunError, match="no run 'nobody' in the journal"):
        await journal.claim("nobody", "me", 30.0)


async def test_unclaimed_runs_are_of_the_saga_oldest_first(journal: Journal, clock: Clock) -> None:
    for run_id, saga in (("b", "order"), ("x", "refund"), ("a", "order"), ("c", "order")):
        await begin(journal, run_id, saga)
    clock.now += 31
    await begin(journal, "d")
    assert await journal.unclaimed("order") == ["b", "a", "c"]
    assert await journal.unclaimed("order", limit=2) == ["b", "a"]
    assert await journal.unclaimed("order", limit=0) == []


async def test_a_lease_that_is_renewed_holds_from_then(journals: Journals, clock: Clock) -> None:
    lease = await begin(journals.one, seconds=30.0)
    clock.now += 20
    assert await journals.one.renew(lease, 30.0) == Heard(SagaState.RUNNING, 0)
    run = await found(journals.one)
    assert (run.leased_until, run.generation, run.owner) == (clock.now + 30, 1, "me")
    clock.now += 29
    assert await (await journals.another()).claim("order-1", "you", 30.0) is None
    assert len(await journals.one.history("order-1")) == 1


async def test_who_renews_hears_of_cancellation_and_signals(journals: Journals) -> None:
    lease = await begin(journals.one)
    other = await journals.another()
    await other.request_cancel("order-1")
    await other.signal("order-1", "paid", b"1")
    await other.signal("order-1", "packed", b"1")
    assert await journals.one.renew(lease, 30.0) == Heard(SagaState.CANCEL_REQUESTED, 2)


async def test_the_lease_of_a_run_that_is_over_is_not_renewed(journal: Journal) -> None:
    lease = await begin(journal)
    await journal.write(lease, state=SagaState.COMPLETED)
    assert await journal.renew(lease, 30.0) == Heard(SagaState.COMPLETED, 0)
    run = await found(journal)
    assert (run.owner, run.leased_until) == (None, 0.0)


async def test_an_older_generation_writes_nothing(journals: Journals, clock: Clock) -> None:
    old = await begin(journals.one)
    clock.now += 31
    other = await journals.another()
    claim = await other.claim("order-1", "you", 30.0)
    assert claim is not None
    before = await found(other)
    clock.now += 1
    with pytest.raises(LeaseLostError, match="'order-1' is driven by somebody else now"):
        await journals.one.write(old, [step()], SagaState.COMPLETED, error=ERROR, result_json=b"1")
    with pytest.raises(LeaseLostError, match="somebody else"):
        await journals.one.renew(old, 300.0)
    journals.one.post(old, step())
    await journals.one.release(old)
    assert await journals.one.run("order-1") == before
    assert await other.steps("order-1") == [] and len(await other.history("order-1")) == 2
    assert await other.write(claim.lease, [step()]) == Heard(SagaState.RUNNING, 0)


async def test_a_lease_that_ended_and_that_nobody_took_may_still_write(
    journal: Journal, clock: Clock
) -> None:
    lease = await begin(journal)
    clock.now += 1_000
    await journal.write(lease, [step()])
    assert await journal.steps("order-1") == [step()]


async def test_the_lease_of_no_run_is_lost(journal: Journal) -> None:
    lease = Lease("nobody", "me", 1)
    for call in (journal.write(lease), journal.renew(lease, 30.0)):
        with pytest.raises(LeaseLostError):
            await call
    await journal.release(lease)
    journal.post(lease, step())
    assert await journal.steps("nobody") == []


# -- steps ---------------------------------------------------------------------------------------------


async def test_a_step_is_kept_whole(journal: Journal, clock: Clock) -> None:
    lease = await begin(journal)
    whole = step(
        status=StepStatus.FAILED,
        undo=True,
        attempt=3,
        began=4,
        ended=5,
        input_json=b"1",
        output_json=b"2",
        error=ERROR,
        began_at=NOON,
        ended_at=NOON + 1,
        due=NOON + 2,
    )
    clock.now += 7
    assert await journal.write(lease, [whole]) == Heard(SagaState.RUNNING, 0)
    assert await journal.steps("order-1") == [whole]
    assert (await found(journal)).changed == clock.now
    (event,) = await journal.history("order-1", after=1)
    assert (event.kind, event.run_id, event.saga, event.at) == ("undo.failed", "order-1", "order", clock.now)
    assert event.data == {"step": "reserve", "attempt": 3, "key": "key-reserve", "error": ERROR}


async def test_there_is_one_record_for_each_step_and_undoing(journal: Journal) -> None:
    lease = await begin(journal)
    await journal.write(lease, [step("b", began=1, input_json=b"1"), step("a", began=2)])
    await journal.write(lease, [step("b", StepStatus.COMPLETED, began=1, ended=3, output_json=b"2")])
    await journal.write(lease, [step("b", undo=True, began=4)])
    assert await journal.steps("order-1") == [
        step("b", StepStatus.COMPLETED, began=1, ended=3, output_json=b"2"),
        step("a", began=2),
        step("b", undo=True, began=4),
    ]
    assert [kind for kind, _ in await told(journal, after=1)] == [
        "step.started",
        "step.started",
        "step.completed",
        "undo.started",
    ]


@pytest.mark.parametrize("status", StepStatus)
async def test_each_status_has_its_event(journal: Journal, status: StepStatus) -> None:
    lease = await begin(journal)
    await journal.write(lease, [step(status=status), step(status=status, undo=True)])
    data = {"step": "reserve", "attempt": 1, "key": "key-reserve"}
    assert await told(journal, after=1) == [(f"step.{status.value}", data), (f"undo.{status.value}", data)]


async def test_steps_are_those_of_their_run(journal: Journal) -> None:
    one, two = await begin(journal, "one"), await begin(journal, "two")
    await journal.write(one, [step(key="1")])
    await journal.write(two, [step(key="2")])
    assert await journal.steps("one") == [step(key="1")]
    assert [event.run_id for event in await journal.history("two")] == ["two", "two"]


async def test_what_is_posted_is_there_before_what_is_written_later(journal: Journal) -> None:
    lease = await begin(journal)
    for number in range(1, 20):
        journal.post(lease, step(f"s{number:02}", began=number))
    await journal.write(lease, [step("last", began=20)])
    assert [each.began for each in await journal.steps("order-1")] == list(range(1, 21))
    assert [data["step"] for _, data in await told(journal, after=1)][-2:] == ["s19", "last"]


async def test_what_is_posted_is_written_when_the_journal_is_closed(journal: Journal) -> None:
    lease = await begin(journal)
    journal.post(lease, step())
    await journal.aclose()
    await journal.open()
    assert await journal.steps("order-1") == [step()]


async def test_what_is_changed_after_it_was_written_is_not_what_is_kept(journal: Journal) -> None:
    lease = await begin(journal)
    error = dict(ERROR)
    journal.post(lease, step(error=error))
    await journal.write(lease, state=SagaState.FAILED, error=error)
    error["message"] = "another"
    assert (await journal.steps("order-1"))[0].error == ERROR == (await found(journal)).error
    assert [data.get("error") for _, data in await told(journal, after=1)] == [ERROR, ERROR]


async def test_writes_happen_in_the_order_in_which_they_were_asked_for(journal: Journal) -> None:
    lease = await begin(journal)
    await asyncio.gather(*(journal.write(lease, [step(attempt=n)]) for n in range(1, 30)))
    assert [data["attempt"] for _, data in await told(journal, after=1)] == list(range(1, 30))


# -- states --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", OVER)
async def test_with_a_state_that_is_over_the_lease_ends(
    journal: Journal, clock: Clock, state: SagaState
) -> None:
    lease = await begin(journal)
    clock.now += 5
    assert await journal.write(lease, [step()], state, result_json=b"7") == Heard(state, 0)
    run = await found(journal)
    assert (run.state, run.owner, run.leased_until, run.result) == (state, None, 0.0, 7)
    assert (run.changed, run.began, run.generation) == (clock.now, NOON, 1)
    assert [kind for kind, _ in await told(journal)] == ["run.started", "step.started", f"run.{state.value}"]


async def test_a_run_that_is_undone_keeps_its_lease(journal: Journal) -> None:
    lease = await begin(journal)
    assert await journal.write(lease, state=SagaState.COMPENSATING) == Heard(SagaState.COMPENSATING, 0)
    run = await found(journal)
    assert (run.owner, run.leased_until) == ("me", NOON + 30)
    assert await told(journal, after=1) == [("run.compensating", {})]


async def test_an_error_that_is_given_is_kept_from_then_on(journal: Journal) -> None:
    lease = await begin(journal)
    await journal.write(lease, state=SagaState.COMPENSATING, error=ERROR)
    assert (await told(journal))[-1] == ("run.compensating", {"error": ERROR})
    await journal.write(lease, state=SagaState.COMPENSATED)
    run = await found(journal)
    assert run.error == ERROR and not run.was_compensating  # it is no dead letter
    assert (await told(journal))[-1] == ("run.compensated", {})


async def test_an_error_and_a_result_may_be_given_without_a_state(journal: Journal) -> None:
    lease = await begin(journal)
    await journal.write(lease, error=ERROR, result_json=b"1")
    run = await found(journal)
    assert (run.error, run.result_json, run.state) == (ERROR, b"1", SagaState.RUNNING)
    assert len(await journal.history("order-1")) == 1


async def test_a_state_that_is_not_another_is_no_change(journal: Journal) -> None:
    lease = await begin(journal)
    await journal.write(lease, state=SagaState.COMPENSATING)
    await journal.write(lease, state=SagaState.COMPENSATING, error=ERROR)
    await journal.write(lease, state=SagaState.FAILED)
    assert await journal.write(lease, state=SagaState.FAILED) == Heard(SagaState.FAILED, 0)
    run = await found(journal)
    assert run.error == ERROR and run.was_compensating
    assert [kind for kind, _ in await told(journal)] == ["run.started", "run.compensating", "run.failed"]


@pytest.mark.parametrize("state", OVER)
async def test_a_run_that_is_over_is_brought_to_no_other_state(journal: Journal, state: SagaState) -> None:
    lease = await begin(journal)
    await journal.write(lease, state=state)
    before = await found(journal)
    with pytest.raises(LeaseLostError, match="'order-1' is over, and its lease with it"):
        await journal.write(lease, [step()], SagaState.COMPENSATING, error=ERROR, result_json=b"1")
    assert await found(journal) == before
    assert await journal.steps("order-1") == [] and len(await journal.history("order-1")) == 2


@pytest.mark.parametrize("state", [SagaState.RUNNING, SagaState.CANCEL_REQUESTED])
async def test_nobody_who_drives_a_run_writes_that_it_runs(journal: Journal, state: SagaState) -> None:
    lease = await begin(journal)
    with pytest.raises(ValueError, match=f"state is '{state.value}', which nobody writes"):
        await journal.write(lease, [step()], state)
    assert await journal.steps("order-1") == []


# -- what others write ---------------------------------------------------------------------------------


async def test_a_run_that_goes_forward_can_be_cancelled(journals: Journals, clock: Clock) -> None:
    lease = await begin(journals.one)
    other = await journals.another()
    clock.now += 3
    run = await other.request_cancel("order-1", "the customer called")
    assert run.state is SagaState.CANCEL_REQUESTED and run == await found(journals.one)
    assert (run.owner, run.changed) == ("me", clock.now)
    assert (await told(other))[-1] == ("run.cancel_requested", {"reason": "the customer called"})
    assert await journals.one.write(lease, [step()]) == Heard(SagaState.CANCEL_REQUESTED, 0)


@pytest.mark.parametrize("state", [state for state in SagaState if state is not SagaState.RUNNING])
async def test_any_other_state_stays(journal: Journal, clock: Clock, state: SagaState) -> None:
    await bring(journal, await begin(journal), state)
    before = await found(journal)
    clock.now += 3
    assert await journal.request_cancel("order-1") == before == await found(journal)
    assert len(await journal.history("order-1")) == 2


async def test_the_first_signal_of_a_name_counts(journals: Journals, clock: Clock) -> None:
    lease = await begin(journals.one)
    other = await journals.another()
    clock.now += 1
    assert await other.signal("order-1", "paid", b'{"by":"card"}') is True
    clock.now += 1
    assert await other.signal("order-1", "paid", b"2") is False
    assert await other.signal("order-1", "a_later_one", b"3") is True
    assert await journals.one.write(lease) == Heard(SagaState.RUNNING, 2)
    claim, _ = await journals.one.create(new(), "me", 30.0)
    assert claim.signals == (
        Signal("paid", b'{"by":"card"}', NOON + 1),
        Signal("a_later_one", b"3", NOON + 2),
    )
    assert claim.run.changed == NOON + 2
    assert await told(other, after=1) == [
        ("signal.received", {"name": "paid"}),
        ("signal.received", {"name": "a_later_one"}),
    ]


async def test_runs_have_signals_of_their_own(journal: Journal) -> None:
    await begin(journal, "one")
    await begin(journal, "two")
    assert await journal.signal("one", "paid", b"1")
    assert await journal.signal("two", "paid", b"2")


async def test_others_say_of_no_run_that_it_is_none(journal: Journal) -> None:
    for call in (
        journal.request_cancel("nobody"),
        journal.signal("nobody", "paid", b"1"),
        journal.reopen("nobody"),
    ):
        with pytest.raises(UnknownRunError, match="no run 'nobody' in the journal"):
            await call


@pytest.mark.parametrize(
    ("failed_in", "goes_on_in"),
    [
        (SagaState.RUNNING, SagaState.RUNNING),
        (SagaState.CANCEL_REQUESTED, SagaState.RUNNING),
        (SagaState.COMPENSATING, SagaState.COMPENSATING),
    ],
)
async def test_a_dead_letter_is_tried_again(
    journals: Journals, clock: Clock, failed_in: SagaState, goes_on_in: SagaState
) -> None:
    lease = await begin(journals.one)
    await bring(journals.one, lease, failed_in)
    await journals.one.write(lease, state=SagaState.FAILED, error=ERROR)
    dead = await found(journals.one)
    assert dead.was_compensating is (failed_in is SagaState.COMPENSATING)
    clock.now += 50
    other = await journals.another()
    run = await other.reopen("order-1")
    assert run == await found(other)
    assert run == replace(dead, state=goes_on_in, changed=clock.now, was_compensating=False)
    assert run.owner is None
    assert (await told(other))[-1] == ("run.reopened", {})
    assert await other.unclaimed("order") == ["order-1"]
    assert await other.claim("order-1", "you", 30.0) is not None


@pytest.mark.parametrize("state", [state for state in SagaState if state is not SagaState.FAILED])
async def test_what_is_no_dead_letter_is_not_reopened(journal: Journal, state: SagaState) -> None:
    await bring(journal, await begin(journal), state)
    before = await found(journal)
    with pytest.raises(SagaError, match=f"'order-1' is no dead letter: it is {state.value}"):
        await journal.reopen("order-1")
    assert await found(journal) == before


async def test_failed_steps_of_a_dead_letter_have_never_begun_but_for_their_attempts(
    journal: Journal,
) -> None:
    lease = await begin(journal)
    kept = [step(status.value, status, began=n) for n, status in enumerate(StepStatus, 1)]
    await journal.write(lease, [*kept, step("ship", StepStatus.FAILED, undo=True, attempt=3, began=9)])
    await journal.write(lease, state=SagaState.FAILED)
    await journal.reopen("order-1")
    rest = [each for each in kept if each.status is not StepStatus.FAILED]
    assert await journal.steps("order-1") == rest
    claim = await journal.claim("order-1", "me", 30.0)
    assert claim is not None and list(claim.steps) == rest
    # Who finds none counts from one; what is kept, and told, counts on.
    for status in (StepStatus.STARTED, StepStatus.UNKNOWN):
        await journal.write(claim.lease, [step("ship", status, undo=True, began=9)])
        assert (await journal.steps("order-1"))[-1].attempt == 4
    journal.post(claim.lease, step("ship", undo=True, attempt=2, began=9))
    # Who takes over finds five, and counts on from there itself.
    again = await journal.claim("order-1", "me", 30.0)
    assert again is not None and again.steps[-1].attempt == 5
    await journal.write(again.lease, [step("ship", StepStatus.FAILED, undo=True, attempt=6, began=9)])
    await journal.write(again.lease, [step("reserve", attempt=1, began=10)], SagaState.FAILED)
    told_of = [data["attempt"] for kind, data in await told(journal) if kind.startswith("undo.")]
    assert told_of == [3, 4, 4, 5, 6]
    # And so every time.
    await journal.reopen("order-1")
    third = await journal.claim("order-1", "me", 30.0)
    assert third is not None
    await journal.write(third.lease, [step("ship", undo=True, attempt=1, began=9)])
    assert (await journal.steps("order-1"))[-2].attempt == 7


# -- events and outbox ---------------------------------------------------------------------------------


async def test_events_are_numbered_in_the_order_in_which_they_happened(journals: Journals) -> None:
    other = await journals.another()
    one = await begin(journals.one, "one")
    two = await begin(other, "two")
    await journals.one.write(one, [step("a"), step("b")], SagaState.COMPLETED)
    await other.write(two, [step("c")])
    events = await other.outbox()
    assert [event.number for event in events] == sorted({event.number for event in events})
    assert [(event.run_id, event.kind) for event in events] == [
        ("one", "run.started"),
        ("two", "run.started"),
        ("one", "step.started"),
        ("one", "step.started"),
        ("one", "run.completed"),
        ("two", "step.started"),
    ]
    assert events[0].number == 1
    history = await other.history("one")
    assert history == [event for event in events if event.run_id == "one"]
    assert await other.history("one", after=history[1].number) == history[2:]


async def test_what_is_acknowledged_leaves_the_outbox_and_stays_in_the_history(journals: Journals) -> None:
    other = await journals.another()
    lease = await begin(journals.one)
    await journals.one.write(lease, [step("a"), step("b"), step("c")])
    assert [event.number for event in await other.outbox(limit=2)] == [1, 2]
    await other.acknowledge({2, 3})
    assert [event.number for event in await journals.one.outbox()] == [1, 4]
    await other.acknowledge([2, 99])
    await other.acknowledge([])
    assert [event.number for event in await journals.one.outbox()] == [1, 4]
    assert await journals.one.outbox(limit=0) == []
    assert [event.number for event in await journals.one.history("order-1")] == [1, 2, 3, 4]
    await journals.one.acknowledge([1, 4])
    await other.write(lease, [step("d")])
    assert [event.number for event in await journals.one.outbox()] == [5]


async def test_a_journal_by_the_real_clock() -> None:
    async with MemoryJournal() as journal:
        claim, _ = await journal.create(NewRun("a", "order", "f", b"1"), "me", 30.0)
        assert claim.run.leased_until == claim.run.began + 30 > 1_700_000_000
        assert repr(journal) == "MemoryJournal(<1 runs>)"


async def test_nothing_is_written_if_the_run_is_in_the_state_unless(journal: Journal) -> None:
    lease = await begin(journal)
    cancelled = SagaState.CANCEL_REQUESTED
    assert (await journal.write(lease, [step()], unless=cancelled)).state is SagaState.RUNNING
    await journal.request_cancel("order-1")
    before = await told(journal)
    heard = await journal.write(
        lease, [step("pay")], SagaState.COMPLETED, error=ERROR, result_json=b"1", unless=cancelled
    )
    assert heard.state is cancelled
    assert await told(journal) == before
    assert [each.step for each in await journal.steps("order-1")] == ["reserve"]
    run = await found(journal)
    assert (run.state, run.error, run.result_json) == (cancelled, None, None)
    assert (await journal.write(lease, state=SagaState.COMPLETED)).state is SagaState.COMPLETED
