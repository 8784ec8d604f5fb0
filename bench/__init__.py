"""How fast it is, beside plain Huey and its peers: `make bench`, or `python -m bench --quick`."""
