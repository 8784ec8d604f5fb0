"""The fixture that users' tests take."""

from collections.abc import Iterator

import pytest

from duey import huey
from duey.storage.contract import JobStorage
from duey.testing import immediate_huey  # noqa: F401
from tasks import add


@pytest.fixture
def afterwards() -> Iterator[None]:
    yield
    assert not huey.immediate and isinstance(huey.storage, JobStorage), "it ended with the test"


def test_calls_run_on_the_spot_and_store_nothing(afterwards, immediate_huey):  # noqa: F811
    assert add(1, 2).get() == 3
    assert immediate_huey is huey and not (huey.settings.root / "data").exists()
