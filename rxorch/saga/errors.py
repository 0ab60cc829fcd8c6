"""Errors of sagas and journals."""

from __future__ import annotations

from rxorch.errors import ApiError
from rxorch.storage import StorageError

__all__ = ["JournalError", "LeaseLostError", "SagaDefinitionChangedError", "SagaError", "UnknownRunError"]


class SagaError(ApiError):
    """A saga cannot do what was asked of it."""


class UnknownRunError(SagaError, LookupError):
    """No run of that name is in the journal."""


class SagaDefinitionChangedError(SagaError):
    """A run began with another definition of its saga than the one that would drive it now."""


class JournalError(StorageError):
    """A journal cannot be opened, read or written; what was written before is in it, and can be resumed."""


class LeaseLostError(JournalError):
    """Somebody else drives the run now. Nothing was written."""
