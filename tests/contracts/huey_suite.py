"""Run each STEP-th of the tests that Huey comes with: python -m tests.contracts.huey_suite CONFIG FOLDER STEP

Each test gets a queue of its own, made from the settings in CONFIG. Prints, as JSON, which ran, and which failed
twice in a row (some look at the clock). TZ must be UTC, because the tests count in local time.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import unittest
from pathlib import Path
from typing import Any

from huey.tests import base, test_api, test_immediate, test_priority, test_signals, test_storage

from duey.config import load
from duey.execution.huey import DurableHuey
from duey.instance import make_storage
from duey.payload.serializer import make_serializer

config, folder = load(Path(sys.argv[1]), {}), Path(sys.argv[2])
numbers = itertools.count()
made: list[DurableHuey] = []


def make(label: str = "test", utc: bool = True, **options: Any) -> DurableHuey:
    name = f"{config.storage.name}-{label}-{next(numbers)}"
    own = dataclasses.replace(config.storage, name=name, path=folder / f"{name}.db")
    settings = dataclasses.replace(config, storage=own)
    made.append(
        DurableHuey(
            name, settings=settings, serializer=make_serializer("pickle", ""),
            make_storage=lambda: make_storage(settings), **options,
        )
    )  # fmt: skip
    return made[-1]


for module in (base, test_api, test_immediate):
    module.MemoryHuey = make


class StorageTests(test_storage.StorageTests, base.BaseTestCase):
    """Huey's tests of any storage, of ours."""

    def get_huey(self) -> DurableHuey:
        return make()


def suite() -> list[unittest.TestCase]:
    loader = unittest.defaultTestLoader
    modules = (test_api, test_signals, test_priority, test_immediate)
    found = [loader.loadTestsFromModule(module) for module in modules]
    return [*leaves(found), *leaves([loader.loadTestsFromTestCase(StorageTests)])]


def leaves(tests: Any) -> list[unittest.TestCase]:
    """The tests inside of suites inside of suites."""
    return list(itertools.chain.from_iterable([t] if isinstance(t, unittest.TestCase) else leaves(t) for t in tests))


def fails(test: unittest.TestCase) -> bool:
    result = test.run()
    while made:
        huey = made.pop()
        if huey.alone is not None:
            huey.alone.close()
        huey.storage.close()
    assert result is not None
    return not result.wasSuccessful()


if __name__ == "__main__":
    tests = suite()[:: int(sys.argv[3])]
    failed = [test._testMethodName for test in tests if fails(test) and fails(test)]
    json.dump({"ran": [test._testMethodName for test in tests], "failed": sorted(failed)}, sys.stdout)
