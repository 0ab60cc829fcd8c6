"""The commands, as a typer application. Imported by ``rxorch.cli.main`` only."""

from __future__ import annotations

from typing import Annotated

import typer

from rxorch import __version__
from rxorch.cli.exits import usage_errors
from rxorch.cli.import_openapi import import_openapi
from rxorch.cli.report_file import ReportPath, checked_report
from rxorch.cli.retry_failed import ledger, retry_failed
from rxorch.cli.run import run
from rxorch.cli.saga import saga as saga_commands
from rxorch.cli.serve import serve
from rxorch.cli.show import check, draw, new

__all__ = ["app"]

app = typer.Typer(
    name="rxorch",
    help="Reactive API orchestration.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"rxorch {__version__}")
    raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Reactive API orchestration."""


app.command()(run)
app.command("retry-failed")(retry_failed)
app.command()(ledger)
app.command()(check)
app.command()(draw)
app.command()(new)
app.command()(serve)
app.command("import-openapi")(import_openapi)
app.add_typer(saga_commands)


@app.command()
def demo(
    orders: Annotated[
        int | None,
        typer.Option(min=1, help="Orders to send through the shop.", show_default="2000; 200 with --saga"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the orders and of the faults.")] = 7,
    saga: Annotated[
        bool, typer.Option("--saga", help="Orders that are completed or undone, whatever goes wrong.")
    ] = False,
    report: ReportPath = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Show the six modes and a stream of orders on services that it starts itself.

    Eight small HTTP services run in another process, on loopback, with faults: latency, 503, 429, resets,
    timeouts and an outage. Exits with 0 only if what client and services counted agrees.
    """
    with usage_errors():
        page = checked_report(report)
    try:
        if saga:
            from rxorch.demo.saga_main import run_saga_demo

            code = run_saga_demo(orders or 200, seed, as_json=json, page=page)
        else:
            from rxorch.demo.main import run_demo

            code = run_demo(orders or 2000, seed, as_json=json, page=page)
    except KeyboardInterrupt:  # before there was anything to stop
        code = 130
    raise typer.Exit(code)
