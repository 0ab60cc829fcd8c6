"""The ledger of a stream: which inputs were begun and how they ended, in a file that survives the process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from rxorch.ledger.errors import LedgerError

if TYPE_CHECKING:
    from rxorch.ledger.ledger import Begun, Ledger
    from rxorch.ledger.records import LedgerCounts, LedgerRecord

__all__ = ["Begun", "Ledger", "LedgerCounts", "LedgerError", "LedgerRecord"]

# Only who keeps a ledger loads SQLite: sagas take no more than JSON from this package.
_PLACES: Final = {
    "Begun": "rxorch.ledger.ledger",
    "Ledger": "rxorch.ledger.ledger",
    "LedgerCounts": "rxorch.ledger.records",
    "LedgerRecord": "rxorch.ledger.records",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(place), name)
