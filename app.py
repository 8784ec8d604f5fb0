"""`python app.py`: the web process and one consumer (`--web`: the web process alone)."""

import os
import sys
from pathlib import Path

os.environ.setdefault("DUEY_CONFIG", str(Path(__file__).absolute().with_name("config.ini")))

from duey.server.main import main

if __name__ == "__main__":
    sys.exit(main())
