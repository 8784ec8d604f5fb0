"""On SQLite the service runs as most people install it: without redis-py, whose import is half of its start."""

raise ImportError("redis is not installed here")
