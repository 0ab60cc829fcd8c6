"""Where the records of streams go: files and standard output."""

from rxorch.sinks.csv_sink import CsvSink
from rxorch.sinks.jsonl_sink import JsonlSink, Sink, write_all
from rxorch.sinks.record import record_of

__all__ = ["CsvSink", "JsonlSink", "Sink", "record_of", "write_all"]
