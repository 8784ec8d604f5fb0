"""A command of the operator in a process that dies where DUEY_TEST_DIE_AT says: python dying_command.py WORDS..."""

import sys

import duey

duey.load_tasks()
from duey.cli.main import main  # noqa: E402

raise SystemExit(main(sys.argv[1:]))
