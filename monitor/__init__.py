"""What people see: the monitor."""
