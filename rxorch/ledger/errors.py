"""LedgerError: a ledger that cannot be opened, read or written, or does not fit the inputs."""

from __future__ import annotations

from rxorch.storage import StorageError

__all__ = ["LedgerError"]


class LedgerError(StorageError):
    """A ledger cannot be opened, read or written, or it is of other inputs."""
