"""FLOW and JOURNAL of ``rxorch saga``: from a reference to a saga whose runs are in that journal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rxorch.cli.exits import USAGE, usage_errors
from rxorch.errors import ApiConfigurationError

if TYPE_CHECKING:
    from rxorch.saga import Journal, Saga

__all__ = ["JournalPath", "RunId", "SagaFlow", "saga_errors", "saga_of"]

SagaFlow = Annotated[
    str,
    typer.Argument(
        metavar="FLOW",
        help="The saga: 'module:attribute' or 'file.py:attribute'. The attribute is a Saga, or a function "
        "that takes a journal and returns one. Its own journal is not used.",
        show_default=False,
    ),
]
JournalPath = Annotated[
    str, typer.Argument(metavar="JOURNAL", help="The file of the journal.", show_default=False)
]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The name of the run.", show_default=False)]


@contextmanager
def saga_errors() -> Iterator[None]:
    """Turns what is wrong with a saga, a journal or a run's name into a message and the exit code for it."""
    from rxorch.saga import SagaError

    with usage_errors():
        try:
            yield
        except SagaError as error:
            typer.echo(f"rxorch: {error.message}", err=True)
            raise typer.Exit(USAGE) from None


def saga_of(flow: str, journal: Journal) -> Saga:
    """The saga that a reference leads to, with its runs in this journal.

    Raises:
        ApiConfigurationError: It leads to none; says why.
    """
    from rxorch.flowfile.reference import referenced
    from rxorch.saga import Saga

    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if here not in sys.path:
        sys.path.insert(0, here)
    found = referenced(flow, (Saga,), "saga")
    if callable(found):
        found = _made(found, flow, journal)
    if not isinstance(found, Saga):
        raise ApiConfigurationError(
            f"{flow!r} is a {type(found).__name__}; give a Saga, or a function that takes a journal and "
            "returns one"
        )
    return found if found.journal is journal else found.with_journal(journal)


def _made(make: Any, flow: str, journal: Journal) -> Any:
    from rxorch.flowfile.reference import guarded

    if iscoroutinefunction(make):
        raise ApiConfigurationError(f"{flow!r} is an async function; what makes a saga is a plain one")
    try:
        signature(make).bind(journal)
    except (TypeError, ValueError):
        raise ApiConfigurationError(
            f"{flow!r} cannot be called with a journal alone; what makes a saga takes just that"
        ) from None
    return guarded(lambda: make(journal), flow)
