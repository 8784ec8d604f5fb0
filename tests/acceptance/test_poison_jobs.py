"""Jobs that take their worker down, or try to: failed and visible within three deliveries, neighbours unharmed."""

from __future__ import annotations

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed
from tests.support import rounds

NEIGHBOURS_WITHIN_S = rounds(60.0, soak=15.0)
DEADLY = ("exit", "segfault", "out of memory")
# What the body raises, or returns, and the type of the error that is shown.
HARMLESS = {
    "SystemExit": "SystemExit",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "CancelledError": "CancelledError",
    "GeneratorExit": "GeneratorExit",
    "memory limit": "MemoryError",
    "broken repr": "Broken",
    "result": "UnserializableError",
}


@crossed
def test_poison_fails_and_its_neighbours_finish(deployment: Deployment, kind: str):
    tasks = deployment.tasks
    consumer = deployment.consumer(4, kind)
    neighbours = [tasks.note(n, 0.02) for n in range(20)]
    deadly = [tasks.poison(100 + i, how) for i, how in enumerate(DEADLY)]
    neighbours += [tasks.note(n, 0.02) for n in range(20, 40)]
    harmless = [tasks.poison(200 + i, how) for i, how in enumerate(HARMLESS)]
    neighbours += [tasks.note(n, 0.02) for n in range(40, 60)]

    ended = deployment.wait_ended(neighbours, NEIGHBOURS_WITHIN_S)
    assert [job for job in ended if job.state != "done"] == []

    for job in deployment.wait_ended(deadly, NEIGHBOURS_WITHIN_S):
        assert (job.state, job.crashes, job.error.type) == ("failed", 3, "WorkerDied")
        assert job.error.message.startswith("its worker died 3 times, last on ") and " as pid " in job.error.message
    for job, error in zip(deployment.wait_ended(harmless), HARMLESS.values(), strict=True):
        assert (job.state, job.crashes, job.attempt, job.error.type) == ("failed", 0, 1, error)
    runs = deployment.ledger.runs()
    # At most: one that a neighbour took down in its first microsecond wrote nothing here.
    assert all(1 <= len(runs[str(100 + i)]) <= 3 for i in range(len(DEADLY)))
    assert [len(runs[str(200 + i)]) for i in range(len(HARMLESS))] == [1] * len(HARMLESS)
    assert consumer.popen.poll() is None
    assert deployment.control.health().ok
