"""Subscribers of the event stream: metrics."""

from rxorch.observe.io_metrics import EndpointFigures, IOMetrics, MetricsSnapshot

__all__ = ["EndpointFigures", "IOMetrics", "MetricsSnapshot"]
