"""Deleting what is over from the tables of a journal, within one transaction of its writer."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Final

from rxorch.saga.sqlite_schema import OF_NO_RUN

__all__ = ["prune"]

_FOUND: Final = """
    SELECT run FROM runs
    WHERE state IN ('completed', 'compensated') AND began < ?1
        AND (SELECT at FROM events WHERE events.run = runs.run ORDER BY number DESC LIMIT 1) < ?1
        AND (?2 OR NOT EXISTS (SELECT 1 FROM events WHERE events.run = runs.run AND acknowledged = 0))
    ORDER BY run LIMIT ?3
"""
"""A run that began later did not end earlier: of those, no event is looked at."""

_KEEP_LAST_NUMBER: Final = f"""
    UPDATE events SET run = {OF_NO_RUN}, kind = 'pruned', data = '', acknowledged = 1
    WHERE number = (SELECT max(number) FROM events) AND run = ?
"""
"""The next event has the number after the highest that is there: none may be given twice."""

_FORGET_EARLIER: Final = f"""
    DELETE FROM events WHERE run = {OF_NO_RUN} AND number < (SELECT max(number) FROM events)
"""

_DELETED: Final = (
    "DELETE FROM steps WHERE run = ?",
    "DELETE FROM attempts_before WHERE run = ?",
    "DELETE FROM signals WHERE run = ?",
    "DELETE FROM events WHERE run = ?",
    "DELETE FROM runs WHERE run = ?",
)


def prune(connection: Connection, before: float, limit: int, *, unpublished: bool) -> int:
    """Deletes at most `limit` runs that were over before that time; says how many."""
    found = connection.execute(_FOUND, (before, unpublished, limit)).fetchall()
    if found:
        connection.executemany(_KEEP_LAST_NUMBER, found)
        connection.execute(_FORGET_EARLIER)
    for statement in _DELETED:
        connection.executemany(statement, found)
    return len(found)
