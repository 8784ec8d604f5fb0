"""Tells somebody: rules become incidents, incidents become notifications, and channels deliver them."""
