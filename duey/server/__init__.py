"""The web process: its server and the consumer that it looks after."""
