"""``rxorch run``: a stream of inputs through a flow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rxorch.cli.dry_run import dry_run
from rxorch.cli.exits import usage_errors
from rxorch.cli.flows import Flow, orchestrator_of
from rxorch.cli.inputs import Form, counter_of, form_of, inputs_of, key_of, one_input
from rxorch.cli.outputs import Output, OutputForm, refuse_overwriting
from rxorch.cli.report_file import ReportPath, checked_report
from rxorch.cli.running import Job, carry_out
from rxorch.errors import ApiConfigurationError
from rxorch.ledger import Ledger
from rxorch.orchestrator import APIOrchestrator
from rxorch_operators import ErrorMode

__all__ = ["LedgerPath", "MaxConcurrent", "OutputPath", "Quiet", "Rate", "Tolerated", "run"]

OutputPath = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="Where the records go: a .jsonl or .csv file, .gz or not; - is standard output.",
    ),
]
MaxConcurrent = Annotated[
    int | None, typer.Option(min=1, help="Inputs in flight at once.", show_default="as the flow says")
]
Rate = Annotated[
    str | None,
    typer.Option(help="Requests at most, all endpoints together: 100/s, 6000/min, 5/2s.", show_default=False),
]
LedgerPath = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        help="An SQLite file that remembers what was done, so that the run can be resumed.",
        show_default=False,
    ),
]
Tolerated = Annotated[
    str | None,
    typer.Option(help="Stop when more inputs fail: a number, or a share such as 5%.", show_default=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]


def run(
    flow: Flow,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            help="A .jsonl, .csv or .txt file, .gz or not; a folder of them; - is standard input.",
            show_default="standard input",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="One input, as JSON.", show_default=False)
    ] = None,
    output: OutputPath = "-",
    max_concurrent: MaxConcurrent = None,
    rate: Rate = None,
    ledger: LedgerPath = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in the ledger, if there is one. The output is made whole."
        ),
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            help="What an input is known by in the ledger: JMESPath, such as id.", show_default="its place"
        ),
    ] = None,
    ordered: Annotated[bool, typer.Option("--ordered", help="Records in the order of the inputs.")] = False,
    on_error: Annotated[ErrorMode, typer.Option(help="What a failed input does.")] = "as_result",
    tolerated_failures: Tolerated = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Inputs per run, as a list.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for what is appended to the input.")] = False,
    input_format: Annotated[
        Form | None, typer.Option(help="Form of the input.", show_default="by its name")
    ] = None,
    output_format: Annotated[
        OutputForm | None, typer.Option(help="Form of the output.", show_default="by its name")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Read the inputs and say what would be called; call nothing.")
    ] = False,
    report: ReportPath = None,
    quiet: Quiet = False,
) -> None:
    """Run a flow for each input, and write a record of each.

    The first Ctrl-C lets what is in flight end, the second stops it. Exits with 0 if all inputs went well, 1
    if some failed, 2 if the command, the flow or a file is wrong, 130 if it was interrupted (143 by SIGTERM).
    """
    orchestrator = orchestrator_of(flow)
    with usage_errors():
        _check_together(input, data, ledger, resume=resume, key=key, follow=follow)
        limit(orchestrator, rate)
        path = "-" if input is None else input
        if data is None and path == "-" and sys.stdin is not None and sys.stdin.isatty():
            typer.echo("reading inputs from the terminal; Ctrl-D ends them", err=True)
        inputs: Any = one_input(data) if data is not None else inputs_of(path, input_format, follow=follow)
        options: dict[str, Any] = {
            "max_concurrent": max_concurrent,
            "ordered": ordered,
            "key": key_of(key),
            "on_error": on_error,
            "tolerated_failures": share_of(tolerated_failures),
            "batch": batch,
        }
        book = None if ledger is None else Ledger(ledger)
        if dry:
            raise typer.Exit(dry_run(orchestrator, inputs, key=options["key"], batch=batch))
        orchestrator.stream((), **options)  # refuses what cannot work before any file is made
        _check_folder(output, path, input_format)
        used = (None if data is not None else path, ledger, flow, flow.rpartition(":")[0])
        refuse_overwriting(output, used)
        page = checked_report(report, (*used, output))
        _check_ledger(book, resume=resume)
        job = Job(
            orchestrator=orchestrator,
            stream=lambda: orchestrator.stream(inputs, ledger=book, resume=resume, **options),
            output=Output(output, output_format),
            replayed=book if resume and book is not None and book.path.exists() else None,
            total=None if data is not None or batch else counter_of(path, input_format, follow=follow),
            quiet=quiet,
            report=page,
            title=flow,
        )
    raise typer.Exit(carry_out(job))


def _check_together(
    input: str | None, data: str | None, ledger: str | None, *, resume: bool, key: str | None, follow: bool
) -> None:
    if input is not None and data is not None:
        raise ApiConfigurationError("--data: it is the input; leave out --input")
    if ledger is None:
        for name, given in (("--resume", resume), ("--key", key is not None)):
            if given:
                raise ApiConfigurationError(f"{name}: it needs --ledger")
    if follow and (input is None or data is not None):
        raise ApiConfigurationError("--follow: give the file to follow by --input")


def _check_folder(output: str, path: str, form: Form | None) -> None:
    """Refuses an output that would be read as one of the inputs."""
    folder = Path(path)
    if output == "-" or path == "-" or not folder.is_dir() or form_of(output) != (form or form_of(path)):
        return
    if Path(output).resolve().parent == folder.resolve():
        raise ApiConfigurationError(
            f"--output: {output!r} is in {path!r}, whose files are read; give another"
        )


def _check_ledger(book: Ledger | None, *, resume: bool) -> None:
    """Refuses a ledger that holds a run before the output is made anew."""
    if resume or book is None or not book.path.exists():
        return
    counts = book.counts()
    if counts.inputs:
        raise ApiConfigurationError(
            f"--ledger: {str(book.path)!r} holds a run already ({counts}); give --resume to go on with it, "
            "or another file"
        )


def limit(orchestrator: APIOrchestrator, rate: str | None) -> None:
    """Sets the rate that the command line names."""
    if rate is not None:
        from rxorch.flowfile import parse_rate

        orchestrator.limit_rate(*parse_rate(rate))


def share_of(text: str | None) -> float | None:
    """A number of failures, or a share of all: `5`, `5%`, `0.05`.

    Raises:
        ApiConfigurationError: It is neither.
    """
    if text is None:
        return None
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise ApiConfigurationError("--tolerated-failures: give a number, or a share such as 5%") from None
