"""The two-call aggregator on rxorch and on what others would write it with: `python -m tests.benchmarks.server`."""
