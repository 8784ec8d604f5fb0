"""Which variants of a test run: a covering few in `make test`, each with each in `make soak`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.rounds import SOAK_VARIABLE

SOAK = os.environ.get(SOAK_VARIABLE) == "1"
KINDS = ("thread", "process")

sqlite_only = pytest.mark.parametrize("backend", ["sqlite"])
# What the contracts prove of both storages: in the suite on one.
sqlite_in_suite = pytest.mark.parametrize("backend", ["sqlite", "redis"] if SOAK else ["sqlite"])
redis_only = pytest.mark.parametrize("backend", ["redis"])


def pairs(first: Sequence[Any], second: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Every pair in soak; in the suite each value at least once, beside an alternating partner."""
    if SOAK:
        return list(itertools.product(first, second))
    longest = max(len(first), len(second))
    return [(first[i % len(first)], second[i % len(second)]) for i in range(longest)]


def crossed(test: Any) -> Any:
    """Each kind and each storage: threads on SQLite and processes on Redis; in soak each with each."""
    return pytest.mark.soak(pytest.mark.parametrize(("backend", "kind"), pairs(("sqlite", "redis"), KINDS))(test))


def crossed_over(test: Any) -> Any:
    """The other two: threads on Redis and processes on SQLite."""
    return pytest.mark.soak(pytest.mark.parametrize(("backend", "kind"), pairs(("redis", "sqlite"), KINDS))(test))


def once(test: Any) -> Any:
    """What the contract proves of both storages, and costs many starts: processes on SQLite; in soak each with each."""
    variants = list(itertools.product(("sqlite", "redis"), KINDS)) if SOAK else [("sqlite", "process")]
    return pytest.mark.soak(pytest.mark.parametrize(("backend", "kind"), variants)(test))
