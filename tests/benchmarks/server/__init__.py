"""The two-call aggregator on rxorch and on what others use for it: `python -m tests.benchmarks.server`."""
