"""The file: its tables, whether it may be used, and the connections to it."""
