"""The storage on Redis: one server, any number of processes on any number of hosts."""
