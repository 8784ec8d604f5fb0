"""Writes the history: events become rows (projection, writing), in one process at a time; old rows are deleted."""
