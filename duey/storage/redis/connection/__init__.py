"""The server: its address, whether it may be used, and how commands reach it."""
