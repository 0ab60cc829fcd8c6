"""``rxorch run --dry-run``: what would be called, without a call."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final

import typer

from rxorch.blocking import run_blocking
from rxorch.cli.exits import FAILED, OK
from rxorch.endpoint import uncancelled
from rxorch.endpoint.build import RequestBuilder
from rxorch.flow import compile_flow
from rxorch.flow.plan import CallPlan, GroupPlan, Plan
from rxorch.http.redaction import redact_url
from rxorch.orchestrator import APIOrchestrator
from rxorch.sources import BadInput
from rxorch.terminal.ink import count

__all__ = ["dry_run"]

_SHOWN: Final = 3
"""Inputs of which the first requests are shown."""


def dry_run(
    orchestrator: APIOrchestrator, inputs: Any, *, key: Callable[[Any], Any] | None, batch: int | None
) -> int:
    """Reads the inputs, makes the requests that need nothing but them, and says what there is.

    Returns:
        1 if an input cannot be used, else 0.
    """
    report = _Report(orchestrator, key)
    run_blocking(lambda: _read(inputs, report, batch))
    report.sum_up()
    return FAILED if report.bad else OK


async def _read(inputs: Any, report: _Report, batch: int | None) -> None:
    if batch is None:
        async for value in _each(inputs):
            report.take(value)
        return
    several: list[Any] = []
    async for value in _each(inputs):
        several.append(value)
        if len(several) == batch:
            report.take_batch(several)
            several = []
    report.take_batch(several)


async def _each(inputs: Any) -> AsyncIterator[Any]:
    if isinstance(inputs, AsyncIterable):
        async for value in inputs:
            yield value
    else:
        for value in inputs:
            yield value


class _Report:
    def __init__(self, orchestrator: APIOrchestrator, key: Callable[[Any], Any] | None) -> None:
        self._orchestrator = orchestrator
        self._key = key
        self._first = [RequestBuilder(plan.endpoint) for plan in _first(compile_flow(orchestrator.flow).root)]
        self._shown = 0
        self.good = 0
        self.bad = 0

    def take_batch(self, values: list[Any]) -> None:
        """Looks at a batch; what could not be read is an input of its own, as in a stream."""
        good = [each for each in values if not isinstance(each, BadInput)]
        for value in ([good] if good else []) + [each for each in values if isinstance(each, BadInput)]:
            self.take(value)

    def take(self, value: Any) -> None:
        """Looks at one input."""
        if isinstance(value, BadInput):
            self._refuse(str(value.error))
            return
        try:
            key = None if self._key is None else uncancelled(self._key, value)
            requests = [builder.build(value) for builder in self._first]
        except Exception as error:
            self._refuse(f"input {self.good + self.bad}: {error}")
            return
        self.good += 1
        if self._shown < _SHOWN:
            self._shown += 1
            named = "" if key is None else f" (key {key!r})"
            typer.echo(f"input {self.good + self.bad - 1}{named}")
            for request in requests:
                typer.echo(f"  {request.endpoint}: {request.method} {redact_url(request.url)}")

    def _refuse(self, reason: str) -> None:
        self.bad += 1
        typer.echo(f"bad: {reason}", err=True)

    def sum_up(self) -> None:
        """The counts, and what they cost at worst."""
        from rxorch.worst_case import worst_case

        worst = worst_case(self._orchestrator)
        typer.echo(
            f"{count(self.good)} input{'s' if self.good != 1 else ''} can be run, {count(self.bad)} cannot"
        )
        usual = count(int(self.good * worst.usual_requests))
        most = "without end" if worst.requests == float("inf") else count(int(self.good * worst.requests))
        typer.echo(f"requests: {usual} when all goes well, {most} at worst")
        typer.echo("nothing was called")


def _first(plan: Plan) -> list[CallPlan]:
    """The calls that need nothing but the input."""
    if isinstance(plan, CallPlan):
        return [] if plan.depends_on else [plan]
    if not isinstance(plan, GroupPlan):
        return []
    return [call for index, need in enumerate(plan.needs) if not need for call in _first(plan.members[index])]
