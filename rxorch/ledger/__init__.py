"""The ledger of a stream: which inputs were begun and how they ended, in a file that survives the process."""

from rxorch.ledger.errors import LedgerError
from rxorch.ledger.ledger import Begun, Ledger
from rxorch.ledger.records import LedgerCounts, LedgerRecord

__all__ = ["Begun", "Ledger", "LedgerCounts", "LedgerError", "LedgerRecord"]
