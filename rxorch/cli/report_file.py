"""`--report`: a page about what a command has done, in a file that can be written, as is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

import typer

from rxorch.cli.outputs import refuse_overwriting
from rxorch.errors import ApiConfigurationError

__all__ = ["Page", "ReportPath", "checked_report", "written"]

ReportPath = Annotated[
    str | None,
    typer.Option(
        "--report",
        help="Write a page about what happened: an .html file, without inputs and values.",
        show_default=False,
    ),
]


def checked_report(report: str | None, used: tuple[str | None, ...] = ()) -> Path | None:
    """The path of a report that can be written.

    Args:
        report: As it was given.
        used: Paths of the other files of the command, none of which it may be.

    Raises:
        ApiConfigurationError: It is no HTML file, or one of the others.
        OSError: It cannot be written.
    """
    if report is None:
        return None
    path = Path(report)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ApiConfigurationError(f"--report: it is an .html file, not {report!r}")
    refuse_overwriting(report, used, option="--report")
    is_new = not path.exists()
    with path.open("ab"):
        pass
    if is_new:  # nothing is left behind by a command that ends before it has something to tell
        path.unlink()
    return path


class Page(Protocol):
    """What can be written into a file: a report on runs of a flow, or of a saga."""

    def save(self, path: str | Path) -> Path:
        """Writes it."""


def written(report: Page, path: Path, *, quiet: bool = False) -> bool:
    """Writes a report, and says so; or says what prevents it, and returns False."""
    try:
        report.save(path)
    except OSError as error:
        typer.echo(f"rxorch: --report: cannot write {str(path)!r}: {error.strerror or error}", err=True)
        return False
    if not quiet:
        typer.echo(f"report: {path}", err=True)
    return True
