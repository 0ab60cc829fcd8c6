"""Runs of flows and sagas in one list, the newest first, a page at a time."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from pydantic_core import from_json, to_json

from rxorch.saga import Saga, SagaState, UnknownRunError
from rxorch.server.problems import Problem
from rxorch.server.run_book import FlowState
from rxorch.server.run_documents import flow_summary, saga_summary
from rxorch.server.state import ServerState

__all__ = ["RunQuery", "page_of", "query_of_runs"]

_STATES: Final = {state.value for state in (*FlowState, *SagaState)}
_MOST: Final = 100
_AT_ONCE: Final = 20
"""Records that are read at once: each has its input and its result."""
_LONGEST_CURSOR: Final = 16_384


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are asked for.

    Attributes:
        flow: Name of their flow or saga; None: any.
        states: Theirs; None: any.
        limit: How many at most.
        after: Where the page before ended: the place in the book as ``""``, and by the name of each saga the
            id of the last run that was given.
    """

    flow: str | None
    states: frozenset[str] | None
    limit: int
    after: dict[str, Any]


def query_of_runs(request: web.Request, names: Collection[str]) -> RunQuery:
    """The query of a request.

    Raises:
        Problem: A parameter is wrong; says which.
    """
    query = request.query
    flow, states = query.get("flow"), frozenset(query.getall("state", ()))
    if flow is not None and flow not in names:
        raise Problem(422, "flow: there is no orchestration of this name")
    if not states <= _STATES:
        raise Problem(422, f"state: give one of {', '.join(sorted(_STATES))}")
    limit = query.get("limit", "50")
    if not limit.isascii() or not limit.isdigit() or len(limit) > 3 or not 1 <= int(limit) <= _MOST:
        raise Problem(422, f"limit: give a number from 1 to {_MOST}")
    return RunQuery(flow, states or None, int(limit), _position(query.get("after"), names))


async def page_of(state: ServerState, query: RunQuery) -> dict[str, Any]:
    """A page of summaries, and where the next one begins.

    Raises:
        Problem: The cursor names what is not there.
    """
    position = dict(query.after)
    sources = [
        _Source("", _flows(state, query)),
        *(
            _Source(name, _saga_runs(name, saga, query))
            for name, saga in state.sagas.items()
            if query.flow in (None, name)
        ),
    ]
    given: list[dict[str, Any]] = []
    try:
        for source in sources:
            await source.step()
        while len(given) < query.limit and (newest := _newest(sources)) is not None:
            assert newest.head is not None
            mark, summary = newest.head
            position[newest.name] = mark
            given.append(summary)
            await newest.step()
    except UnknownRunError:
        raise _wrong_cursor() from None
    is_more = _newest(sources) is not None
    return {"runs": given, "next": _cursor(position) if is_more else None}


class _Source:
    """Runs of one kind; `head` is the next one, with the mark that says where it stands."""

    def __init__(self, name: str, runs: AsyncIterator[tuple[Any, dict[str, Any]]]) -> None:
        self.name = name
        self._runs = runs
        self.head: tuple[Any, dict[str, Any]] | None = None

    async def step(self) -> None:
        """Goes on to the next run."""
        self.head = await anext(self._runs, None)


def _newest(sources: Iterable[_Source]) -> _Source | None:
    left = [source for source in sources if source.head is not None]
    return max(left, key=lambda source: source.head[1]["began"] if source.head else 0.0, default=None)


async def _flows(state: ServerState, query: RunQuery) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    for run in state.book.newest(query.flow, query.states, query.after.get("")):
        yield run.number, flow_summary(run)


async def _saga_runs(name: str, saga: Saga, query: RunQuery) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    states = None
    if query.states is not None:
        states = [each for each in SagaState if each.value in query.states]
    last = query.after.get(name)
    size = min(_AT_ONCE, query.limit + 1)
    while True:
        found = await saga.runs(states, limit=size, after=last, newest_first=True)
        for run in found:
            last = run.run_id
            yield last, saga_summary(name, run)
        if len(found) < size:
            return


def _cursor(position: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(to_json(position)).decode().rstrip("=")


def _position(cursor: str | None, names: Collection[str]) -> dict[str, Any]:
    if cursor is None:
        return {}
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError
        found = from_json(base64.b64decode(cursor.encode() + b"==", altchars=b"-_", validate=False))
    except ValueError:
        raise _wrong_cursor() from None
    if not isinstance(found, dict) or not all(_is_mark(name, mark, names) for name, mark in found.items()):
        raise _wrong_cursor()
    return found


def _is_mark(name: str, mark: Any, names: Collection[str]) -> bool:
    if name == "":
        return isinstance(mark, int) and not isinstance(mark, bool)
    return name in names and isinstance(mark, str)


def _wrong_cursor() -> Problem:
    return Problem(422, "after: give what `next` of the page before says")
