"""What operators are made of: stages and links, demand, clocks and timers.

For authors of operators. `Stage` and `Link` (`core.stage`) are the lean path between neighbours,
`DemandScheduler` (`core.demand`) carries how much a consumer can take, `Clock` (`core.clock`) is time on a
loop or a virtual scheduler. `docs/architecture.md` tells the contract between them.
"""
