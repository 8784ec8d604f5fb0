"""A worker process on Redis: its registration, its turns, what it holds, its sleep and wake-ups."""
