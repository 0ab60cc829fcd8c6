"""Flows in files: YAML without code, references to flows, rates as text."""

from rxorch.flowfile.errors import FlowFileError, Problem
from rxorch.flowfile.loading import load_flow
from rxorch.flowfile.rates import parse_rate
from rxorch.flowfile.reference import resolve_flow, resolve_flows
from rxorch.flowfile.starter import starter

__all__ = ["FlowFileError", "Problem", "load_flow", "parse_rate", "resolve_flow", "resolve_flows", "starter"]
