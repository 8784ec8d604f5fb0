"""`python manage.py COMMAND` in a checkout: the same program as the installed command `duey`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("DUEY_CONFIG", str(Path(__file__).absolute().with_name("config.ini")))

from duey.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
