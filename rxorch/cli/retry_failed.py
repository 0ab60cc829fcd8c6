"""``rxorch retry-failed`` and ``rxorch ledger``: what a ledger has, and running again what failed."""

from __future__ import annotations

from typing import Annotated

import typer

from rxorch.cli.exits import OK, quiet_pipe, usage_errors
from rxorch.cli.flows import Flow, orchestrator_of
from rxorch.cli.outputs import Output, OutputForm, export, refuse_overwriting
from rxorch.cli.report_file import ReportPath, checked_report
from rxorch.cli.run import MaxConcurrent, OutputPath, Quiet, Rate, Tolerated, limit, share_of
from rxorch.cli.running import Job, carry_out
from rxorch.ledger import Ledger

__all__ = ["ledger", "retry_failed"]


def retry_failed(
    flow: Flow,
    ledger: Annotated[str, typer.Option("--ledger", help="The ledger of the run.", show_default=False)],
    output: OutputPath = "-",
    max_concurrent: MaxConcurrent = None,
    rate: Rate = None,
    tolerated_failures: Tolerated = None,
    output_format: Annotated[
        OutputForm | None, typer.Option(help="Form of the output.", show_default="by its name")
    ] = None,
    report: ReportPath = None,
    quiet: Quiet = False,
) -> None:
    """Run the inputs again that failed, with the same idempotency keys, and write their new records.

    Inputs that were in flight when the process ended are run too. Exits as 'rxorch run' does.
    """
    orchestrator = orchestrator_of(flow)
    with usage_errors():
        limit(orchestrator, rate)
        book = Ledger(ledger)
        counts = book.counts()
        used = (ledger, flow, flow.rpartition(":")[0])
        refuse_overwriting(output, used)
        page = checked_report(report, (*used, output))
        tolerated = share_of(tolerated_failures)
        job = Job(
            orchestrator=orchestrator,
            stream=lambda: orchestrator.retry_failed(
                book, max_concurrent=max_concurrent, tolerated_failures=tolerated
            ),
            output=Output(output, output_format),
            total=lambda: counts.failed + counts.in_flight,
            quiet=quiet,
            report=page,
            title=flow,
        )
    raise typer.Exit(carry_out(job))


def ledger(
    path: Annotated[str, typer.Argument(metavar="LEDGER", help="The ledger of a run.", show_default=False)],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Write its records: a .jsonl or .csv file; - is standard output."
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    output_format: Annotated[
        OutputForm | None, typer.Option(help="Form of the output.", show_default="by its name")
    ] = None,
) -> None:
    """Say how the inputs of a run stand, or write their records."""
    with usage_errors():
        book = Ledger(path)
        if output is None:
            typer.echo(str(book.counts()))
            raise typer.Exit(OK)
        refuse_overwriting(output, (path,))
        try:
            export(book, Output(output, output_format), failed=failed)
        except BrokenPipeError:
            quiet_pipe()
