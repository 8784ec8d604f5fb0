"""The fixtures that users' tests take; docs/testing.md, whose project is run, uses all of them."""

from collections.abc import Iterator

import pytest

from duey import errors, huey
from duey.storage.contract import JobStorage
from duey.testing import immediate_huey, real_jobs  # noqa: F401
from tasks import add
from tests.support.whole_service import whole_service


@pytest.fixture
def afterwards() -> Iterator[None]:
    yield
    assert not huey.immediate and isinstance(huey.storage, JobStorage), "it ended with the test"


def test_calls_run_on_the_spot_and_store_nothing(afterwards, immediate_huey):  # noqa: F811
    assert add(1, 2).get() == 3
    assert immediate_huey is huey and not (huey.settings.root / "data").exists()


def test_jobs_that_wait_already_are_not_run_by_a_test(tmp_path):
    with whole_service(tmp_path) as service:
        task = service.huey.task(name="task")(lambda: 1)
        job = task()
        with (
            pytest.raises(errors.Misconfigured, match=r"expects an empty queue, and 1 jobs wait"),
            real_jobs(service.huey),
        ):
            pass
        service.control.cancel(job.id)
        with real_jobs(service.huey) as jobs:
            left = task(delay=60)
            assert jobs.run() == [] and jobs.waiting() == 1
        assert service.control.job(left.id).state == "canceled"
