"""The command line: ``rxorch``, also as ``python -m rxorch``. Needs the extra ``cli`` (typer, rich)."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich"})


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    try:
        import rich  # noqa: F401 - typer shows its help with it

        from rxorch.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"rxorch: the command line needs {error.name}: pip install 'rxorch[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    app()
