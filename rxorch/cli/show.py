"""``rxorch check`` and ``rxorch draw``: a flow explained and drawn; ``rxorch new``: one to begin with."""

from __future__ import annotations

import json as standard_json
from pathlib import Path
from typing import Annotated, Literal

import typer

from rxorch.cli.exits import FAILED, OK, USAGE, escape_signs, usage_errors
from rxorch.cli.flows import Flow, orchestrator_of

__all__ = ["check", "draw", "new"]

_SUFFIXES = {
    ".txt": "text",
    ".svg": "svg",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
}


def check(
    flow: Flow,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where there is a warning.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Check a flow, and explain what one input can cost at worst: requests, seconds, amplification.

    Exits with 2 if the flow cannot be used.
    """
    from rxorch.worst_case import worst_case

    orchestrator = orchestrator_of(flow)
    escape_signs()
    found = worst_case(orchestrator)
    if json:
        typer.echo(standard_json.dumps(found.as_dict(), indent=2))
    else:
        names = [endpoint.name for endpoint in orchestrator.flow.endpoints()]
        typer.echo(f"{flow}: {len(names)} endpoint{'s' if len(names) != 1 else ''}, ok")
        typer.echo(found.text())
    raise typer.Exit(FAILED if strict and found.warnings else OK)


def draw(
    flow: Flow,
    form: Annotated[
        Literal["text", "mermaid", "dot", "svg"] | None,
        typer.Option("--format", "-f", help="What to draw.", show_default="text, or by the name of the file"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to a file.", show_default=False)
    ] = None,
) -> None:
    """Draw a flow: as text, Mermaid, DOT or SVG."""
    from rxorch.draw import flow_picture

    picture = flow_picture(orchestrator_of(flow))
    escape_signs()
    wanted = form or ("text" if output is None else _SUFFIXES.get(output.suffix))
    if wanted is None:
        typer.echo("rxorch: --output: its name ends in .svg, .mmd, .dot or .txt; or say --format", err=True)
        raise typer.Exit(USAGE)
    text = {"text": picture.text, "mermaid": picture.mermaid, "dot": picture.dot, "svg": picture.svg}[
        wanted
    ]()
    if output is None:
        typer.echo(text)
        return
    with usage_errors():
        output.write_text(text + "\n", encoding="utf-8")


def new(
    path: Annotated[
        Path, typer.Argument(help="The file to write: .yaml, or .py for the same in Python.")
    ] = Path("flow.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented flow to begin with."""
    from rxorch.flowfile import starter

    if path.suffix.lower() not in (".yaml", ".yml", ".py"):
        typer.echo(f"rxorch: {str(path)!r}: a flow is a .yaml, .yml or .py file", err=True)
        raise typer.Exit(USAGE)
    if path.exists() and not force:
        typer.echo(f"rxorch: {str(path)!r} is there already; give another name, or --force", err=True)
        raise typer.Exit(USAGE)
    with usage_errors():
        path.write_text(starter("python" if path.suffix.lower() == ".py" else "yaml"), encoding="utf-8")
    typer.echo(f"{path} is a flow to begin with. Next: rxorch check {path}")
