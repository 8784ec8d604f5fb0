"""A monitor to look at: `python -m tests.monitor.web.seed [morning|empty|hostile] [PORT]` serves one, and says where.

Log in as `ana` (admin) or `vera` (viewer); the passwords are printed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import waitress

from tests.monitor.web import hostile, scene, world


def main() -> None:
    which, port = (*sys.argv[1:], "morning", "0")[:2] if len(sys.argv) < 3 else sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        make = world.make_world if which == "empty" else scene.morning
        made = make(Path(folder), time.time, service="Duey staging" if which == "morning" else "Duey")
        if which == "hostile":
            hostile.make_hostile(made)
        server = waitress.create_server(made.site, host="127.0.0.1", port=int(port), threads=4)
        print(f"http://127.0.0.1:{server.effective_port}/monitor/ {world.PASSWORDS}", flush=True)
        server.run()


if __name__ == "__main__":
    main()
