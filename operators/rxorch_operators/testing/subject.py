"""What the law book knows of an operator: how it is built, and which laws it can be held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from reactivex import Observable

from .lab import Lab
from .recording import Recorder

__all__ = ["Subject", "family", "in_error"]


def in_error(record: Recorder, raised: BaseException) -> bool:
    """Whether a stream ended with this error, or with one that it caused or that holds it."""
    return record.error is not None and raised in family(record.error)


def family(error: BaseException | None) -> Iterator[BaseException]:
    """An error, those that caused it and those that it holds."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An operator, and which laws it can be held to.

    Args:
        name: For reports.
        build: Makes the operator from what the lab gives; called once for each case.
        keeps: `marbles`: elements pass at once and unchanged; `values`: unchanged, later; None: neither.
        projects: What it makes of elements with `lab.call` comes `in order`, in `any order`; None: it makes
            something else of them.
        max_ahead: Elements that may be read beyond what the consumer asked for; None if demand does not pass.
        max_inners: Inners and calls of the lab that may be there at one time; None for any number.
        cold: Whether each subscriber subscribes to the source.
        independent: Whether subscribers share nothing that they could feel.
        ends: Whether it ends when its sources have ended.
        tells: Whether an exception of the consumer's `on_next` reaches the consumer's `on_error` (ours; stock
            RxPY leaves it to the event loop).
        passes_cancellation: Whether a cancellation of a source or an inner is the end of the stream.
        handles_errors: Whether a stream may go on, or end otherwise, after an error of a source or inner.
        delays_errors: Whether an error waits for the end of the stream.
        lets_go_first: Whether everything is given back before the end is told, and not after it; None: if it
            `tells` (ours do both, stock RxPY neither).
        shows: Whether what a callback raised can be seen in a record; in its error by default.
    """

    name: str
    build: Callable[[Lab], Callable[[Observable[Any]], Observable[Any]]]
    keeps: Literal["marbles", "values"] | None = None
    projects: Literal["in order", "any order"] | None = None
    max_ahead: int | None = None
    max_inners: int | None = None
    cold: bool = True
    independent: bool = True
    ends: bool = True
    tells: bool = True
    passes_cancellation: bool = True
    handles_errors: bool = False
    delays_errors: bool = False
    lets_go_first: bool | None = None
    shows: Callable[[Recorder, BaseException], bool] = in_error

    def __str__(self) -> str:
        return self.name
