"""Reads the history: jobs, error groups and figures."""
