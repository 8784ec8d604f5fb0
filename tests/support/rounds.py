"""Two lengths for one test: seconds in `make test`, long in `make soak` (mark such a test with `soak`)."""

import os
from typing import TypeVar

T = TypeVar("T")
SOAK_VARIABLE = "DUEY_TEST_SOAK"


def rounds(short: T, soak: T) -> T:
    """`rounds(5, soak=200)`: 5, or 200 when `make soak` runs the test."""
    return soak if os.environ.get(SOAK_VARIABLE) == "1" else short
