"""Streams of runs: one orchestration for many inputs, one `Run` record for each."""

from __future__ import annotations

from rxorch.stream.run import Run
from rxorch.stream.run_stream import RunStream
from rxorch.stream.runs import Runs
from rxorch.stream.statistics import StreamStatistics

__all__ = ["Run", "RunStream", "Runs", "StreamStatistics"]
