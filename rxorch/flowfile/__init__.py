"""Flows in files: references to them, rates as text."""

from rxorch.flowfile.rates import parse_rate
from rxorch.flowfile.reference import resolve_flow

__all__ = ["parse_rate", "resolve_flow"]
