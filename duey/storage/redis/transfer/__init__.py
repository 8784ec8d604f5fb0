"""The keys of one service as `duey move` reads and writes them."""
