"""Brings work here from elsewhere: a whole queue from one storage to the other, the tasks of plain Huey, crontabs."""
