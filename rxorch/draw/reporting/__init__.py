"""A run, or a stream of them, as a page of its own."""

from rxorch.draw.reporting.document import Report, report

__all__ = ["Report", "report"]
