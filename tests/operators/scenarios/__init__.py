"""Scenarios: what other libraries document, as facts with their source, run against ours in virtual time.

A module holds the tables of one topic. `SCENARIOS` holds what ours does as the source says; `DIFFERS` what
it does otherwise on purpose, with the reason, asserted as ours does. Nothing here waits: engines are given
the time as numbers, operators run on a virtual clock.
"""
