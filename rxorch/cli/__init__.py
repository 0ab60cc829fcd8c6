"""The command line: ``rxorch``, also as ``python -m rxorch``. Needs the extra ``cli`` (typer, rich)."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich"})


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    _occupy_closed()
    try:
        import rich  # noqa: F401 - typer shows its help with it

        from rxorch.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"rxorch: the command line needs {error.name}: pip install 'rxorch[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        app(prog_name="rxorch")
    except OSError as error:  # standard output takes no more
        from rxorch.cli.exits import quiet_pipe

        quiet_pipe()
        sys.exit(f"rxorch: {error}")


def _occupy_closed() -> None:
    """Keeps the numbers of closed standard streams from files and sockets.

    What was closed stays unusable, and says so: it is opened the wrong way round. Only messages get lost.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free, and so this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - for as long as the process runs
