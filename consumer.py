"""`huey_consumer consumer.huey` in a checkout."""

import os
from pathlib import Path

os.environ.setdefault("DUEY_CONFIG", str(Path(__file__).absolute().with_name("config.ini")))

from duey.consumer import huey

__all__ = ["huey"]
