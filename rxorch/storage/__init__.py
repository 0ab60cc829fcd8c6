"""Floor 1: what must survive the process, in SQLite files."""

from rxorch.storage.errors import StorageError
from rxorch.storage.file import SqliteFile, reader
from rxorch.storage.writer import SqliteWriter

__all__ = ["SqliteFile", "SqliteWriter", "StorageError", "reader"]
