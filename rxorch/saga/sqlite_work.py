"""What is done with the tables of a journal, each within one transaction of its writer.

A function takes the connection first. What it finds missing it says with what it returns: an error would have
all be written again that shares the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from sqlite3 import Connection
from typing import Any, Final, TypeAlias

from rxorch.ledger.json_text import plain_json
from rxorch.saga import audit
from rxorch.saga import sqlite_schema as sql
from rxorch.saga.records import (
    AuditEvent,
    Claim,
    Heard,
    Lease,
    NewRun,
    RunRecord,
    SagaState,
    Signal,
    StepRecord,
)
from rxorch.saga.sqlite_rows import STATES, Row, event_of, run_of, signal_of, step_of, step_row

__all__ = [
    "OVER",
    "StepRows",
    "acknowledge",
    "cancel",
    "claim",
    "count",
    "counts",
    "create",
    "find",
    "history",
    "latest",
    "outbox",
    "release",
    "renew",
    "reopen",
    "runs",
    "signal",
    "signals",
    "step_rows",
    "steps",
    "unclaimed",
    "write",
]

StepRows: TypeAlias = tuple[StepRecord, Row, str, bytes]
"""A step, its row, and the kind and the data of its event."""

OVER: Final = "over"
"""What `write` says of a run that is over, and cannot be brought to another state."""

_NOTHING: Final = b"{}"
_BEHIND_ALL: Final = 2**63 - 1


def step_rows(step: StepRecord) -> StepRows:
    """What is to be written of a step, made before it is its turn."""
    kind, data = audit.step_event(step)
    return step, step_row(step), kind, plain_json(data)


# -- runs ----------------------------------------------------------------------------------------------


def create(
    connection: Connection, new: NewRun, owner: str, until: float, now: float, rows: Sequence[StepRows] = ()
) -> tuple[Claim, bool]:
    """Begins a run, and steps with it; or finds it."""
    values = (new.run_id, new.saga, new.fingerprint, new.trace_id, new.input_json, now, owner, until)
    begun = connection.execute(sql.BEGIN, values)
    if begun.rowcount == 0:
        return _claim(connection, connection.execute(sql.RUN, (new.run_id,)).fetchone()), False
    number: int = begun.lastrowid or 0  # there is one
    begun_steps = _steps(connection, number, rows, now)
    connection.executemany(sql.EVENT, [(number, now, audit.STARTED, b'{"generation":1}'), *begun_steps])
    run = RunRecord(
        new.run_id,
        new.saga,
        new.fingerprint,
        SagaState.RUNNING,
        new.input_json,
        None,
        None,
        new.trace_id,
        now,
        now,
        1,
        owner,
        until,
    )
    lease, steps = Lease(new.run_id, owner, 1), [step for step, *_ in rows]
    if len(steps) > 1:
        steps = [step_of(row) for row in connection.execute(sql.STEPS, (number,))]
    return Claim(lease, run, tuple(steps), ()), True


def find(connection: Connection, run_id: str) -> RunRecord | None:
    """A run."""
    found = connection.execute(sql.RUN, (run_id,)).fetchone()
    return None if found is None else run_of(found)


def runs(
    connection: Connection,
    saga: str | None,
    states: Collection[str] | None,
    limit: int,
    after: str | None,
    newest_first: bool = False,
) -> list[RunRecord] | None:
    """A page of runs; None if there is no run `after`."""
    number = (_BEHIND_ALL if newest_first else 0) if after is None else _number(connection, after)
    if number is None:
        return None
    wanted = (number, saga, saga, limit)
    if states is None:
        found = connection.execute(sql.RUNS_BACK if newest_first else sql.RUNS, wanted).fetchall()
    else:  # a state at a time, so that an index finds the few dead letters among all that are over
        of_state = sql.RUNS_OF_STATE_BACK if newest_first else sql.RUNS_OF_STATE
        found = [row for state in states for row in connection.execute(of_state, (state, *wanted))]
        found.sort(key=lambda row: row[-1], reverse=newest_first)
    return [run_of(row) for row in found[:limit]]


def count(connection: Connection, saga: str | None, states: Collection[str] | None) -> int:
    """How many runs there are, of these states."""
    if states is None:
        return sum(counts(connection, saga).values())
    found = (connection.execute(sql.COUNT_OF_STATE, (state, saga, saga)).fetchone() for state in states)
    return sum(number for (number,) in found)


def latest(
    connection: Connection, saga: str | None, states: Collection[str] | None, limit: int
) -> list[RunRecord]:
    """The runs that began last, in the order in which they began."""
    wanted = None if states is None else plain_json(list(states)).decode()
    found = connection.execute(sql.LATEST, (saga, saga, wanted, wanted, limit)).fetchall()
    return [run_of(row) for row in reversed(found)]


def counts(connection: Connection, saga: str | None) -> dict[SagaState, int]:
    """How many runs are in which state."""
    return {STATES[state]: number for state, number in connection.execute(sql.COUNTS, (saga, saga))}


def steps(connection: Connection, run_id: str) -> list[StepRecord]:
    """The steps of a run."""
    return [step_of(row) for row in connection.execute(sql.STEPS, (_number(connection, run_id),))]


def signals(connection: Connection, run_id: str) -> list[Signal]:
    """What a run was told."""
    return [signal_of(row) for row in connection.execute(sql.SIGNALS, (_number(connection, run_id),))]


def history(connection: Connection, run_id: str, after: int) -> list[AuditEvent]:
    """The events of a run."""
    return [event_of(row) for row in connection.execute(sql.HISTORY, (_number(connection, run_id), after))]


# -- leases --------------------------------------------------------------------------------------------


def unclaimed(connection: Connection, saga: str, now: float, limit: int) -> list[str]:
    """Ids of runs that anybody may claim."""
    return [run_id for (run_id,) in connection.execute(sql.UNCLAIMED, (saga, now, limit))]


def claim(connection: Connection, run_id: str, owner: str, until: float, now: float) -> Claim | bool:
    """Takes a lease. False: it is not to be had; True: there is no such run."""
    if connection.execute(sql.CLAIM, (owner, until, run_id, owner, now)).rowcount == 0:
        return _number(connection, run_id) is None
    connection.execute(sql.RESUMED, (now, audit.RESUMED, run_id))
    return _claim(connection, connection.execute(sql.RUN, (run_id,)).fetchone())


def renew(connection: Connection, lease: Lease, until: float) -> Heard | None:
    """Prolongs a lease; None if it is lost."""
    found = connection.execute(sql.FENCE, (lease.run_id, lease.generation)).fetchone()
    if found is None:
        return None
    number, state, signals, _ = found
    connection.execute(sql.RENEW, (lease.owner, until, number))
    return Heard(STATES[state], signals)


def release(connection: Connection, lease: Lease) -> None:
    """Gives up a lease, if it is the newest."""
    connection.execute(sql.RELEASE, (lease.run_id, lease.generation))


# -- what who drives a run writes ----------------------------------------------------------------------


def write(
    connection: Connection,
    run_id: str,
    generation: int,
    now: float,
    rows: Sequence[StepRows],
    state: SagaState | None = None,
    event: tuple[str, bytes] | None = None,
    error: bytes | None = None,
    result: bytes | None = None,
    unless: SagaState | None = None,
) -> Heard | str | None:
    """Writes steps and the change of their run, not if it is `unless`; None if the lease is lost."""
    found = connection.execute(sql.FENCE, (run_id, generation)).fetchone()
    if found is None:
        return None
    number, was, signals, was_reopened = found
    if unless is not None and unless.value == was:
        return Heard(unless, signals)
    is_change = state is not None and state.value != was
    if is_change and STATES[was].is_over:
        return OVER
    if was_reopened:
        rows = [_counted(connection, number, generation, step) for step, *_ in rows]
    events = _steps(connection, number, rows, now)
    if error is not None:
        connection.execute(sql.ERROR, (error, number))
    ends = state is not None and is_change and state.is_over
    if result is not None and not ends:
        connection.execute(sql.RESULT, (result, number))
    if state is None or event is None or not is_change:
        connection.executemany(sql.EVENT, events)
        return Heard(STATES[was], signals)
    connection.executemany(sql.EVENT, [*events, (number, now, *event)])
    if ends:
        failed_so = state is SagaState.FAILED and was == SagaState.COMPENSATING.value
        connection.execute(sql.OVER, (state.value, int(failed_so), result, number))
    else:
        connection.execute(sql.STATE, (state.value, number))
    return Heard(state, signals)


def _steps(connection: Connection, number: int, rows: Sequence[StepRows], now: float) -> list[Row]:
    """Writes steps; returns the rows of their events."""
    connection.executemany(sql.STEP, [(number, *row) for _, row, _, _ in rows])
    return [(number, now, kind, data) for _, _, kind, data in rows]


def _counted(connection: Connection, number: int, generation: int, step: StepRecord) -> StepRows:
    """A step of a run that was reopened: who found it as if it had never begun counts its attempts anew."""
    place = (number, step.step, 1 if step.undo else 0)
    found = connection.execute(sql.ATTEMPTS_BEFORE, place).fetchone()
    if found is not None:
        attempts, counts_anew = found
        if counts_anew is None:
            connection.execute(sql.COUNTED_ANEW, (generation, *place))
        if counts_anew in (None, generation):
            step = replace(step, attempt=attempts + step.attempt)
    return step_rows(step)


# -- what others write ---------------------------------------------------------------------------------


def cancel(connection: Connection, run_id: str, data: bytes, now: float) -> RunRecord | None:
    """Asks for a run to be undone; None if there is none."""
    is_change = connection.execute(sql.REQUEST_CANCEL, (run_id,)).rowcount > 0
    return _changed(connection, run_id, (audit.CANCEL_REQUESTED, data) if is_change else None, now)


def signal(
    connection: Connection, run_id: str, name: str, value: bytes, data: bytes, now: float
) -> bool | None:
    """Keeps what a run is told. False: not the first of its name; None: there is no such run."""
    number = _number(connection, run_id)
    if number is None:
        return None
    if connection.execute(sql.SIGNAL, (name, value, now, number)).rowcount == 0:
        return False
    connection.execute(sql.SIGNALLED, (number,))
    connection.execute(sql.EVENT, (number, now, audit.SIGNAL_RECEIVED, data))
    return True


def reopen(connection: Connection, run_id: str, now: float) -> tuple[RunRecord, bool] | None:
    """Has a dead letter tried again; tells whether it was one. None: there is no such run."""
    is_change = connection.execute(sql.REOPEN, (run_id,)).rowcount > 0
    if is_change:
        number = _number(connection, run_id)
        connection.execute(sql.REMEMBER_ATTEMPTS, (number,))
        connection.execute(sql.FORGET_FAILED, (number,))
    run = _changed(connection, run_id, (audit.REOPENED, _NOTHING) if is_change else None, now)
    return None if run is None else (run, is_change)


# -- outbox --------------------------------------------------------------------------------------------


def outbox(connection: Connection, limit: int) -> list[AuditEvent]:
    """Events that were not acknowledged."""
    return [event_of(row) for row in connection.execute(sql.OUTBOX, (limit,))]


def acknowledge(connection: Connection, numbers: Sequence[int]) -> None:
    """Takes events out of the outbox."""
    connection.executemany(sql.ACKNOWLEDGE, [(number,) for number in numbers])


# -- inside --------------------------------------------------------------------------------------------


def _number(connection: Connection, run_id: str) -> int | None:
    found = connection.execute(sql.RUN_OF, (run_id,)).fetchone()
    return None if found is None else found[0]


def _changed(
    connection: Connection, run_id: str, event: tuple[str, bytes] | None, now: float
) -> RunRecord | None:
    """A run, after the event that tells of its change."""
    if event is not None:
        connection.execute(sql.EVENT, (_number(connection, run_id), now, *event))
    return find(connection, run_id)


def _claim(connection: Connection, found: Any) -> Claim:
    run = run_of(found)
    number = (found[-1],)
    return Claim(
        Lease(run.run_id, run.owner or "", run.generation),
        run,
        tuple([step_of(row) for row in connection.execute(sql.STEPS, number)]),
        tuple([signal_of(row) for row in connection.execute(sql.SIGNALS, number)]),
    )
