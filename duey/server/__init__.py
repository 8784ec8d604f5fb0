"""The web process: the HTTP server and the consumer that it supervises."""
