"""Floor 5: sagas: steps that are undone, runs that survive their process."""
