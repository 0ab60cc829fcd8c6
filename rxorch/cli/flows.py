"""FLOW on the command line: from a reference to the orchestrator that runs it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rxorch.cli.exits import usage_errors
from rxorch.orchestrator import APIOrchestrator

__all__ = ["Flow", "look_here", "orchestrator_of"]

Flow = Annotated[
    str,
    typer.Argument(
        metavar="FLOW",
        help="What to run: 'module:attribute', 'file.py:attribute' or a YAML file. The attribute is an "
        "orchestrator, a configuration, a flow, an endpoint, or a function that returns one.",
        show_default=False,
    ),
]


def orchestrator_of(flow: str) -> APIOrchestrator:
    """The orchestrator that a reference leads to; ends the command where it leads to none."""
    from rxorch.flowfile import resolve_flow

    look_here()
    with usage_errors():
        return resolve_flow(flow)


def look_here() -> None:
    """Modules of the current folder can be imported, as `python -m` lets them."""
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if here not in sys.path:
        sys.path.insert(0, here)
