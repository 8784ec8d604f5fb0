"""A queue file as `duey move` reads and writes it."""
