"""`python -m duey COMMAND`: the same program as the installed command `duey`."""

import sys

from duey.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
