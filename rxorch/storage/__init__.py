"""Floor 1: what must survive the process, in SQLite files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rxorch.storage.errors import StorageError

if TYPE_CHECKING:
    from rxorch.storage.file import SqliteFile, reader
    from rxorch.storage.writer import SqliteWriter

__all__ = ["SqliteFile", "SqliteWriter", "StorageError", "reader"]


def __getattr__(name: str) -> Any:
    # Errors are imported by many; SQLite is loaded by who keeps something.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rxorch.storage import file, writer

    return getattr(writer if name == "SqliteWriter" else file, name)
