"""The tables of a journal in SQLite, and the statements on them, each of one constant text."""

from __future__ import annotations

from typing import Final

from rxorch.saga.records import SagaState

__all__ = ["APPLICATION_ID", "MIGRATIONS", "OF_NO_RUN"]

APPLICATION_ID: Final = 0x7278_736A
"""`rxsj`"""

OF_NO_RUN: Final = 0
"""The run of an event that is there for its number alone."""

_OPEN: Final = ", ".join(f"'{state.value}'" for state in SagaState if not state.is_over)

MIGRATIONS: Final = (
    """
    CREATE TABLE runs (
        run INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        saga TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        state TEXT NOT NULL,
        generation INTEGER NOT NULL,
        owner TEXT,
        leased_until REAL NOT NULL,
        signals INTEGER NOT NULL DEFAULT 0,
        was_compensating INTEGER NOT NULL DEFAULT 0,
        was_reopened INTEGER NOT NULL DEFAULT 0,
        began REAL NOT NULL,
        error BLOB,
        input BLOB NOT NULL,
        result BLOB
    );
    CREATE INDEX runs_of_state ON runs (state);
    CREATE INDEX runs_not_over ON runs (saga)
        WHERE state IN ('running', 'cancel_requested', 'compensating');
    CREATE TABLE steps (
        run INTEGER NOT NULL REFERENCES runs,
        step TEXT NOT NULL,
        undo INTEGER NOT NULL,
        status TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        key TEXT NOT NULL,
        began INTEGER NOT NULL,
        ended INTEGER,
        input BLOB,
        output BLOB,
        error BLOB,
        began_at REAL NOT NULL,
        ended_at REAL,
        due REAL,
        PRIMARY KEY (run, step, undo)
    );
    CREATE TABLE attempts_before (
        run INTEGER NOT NULL REFERENCES runs,
        step TEXT NOT NULL,
        undo INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        generation INTEGER,
        PRIMARY KEY (run, step, undo)
    );
    CREATE TABLE signals (
        run INTEGER NOT NULL REFERENCES runs,
        name TEXT NOT NULL,
        place INTEGER NOT NULL,
        value BLOB NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (run, name)
    );
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL,
        acknowledged INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX events_of_run ON events (run);
    CREATE INDEX outbox ON events (acknowledged) WHERE acknowledged = 0
    """,
    f"""
    CREATE TABLE new_steps (
        run INTEGER NOT NULL REFERENCES runs,
        step TEXT NOT NULL,
        undo INTEGER NOT NULL,
        status TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        key TEXT NOT NULL,
        began INTEGER NOT NULL,
        ended INTEGER,
        input BLOB,
        output BLOB,
        error BLOB,
        began_at REAL NOT NULL,
        ended_at REAL,
        due REAL,
        PRIMARY KEY (run, step, undo)
    ) WITHOUT ROWID;
    INSERT INTO new_steps SELECT * FROM steps;
    DROP TABLE steps;
    ALTER TABLE new_steps RENAME TO steps;
    CREATE TABLE new_events (
        number INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL,
        acknowledged INTEGER NOT NULL DEFAULT 0
    );
    INSERT INTO new_events SELECT * FROM events;
    INSERT OR IGNORE INTO new_events
        SELECT seq, {OF_NO_RUN}, 0, 'pruned', '', 1 FROM sqlite_sequence WHERE name = 'events';
    DROP TABLE events;
    ALTER TABLE new_events RENAME TO events;
    CREATE INDEX events_of_run ON events (run);
    CREATE INDEX outbox ON events (acknowledged) WHERE acknowledged = 0
    """,
)
"""When a run changed last is told by its last event: so a step is written without writing its run.

Since the second a commit writes a quarter fewer pages: steps have no second index, and the numbers of events
no counter of their own, see `sqlite_prune`.
"""

# -- runs ----------------------------------------------------------------------------------------------

BEGIN: Final = """
    INSERT INTO runs (run_id, saga, fingerprint, trace_id, input, began, owner, leased_until,
        state, generation)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'running', 1)
    ON CONFLICT (run_id) DO NOTHING
"""

RUN_OF: Final = "SELECT run FROM runs WHERE run_id = ?"

_RUN: Final = """
    SELECT run_id, saga, fingerprint, state, input, result, error, trace_id, began,
        coalesce((SELECT at FROM events WHERE events.run = runs.run ORDER BY number DESC LIMIT 1), began),
        generation, owner, leased_until, was_compensating, run
    FROM runs WHERE
"""

RUN: Final = f"{_RUN} run_id = ?"

RUNS: Final = f"{_RUN} run > ? AND (? IS NULL OR saga = ?) ORDER BY run LIMIT ?"

RUNS_BACK: Final = f"{_RUN} run < ? AND (? IS NULL OR saga = ?) ORDER BY run DESC LIMIT ?"

RUNS_OF_STATE: Final = f"{_RUN} state = ? AND run > ? AND (? IS NULL OR saga = ?) ORDER BY run LIMIT ?"

RUNS_OF_STATE_BACK: Final = f"""{_RUN} state = ? AND run < ? AND (? IS NULL OR saga = ?)
    ORDER BY run DESC LIMIT ?
"""

COUNT_OF_STATE: Final = "SELECT count(*) FROM runs WHERE state = ? AND (? IS NULL OR saga = ?)"

LATEST: Final = f"""{_RUN} (? IS NULL OR saga = ?)
    AND (? IS NULL OR state IN (SELECT value FROM json_each(?))) ORDER BY run DESC LIMIT ?
"""

COUNTS: Final = "SELECT state, count(*) FROM runs WHERE ? IS NULL OR saga = ? GROUP BY state"

UNCLAIMED: Final = f"""
    SELECT run_id FROM runs WHERE saga = ? AND state IN ({_OPEN}) AND (owner IS NULL OR leased_until <= ?)
    ORDER BY run LIMIT ?
"""

# -- leases --------------------------------------------------------------------------------------------

CLAIM: Final = f"""
    UPDATE runs SET generation = generation + 1, owner = ?, leased_until = ?
    WHERE run_id = ? AND state IN ({_OPEN}) AND (owner IS NULL OR owner = ? OR leased_until <= ?)
"""

RENEW: Final = f"UPDATE runs SET owner = ?, leased_until = ? WHERE run = ? AND state IN ({_OPEN})"

RELEASE: Final = "UPDATE runs SET owner = NULL, leased_until = 0 WHERE run_id = ? AND generation = ?"

FENCE: Final = """
    SELECT run, state, signals, was_reopened FROM runs WHERE run_id = ? AND generation = ?
"""
"""Who has an older lease finds nothing. A look costs half of what an UPDATE with RETURNING does."""

# -- what who drives a run writes ----------------------------------------------------------------------

STEP: Final = """
    INSERT INTO steps (run, step, undo, status, attempt, key, began, ended, input, output, error, began_at,
        ended_at, due)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (run, step, undo) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
        key = excluded.key, began = excluded.began, ended = excluded.ended, input = excluded.input,
        output = excluded.output, error = excluded.error, began_at = excluded.began_at,
        ended_at = excluded.ended_at, due = excluded.due
"""

STEPS: Final = """
    SELECT step, undo, status, attempt, key, began, ended, input, output, error, began_at, ended_at, due
    FROM steps WHERE run = ? ORDER BY began, step, undo
"""

ATTEMPTS_BEFORE: Final = """
    SELECT attempts, generation FROM attempts_before WHERE run = ? AND step = ? AND undo = ?
"""

COUNTED_ANEW: Final = "UPDATE attempts_before SET generation = ? WHERE run = ? AND step = ? AND undo = ?"

ERROR: Final = "UPDATE runs SET error = ? WHERE run = ?"

RESULT: Final = "UPDATE runs SET result = ? WHERE run = ?"

STATE: Final = "UPDATE runs SET state = ? WHERE run = ?"

OVER: Final = """
    UPDATE runs SET state = ?, was_compensating = ?, result = coalesce(?, result), owner = NULL,
        leased_until = 0
    WHERE run = ?
"""

# -- what others write ---------------------------------------------------------------------------------

REQUEST_CANCEL: Final = """
    UPDATE runs SET state = 'cancel_requested' WHERE run_id = ? AND state = 'running'
"""

SIGNAL: Final = """
    INSERT INTO signals (run, name, place, value, at) SELECT run, ?, signals, ?, ? FROM runs WHERE run = ?
    ON CONFLICT (run, name) DO NOTHING
"""

SIGNALLED: Final = "UPDATE runs SET signals = signals + 1 WHERE run = ?"

SIGNALS: Final = "SELECT name, value, at FROM signals WHERE run = ? ORDER BY place"

REOPEN: Final = """
    UPDATE runs SET state = CASE WHEN was_compensating THEN 'compensating' ELSE 'running' END,
        was_compensating = 0, was_reopened = 1, owner = NULL, leased_until = 0
    WHERE run_id = ? AND state = 'failed'
"""

REMEMBER_ATTEMPTS: Final = """
    INSERT OR REPLACE INTO attempts_before (run, step, undo, attempts)
    SELECT run, step, undo, attempt FROM steps WHERE run = ? AND status = 'failed'
"""

FORGET_FAILED: Final = "DELETE FROM steps WHERE run = ? AND status = 'failed'"

# -- events --------------------------------------------------------------------------------------------

RESUMED: Final = """
    INSERT INTO events (run, at, kind, data)
    SELECT run, ?, ?, '{"generation":' || generation || '}' FROM runs WHERE run_id = ?
"""

EVENT: Final = "INSERT INTO events (run, at, kind, data) VALUES (?, ?, ?, ?)"

_EVENT_OF: Final = "SELECT number, run_id, saga, at, kind, data FROM events JOIN runs USING (run) WHERE"

HISTORY: Final = f"{_EVENT_OF} run = ? AND number > ? ORDER BY number"

OUTBOX: Final = f"{_EVENT_OF} acknowledged = 0 ORDER BY number LIMIT ?"

ACKNOWLEDGE: Final = "UPDATE events SET acknowledged = 1 WHERE number = ?"
