"""``rxorch import-openapi``: the operations of a description as a table, or as a Python module."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rxorch.errors import ApiConfigurationError

if TYPE_CHECKING:
    from rxorch.openapi import EndpointSet

__all__ = ["import_openapi"]


def import_openapi(
    spec: Annotated[Path, typer.Argument(help="An OpenAPI 3.0 or 3.1 description, JSON or YAML.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a Python module with models and endpoints.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(help="Only these: 'getUser', 'users.*' or 'GET /users/*'. May be given several times."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only operations with this tag.")] = None,
    server: Annotated[
        str | None, typer.Option(help="Url of the server, in the place of the first one.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="What a relative url of a server belongs to.")] = None,
) -> None:
    """Show the operations of an OpenAPI description, or write them as Python.

    Exits with 2 if the description cannot be read.
    """
    from rxorch.openapi import endpoints_from_openapi

    for stream in (sys.stdout, sys.stderr):  # what the terminal cannot show is escaped
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        endpoints = endpoints_from_openapi(
            spec, include=include or None, tags=tag or None, server=server, base_url=base_url
        )
        if output is None:
            _show(endpoints)
        else:
            _write(endpoints, spec, output)
    except ApiConfigurationError as error:
        typer.echo(f"rxorch: {error.message}", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"rxorch: cannot write {str(output)!r}: {error.strerror}", err=True)
        raise typer.Exit(2) from None


def _show(endpoints: EndpointSet) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("endpoint", "method", "path", "takes", "answers", box=None, pad_edge=False)
    for name, operation in endpoints.operations.items():
        row = (
            name,
            operation.method,
            operation.path,
            ", ".join(endpoints.keys_of(name)),
            endpoints.answer(name),
        )
        table.add_row(*(Text(each, overflow="fold") for each in row))
    # Without a terminal there is no width to fit into: each operation is one line.
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, soft_wrap=True)
    console.print(table)
    console.print(Text(f"{len(endpoints)} operations of {endpoints.title or 'an API'}"))
    for title, reason in endpoints.skipped.items():
        typer.echo(f"skipped: {title}: {reason}", err=True)


def _write(endpoints: EndpointSet, spec: Path, output: Path) -> None:
    output.write_text(endpoints.source(spec.name), encoding="utf-8")
    typer.echo(f"{output}: {len(endpoints)} endpoints")
    for title, reason in endpoints.skipped.items():
        typer.echo(f"skipped: {title}: {reason}", err=True)
