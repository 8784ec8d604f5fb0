"""Run several of the operator's commands in one process: python commands.py '[["pause", "add"], ...]'.

Most of what a command costs is its start. Prints [exit status, standard output, standard error] of each as JSON.
"""

import contextlib
import io
import json
import sys

from duey.cli import main as manage

found = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = manage.main(words)
        except SystemExit as exc:
            code = exc.code
    found.append((code, out.getvalue(), err.getvalue()))
json.dump(found, sys.stdout)
