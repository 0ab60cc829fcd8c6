"""StorageError: a file that cannot be opened, read or written."""

from __future__ import annotations

from rxorch.errors import ApiError

__all__ = ["StorageError"]


class StorageError(ApiError):
    """A file of records cannot be opened, read or written.

    The message names the file and what to do. After a failed write nothing of it is in the file.
    """
