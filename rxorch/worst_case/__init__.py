"""What one input of a flow can cost at worst, and what a linter would say about it."""

from rxorch.worst_case.calls import CallCost
from rxorch.worst_case.judging import worst_case
from rxorch.worst_case.model import Finding, WorstCase

__all__ = ["CallCost", "Finding", "WorstCase", "worst_case"]
