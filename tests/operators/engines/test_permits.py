"""The pool of permits: order, bounds and re-entrancy."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from rxorch_operators.engines.permits import Permit, PermitPool, PermitStatistics
from rxorch_operators.errors import BulkheadFullError


def ignore(permit):
    pass


def full(limit=1, queue=None):
    """A pool whose permits are all out."""
    pool = PermitPool(limit, queue)
    return pool, [pool.acquire(ignore) for _ in range(limit)]


def test_a_free_permit_is_held_at_once_and_nobody_is_called():
    called = []
    permit = PermitPool(limit=1).acquire(called.append)
    assert (permit.held, permit.waiting, called) == (True, False, [])


def test_waiters_are_served_in_the_order_of_their_arrival():
    pool, [first] = full()
    served = []
    waiters = [pool.acquire(served.append) for _ in range(3)]
    assert [waiter.waiting for waiter in waiters] == [True] * 3
    first.release()
    assert served == waiters[:1]
    waiters[0].release()
    waiters[1].release()
    assert served == waiters


def test_a_second_release_frees_nothing():
    pool, [first] = full()
    pool.acquire(ignore)
    last = pool.acquire(ignore)
    first.release()
    first.release()
    first.dispose()
    assert (pool.in_flight, pool.waiting) == (1, 1)
    assert last.waiting


def test_a_waiter_that_leaves_is_passed_over_and_never_called():
    """Trap: waiting for a permit that cannot be cancelled (resilience4j `FlowableRateLimiter`)."""
    pool, [first] = full()
    served = []
    waiters = [pool.acquire(served.append) for _ in range(3)]
    waiters[0].release()
    waiters[0].release()
    assert not waiters[0].waiting
    first.release()
    assert served == [waiters[1]]
    assert pool.in_flight == 1


def test_a_waiter_that_leaves_makes_room_in_the_queue():
    pool, _ = full(limit=1, queue=1)
    waiter = pool.acquire(ignore)
    waiter.release()
    assert pool.acquire(ignore).waiting


@pytest.mark.parametrize("queue", [0, 1, 5])
def test_trap_an_unbounded_queue_behind_a_cap(queue):
    """RxPY `_merge.py`, RxJS `mergeInternals`. Here the queue has a bound, and beyond it an error."""
    pool, _ = full(limit=2, queue=queue)
    for _ in range(queue):
        assert pool.acquire(ignore).waiting
    with pytest.raises(BulkheadFullError) as caught:
        pool.acquire(ignore)
    assert (caught.value.limit, caught.value.queue) == (2, queue)
    assert (pool.in_flight, pool.waiting, pool.statistics().refused) == (2, queue, 1)


def test_without_a_bound_any_number_may_wait():
    pool, _ = full()
    for _ in range(10_000):
        pool.acquire(ignore)
    assert pool.waiting == 10_000


def test_a_higher_limit_lets_waiters_in_at_once_and_in_order():
    pool, _ = full(limit=1)
    served = []
    waiters = [pool.acquire(served.append) for _ in range(4)]
    pool.limit = 3
    assert served == waiters[:2]
    assert (pool.limit, pool.in_flight, pool.waiting) == (3, 3, 2)


def test_a_lower_limit_holds_once_enough_permits_came_back():
    pool, out = full(limit=3)
    waiter = pool.acquire(ignore)
    pool.limit = 1
    assert pool.in_flight == 3
    out[0].release()
    out[1].release()
    assert (pool.in_flight, waiter.held) == (1, False)
    out[2].release()
    assert (pool.in_flight, waiter.held) == (1, True)


def test_trap_a_cap_check_that_races():
    """A callback that asks again, in the middle of the hand-over, gets no permit before those in line."""
    pool, [first] = full()
    order, late = [], []

    def greedy(permit):
        order.append("waiter")
        late.append(pool.acquire(lambda _: order.append("late")))
        assert pool.in_flight == 1

    pool.acquire(greedy)
    next_in_line = pool.acquire(lambda _: order.append("next"))
    first.release()
    assert (order, late[0].waiting) == (["waiter"], True)
    pool.limit = 2
    assert order == ["waiter", "next"]
    next_in_line.release()
    assert order == ["waiter", "next", "late"]


def test_all_is_settled_before_anybody_is_called():
    pool, [first] = full()
    seen = []
    waiters = [pool.acquire(lambda _: seen.append((pool.in_flight, pool.waiting))) for _ in range(3)]
    first.release()
    pool.limit = 3
    assert seen == [(1, 2), (3, 0), (3, 0)]
    assert all(waiter.held for waiter in waiters)


def test_a_callback_may_release_the_permit_of_one_that_was_not_called_yet():
    pool, _ = full()
    served = []
    waiters: list[Permit] = []
    waiters.append(pool.acquire(lambda _: waiters[1].release()))
    waiters.append(pool.acquire(lambda _: served.append("released before its turn")))
    waiters.append(pool.acquire(lambda _: served.append("the one after it")))
    pool.limit = 3
    assert served == ["the one after it"]
    assert pool.in_flight == 3


def test_a_long_line_of_waiters_that_end_at_once_is_served_without_recursion():
    pool, [first] = full()
    number = 10 * sys.getrecursionlimit()
    for _ in range(number):
        pool.acquire(lambda permit: permit.release())
    first.release()
    assert (pool.in_flight, pool.waiting, pool.statistics().granted) == (0, 0, number + 1)


def test_a_callback_that_raises_loses_its_permit_and_the_others_are_served():
    pool, [first] = full()
    served = []

    def broken(permit):
        raise RuntimeError("no thanks")

    failing = pool.acquire(broken)
    after = pool.acquire(served.append)
    with pytest.raises(RuntimeError, match="no thanks"):
        first.release()
    assert (failing.held, served, pool.in_flight) == (False, [after], 1)


def test_several_callbacks_that_raise_are_all_told():
    pool, [first] = full()

    def broken(permit):
        raise KeyboardInterrupt if pool.waiting else RuntimeError("no thanks")

    for _ in range(2):
        pool.acquire(broken)
    with pytest.raises(BaseExceptionGroup) as caught:
        first.release()
    assert [type(error) for error in caught.value.exceptions] == [KeyboardInterrupt, RuntimeError]
    assert pool.acquire(ignore).held


def test_a_released_permit_keeps_nobody_alive():
    class Holder:
        def granted(self, permit):
            pass

    gc.disable()
    try:
        pool, holder = PermitPool(limit=1), Holder()
        holder.permit = pool.acquire(holder.granted)
        gone = weakref.ref(holder)
        holder.permit.release()
        del holder
        assert gone() is None
    finally:
        gc.enable()


def test_statistics():
    pool, [first, _] = full(limit=2, queue=2)
    waiters = [pool.acquire(ignore) for _ in range(2)]
    with pytest.raises(BulkheadFullError):
        pool.acquire(ignore)
    waiters[1].release()
    first.release()
    waiters[0].release()
    assert pool.statistics() == PermitStatistics(
        limit=2, queue=2, in_flight=1, waiting=0, granted=3, refused=1, abandoned=1, peak=2
    )


@pytest.mark.parametrize(
    ("limit", "queue", "text"),
    [(0, 1, "limit=0: give"), (1.5, 1, "limit=1.5"), (True, 1, "limit=True"), (1, -1, "queue=-1: give")],
)
def test_a_pool_that_cannot_work_is_refused(limit, queue, text):
    with pytest.raises(ValueError, match=text):
        PermitPool(limit, queue)


def test_a_new_limit_is_checked_too():
    pool = PermitPool(1)
    with pytest.raises(ValueError, match="limit=0"):
        pool.limit = 0
    assert pool.limit == 1
