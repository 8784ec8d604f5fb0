"""A class that arguments of a plain Huey have, as in `--modules`."""

from __future__ import annotations

import dataclasses
import os

from duey.payload.types import register_type


@register_type
@dataclasses.dataclass
class Order:
    number: int


remove = os.remove  # a function that a pickle may not name, although its module may be named
