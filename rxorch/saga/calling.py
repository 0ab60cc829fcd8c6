"""Calling what a step or its undoing is made by: a function in the name of the step, or an endpoint."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from reactivex.abc import DisposableBase

from rxorch.endpoint import Call
from rxorch.endpoint.stack import EndpointCall
from rxorch.saga.errors import SagaError
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage

__all__ = ["CutOffError", "FactsKept", "SagaStep", "called", "current_step"]


@dataclass(frozen=True, slots=True)
class SagaStep:
    """Which step is being made, for whom it calls.

    Attributes:
        run_id: Of the run.
        step: Its name.
        key: The idempotency key: the same whenever this step of this run is made.
        attempt: How often it was begun, over all processes.
        undo: Whether it is the undoing of the step.
    """

    run_id: str
    step: str
    key: str
    attempt: int
    undo: bool = False


_current: Final[ContextVar[SagaStep | None]] = ContextVar("rxorch_saga_step", default=None)


def current_step() -> SagaStep | None:
    """The step whose function is running; None outside of one. A function that is no endpoint takes its
    idempotency key from here.
    """
    return _current.get()


class CutOffError(SagaError):
    """A function ended with no error of its own: nobody knows how far it came."""


async def called(function: Callable[[Any, Any], Any], step: SagaStep, data: Any, results: Any) -> Any:
    """What a function of the data and the results gives, called for a step.

    Raises:
        CutOffError: It raised `CancelledError`, though nobody cancelled it, or another `BaseException`: if
            that came through, it would end the task of the run, and nobody would drive it any more.
    """
    _current.set(step)
    try:
        result = function(data, results)
        return await result if inspect.isawaitable(result) else result
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise CutOffError(f"its function raised {type(error).__name__}, and no Exception") from error


class FactsKept(Stage[Any]):
    """A call of an endpoint whose facts whoever made them sees, too."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: Any, scheduler: DemandScheduler) -> DisposableBase:
        return EndpointCall.start(self.call, sink, scheduler)
