"""What runs tasks: the engine."""
