"""``rxorch saga``: the runs in a journal, one run, the dead letters; and asking for a run to be undone."""

from __future__ import annotations

import json as standard_json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rxorch.cli.exits import FAILED, OK, escape_signs, usage_errors
from rxorch.cli.report_file import ReportPath, checked_report, written
from rxorch.cli.saga_drive import resume, retry
from rxorch.cli.saga_flows import JournalPath, RunId, saga_errors
from rxorch.terminal.ink import Ink, count, counted

if TYPE_CHECKING:
    from rxorch.saga import RunRecord

__all__ = ["saga"]

saga = typer.Typer(
    name="saga", help="Runs of sagas: see them, go on with them, have them undone.", no_args_is_help=True
)

State = Literal["running", "cancel_requested", "compensating", "completed", "compensated", "failed"]
SagaName = Annotated[
    str | None, typer.Option("--saga", help="Only runs of this saga.", show_default="those of all")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Runs at most.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@saga.command("list")
def list_runs(
    journal: JournalPath,
    name: SagaName = None,
    state: Annotated[
        State | None,
        typer.Option("--state", help="Only runs in this state.", show_default="any"),
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the runs that began last, the newest at the end."""
    from rxorch.saga import SagaState
    from rxorch.saga.reading import reading

    wanted = None if state is None else [SagaState(state)]
    with saga_errors(), reading(journal) as view:
        runs = view.latest(name, wanted, limit=limit)
        counts = view.counts(name)
    _show_runs(runs, json=json)
    if not json:
        parts = [f"{count(counts[each])} {_words(each)}" for each in SagaState if counts[each]]
        typer.echo(", ".join([counted(counts.total(), "run"), *parts]), err=True)


@saga.command("dead-letters")
def dead_letters(journal: JournalPath, name: SagaName = None, limit: Limit = 100, json: Json = False) -> None:
    """List the runs that somebody has to look at, and why they got nowhere."""
    from rxorch.saga import SagaState
    from rxorch.saga.reading import reading

    with saga_errors(), reading(journal) as view:
        runs = view.latest(name, [SagaState.FAILED], limit=limit)
        total = view.counts(name)[SagaState.FAILED]
    _show_runs(runs, json=json)
    if not json:
        hint = f"; next: rxorch saga retry FLOW {journal} RUN_ID" if runs else ""
        typer.echo(f"{counted(total, 'dead letter')}{hint}", err=True)


@saga.command()
def show(
    journal: JournalPath,
    run_id: RunId,
    values: Annotated[bool, typer.Option("--values", help="Show inputs and results, too.")] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            "--svg", dir_okay=False, help="Also write the picture to this file.", show_default=False
        ),
    ] = None,
    report: ReportPath = None,
    json: Json = False,
) -> None:
    """Show a run: its picture, who drives it, and all that happened to it."""
    from rxorch.cli.saga_text import run_document, run_lines
    from rxorch.saga import RunPicture
    from rxorch.saga.reading import reading

    with saga_errors(), reading(journal) as view:
        run, steps, history = view.run(run_id), view.steps(run_id), view.history(run_id)
    escape_signs()
    if report is not None:
        from rxorch.saga.reporting import RunsReport, RunTold

        with usage_errors():
            page = checked_report(report, (str(journal),))
        about = RunsReport()
        about.add(RunTold(run, steps, history))
        if page is not None and not written(about, page):
            raise typer.Exit(FAILED)
    if svg is not None:
        with usage_errors():
            svg.write_text(RunPicture(run, steps, history=history).svg(), encoding="utf-8", newline="\n")
    if json:
        _print_json(run_document(run, steps, history, values=values))
        return
    for line in run_lines(run, steps, history, Ink.of(sys.stdout), time.time(), values=values):
        typer.echo(line)


@saga.command()
def cancel(
    journal: JournalPath,
    run_id: RunId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the history.")] = "",
) -> None:
    """Ask for a run to be undone: who drives it does it, or the next 'rxorch saga resume'.

    Exits with 1 if it is over, so that there is nothing to ask for.
    """
    from rxorch.blocking import run_blocking
    from rxorch.saga import SagaState, SqliteJournal
    from rxorch.saga.reading import reading

    async def ask() -> RunRecord:
        async with SqliteJournal(journal) as opened:
            return await opened.request_cancel(run_id, reason)

    with saga_errors():
        with reading(journal) as view:  # nothing is made where there is no journal
            view.run(run_id)
        run = run_blocking(ask)
    escape_signs()
    if run.state is SagaState.CANCEL_REQUESTED:
        is_driven = run.owner is not None and run.leased_until > time.time()
        who = f"{run.owner}, who drives it," if is_driven else "the next 'rxorch saga resume'"
        typer.echo(f"{run_id}: asked for; {who} undoes it, unless it is past its pivot")
    elif run.state is SagaState.COMPENSATING:
        typer.echo(f"{run_id}: it is being undone already")
    else:
        typer.echo(f"rxorch: the run {run_id!r} is over: it is {_words(run.state)}", err=True)
        raise typer.Exit(OK if run.state is SagaState.COMPENSATED else FAILED)


@saga.command()
def prune(
    journal: JournalPath,
    days: Annotated[
        float,
        typer.Option("--older-than", metavar="DAYS", min=0, help="Of which nothing was written for so long."),
    ],
    unpublished: Annotated[
        bool,
        typer.Option("--unpublished", help="Also runs with events that nobody took from the outbox."),
    ] = False,
) -> None:
    """Delete runs that are completed or undone, with all that was written of them. Dead letters stay."""
    from rxorch.blocking import run_blocking
    from rxorch.saga import SqliteJournal
    from rxorch.saga.reading import reading

    async def delete() -> int:
        async with SqliteJournal(journal) as opened:
            return await opened.prune(time.time() - days * 86_400, unpublished=unpublished)

    with saga_errors():
        with reading(journal):  # nothing is made where there is no journal
            pass
        pruned = run_blocking(delete)
    hint = "" if unpublished else "; those with unpublished events stay (--unpublished deletes them, too)"
    typer.echo(f"{counted(pruned, 'run')} deleted{hint}")


saga.command()(resume)
saga.command()(retry)


def _show_runs(runs: list[RunRecord], *, json: bool) -> None:
    from rxorch.cli.saga_text import run_facts, table

    escape_signs()
    if json:
        _print_json([run_facts(run) for run in runs])
        return
    for line in table(runs, Ink.of(sys.stdout), time.time()):
        typer.echo(line)


def _print_json(document: Any) -> None:
    typer.echo(standard_json.dumps(document, indent=2))


def _words(state: Any) -> str:
    return str(state).replace("_", " ")
