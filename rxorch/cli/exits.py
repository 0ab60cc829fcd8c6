"""How the commands end: their exit codes, and errors that are a line on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Final

import typer

from rxorch.errors import ApiConfigurationError
from rxorch.storage import StorageError

__all__ = [
    "BROKEN_PIPE",
    "FAILED",
    "INTERRUPTED",
    "OK",
    "USAGE",
    "escape_signs",
    "quiet_pipe",
    "usage_errors",
]

OK: Final = 0
FAILED: Final = 1
"""Something did not go well: an input failed."""
USAGE: Final = 2
"""The command, its flow or its files are wrong; nothing was called."""
INTERRUPTED: Final = 130
"""128 and the number of SIGINT."""
BROKEN_PIPE: Final = 141
"""128 and the number of SIGPIPE: nobody reads the output any more."""


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turns what is wrong with a flow or a file into a message and the exit code for it."""
    try:
        yield
    except (ApiConfigurationError, StorageError) as error:
        typer.echo(f"rxorch: {error.message}", err=True)
        raise typer.Exit(USAGE) from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        place = f" {str(error.filename)!r}" if error.filename is not None else ""
        typer.echo(f"rxorch: cannot use{place}: {error.strerror or error}", err=True)
        raise typer.Exit(USAGE) from None


def quiet_pipe() -> None:
    """Lets the interpreter end without a word about an output that nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def escape_signs() -> None:
    """What the terminal cannot show is escaped, and no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
