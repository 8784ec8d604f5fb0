"""What surrounds a body while it runs: its time-out, its log, what it uses, where it stands, and tracers."""
