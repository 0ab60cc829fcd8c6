"""Where the inputs of streams come from: files, standard input, an endpoint that is asked again and again."""

from rxorch.sources.bad_input import BadInput
from rxorch.sources.csv_rows import csv
from rxorch.sources.jsonl import jsonl, lines
from rxorch.sources.poll import poll

__all__ = ["BadInput", "csv", "jsonl", "lines", "poll"]
