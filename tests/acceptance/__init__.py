"""Black-box tests: the public API against real HTTP servers, as the documentation shows it."""
