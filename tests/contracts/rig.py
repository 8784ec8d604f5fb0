"""What the contract tests take in hand: a clock, a worker, rows to store."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from huey.registry import Message

from duey import clock
from duey.execution.huey import DurableHuey
from duey.execution.lifecycle import Lifecycle
from duey.execution.registration import register
from duey.instance import make_storage
from duey.model.job import DONE, FAILED, ChordPart, Claim, Failure, JobRecord
from duey.model.outcome import Outcome
from duey.payload.encode import to_json
from duey.storage.contract import JobStorage
from duey.storage.values import ClaimResult, DeadWorker, Registration, StoredJob
from duey.worker.poison_suspects import PoisonSuspects
from duey.worker.prefetcher import Prefetcher
from duey.worker.suspect_turn import SuspectTurn

TASK = "shop.order"
SOON_S = 10.0  # what is prompt takes far less, what is lost would take for ever


class Clock:
    """Stands still at the time of its making, to the second, until it is moved."""

    def __init__(self) -> None:
        self.at = float(int(time.time()))

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


# rows


def payload_of(job_id: str, task: str = TASK, args: Sequence[Any] = (1, 2)) -> bytes:
    """The bytes of a call."""
    return to_json(Message(job_id, task, None, 0, 0, None, tuple(args), {}))


def job(job_id: str, **columns: Any) -> JobRecord:
    """A row to accept; every column can be given."""
    task = columns.get("task", TASK)
    plain = JobRecord(
        id=job_id, task=task, queue="default", priority=0.0, enqueued_at=clock.now(), eta=None, expires_at=None,
        retries=0, retry_delay_s=0.0, timeout_s=None, flags=0, unique_key=None, parent=None, chord=None,
        context=None, payload=payload_of(job_id, task),
    )  # fmt: skip
    return plain._replace(**columns)


def jobs(ids: str, **columns: Any) -> list[JobRecord]:
    """One row for each letter."""
    return [job(each, **columns) for each in ids]


def part(cid: str, index: int, size: int, value: bytes = b"", callback: str = "callback") -> ChordPart:
    """A member's contribution to a chord."""
    return ChordPart(cid, index, size, value or b"%d" % index, job(callback, chord=cid))


def state(storage: JobStorage, job_id: str) -> str | None:
    """Where people see the job stand; None where there is none."""
    found = storage.get_job(job_id)
    return found.state if found else None


def look(storage: JobStorage, job_id: str) -> StoredJob:
    """The job, which must be there."""
    found = storage.get_job(job_id)
    assert found is not None, f"there is no job {job_id}"
    return found


def kinds(storage: JobStorage, job_id: str | None = None) -> list[str]:
    """The kinds of the waiting events, in order."""
    return [e.kind for e in storage.read_outbox(1000) if job_id is None or (e.job and e.job.id == job_id)]


# a worker


class Hand:
    """A registered worker that claims, begins, ends and dies when the test says so."""

    def __init__(
        self, storage: JobStorage, consumer: str = "", queues: Sequence[str] = ("*",), kind: str = "thread"
    ) -> None:
        self.storage, self.queues = storage, tuple(queues)
        self.registration = Registration(consumer or uuid.uuid4().hex, "host.example", 4242, 1, kind, self.queues, ())
        self.presence = storage.register(self.registration)
        self.n: int = self.presence.n
        self.here = True

    def claim(self, want: int = 1, *queues: str) -> list[Claim]:
        """Up to `want` jobs."""
        return self.storage.settle_and_claim(self.n, (), want, queues or self.queues).claims

    def claim_one(self) -> Claim:
        """The next job, which must be there."""
        (found,) = self.claim(1)
        return found

    def begin(self, claim: Claim) -> float:
        """The body starts. When that was."""
        started_at = clock.now()
        self.presence.begin(claim.token, started_at)
        return started_at

    def body_ended(self, claim: Claim, started_at: float) -> None:
        """The body is over, and its outcome not handed back yet."""
        self.presence.body_ended(claim.token, started_at)

    def settle(self, claim: Claim, outcome: str = DONE, **fields: Any) -> ClaimResult:
        """The body has ended like this; `fields` are those of the outcome."""
        return self.commit(ended(claim, outcome, **fields))

    def commit(self, *outcomes: Outcome) -> ClaimResult:
        lifecycle = getattr(self.storage, "lifecycle", None)
        if lifecycle is None:
            return self.storage.settle_and_claim(self.n, outcomes, 0, ())
        result: ClaimResult = lifecycle.settle(self.n, outcomes)
        return result

    def work(self, outcome: str = DONE, **fields: Any) -> str:
        """Claim the next job and end it; its id."""
        claim = self.claim_one()
        assert not self.settle(claim, outcome, **fields).lost
        return claim.job.id

    def die(self) -> None:
        """As after kill -9: what the kernel closes is closed, nothing else is done."""
        self.presence.abandon()
        self.presence.pipe.abandon()
        self.here = False

    def dead(self, charge: bool = True, timed_out: Sequence[Claim] = ()) -> DeadWorker:
        """What a parent says of a worker that died."""
        return DeadWorker(self.n, "host.example", 4242, charge, frozenset(claim.token for claim in timed_out))

    def die_running(self, most: int = 3, charge: bool = True, timed_out: bool = False) -> list[str]:
        """Claim the next job, die in its body, and be reaped: the ids of what ran."""
        claim = self.claim_one()
        self.begin(claim)
        self.die()
        lifecycle: Lifecycle = self.storage.lifecycle  # type: ignore[attr-defined]
        return lifecycle.reap(self.dead(charge, [claim] if timed_out else []), most)

    def go(self) -> None:
        if self.here:
            self.here = False
            self.presence.close()


def hiring(storage: JobStorage) -> Iterator[Callable[..., Hand]]:
    """For a fixture: registers workers that do what the test tells them, and lets them go after it."""
    hired: list[Hand] = []

    def register_one(at: JobStorage = storage, **options: Any) -> Hand:
        hired.append(Hand(at, **options))
        return hired[-1]

    yield register_one
    for hand in hired:
        hand.go()


def ended(claim: Claim, state: str = DONE, **fields: Any) -> Outcome:
    """The outcome of a body that ran."""
    result = b'"ok"' if state == DONE else None
    given = {"started_at": clock.now(), "finished_at": clock.now(), "result": result, "retries": claim.job.retries}
    return Outcome(claim, state, **{**given, **fields})


# a huey


def open_again(huey: DurableHuey) -> JobStorage:
    """The storage of this huey as another process would open it; whoever opens it closes it."""
    storage = make_storage(huey.settings)
    return with_lifecycle(storage, huey)


def with_lifecycle(storage: JobStorage, huey: DurableHuey) -> JobStorage:
    """The storage, with the operations that decide first (duey.execution.lifecycle) at hand."""
    storage.lifecycle = Lifecycle(storage, huey.outcomes, huey.display)  # type: ignore[attr-defined]
    return storage


def failed(huey: DurableHuey, claim: Claim, error: BaseException) -> Outcome:
    """The outcome of a body that raised this, with all that its task wants done then."""
    return huey.outcomes.end(claim, FAILED, error)


def failure_of(huey: DurableHuey, job_id: str) -> Failure:
    """Why the job failed, as people are shown it."""
    found = look(huey.storage, job_id)
    shown = huey.display.shown_result(found.result)
    assert isinstance(shown, Failure), f"job {job_id} has no failure, but {shown!r}"
    return shown


def run_next(huey: DurableHuey) -> Any:
    """Claim the next job, run it, and answer what its body returned."""
    task = huey.dequeue()
    assert task is not None, "no job was ready"
    return huey.execute(task)


def run_all(huey: DurableHuey, most: int = 100) -> list[Any]:
    """Run jobs until none is ready; what their bodies returned, in order."""
    values = []
    while (task := huey.dequeue()) is not None:
        values.append(huey.execute(task))
        assert len(values) <= most, "the jobs do not come to an end"
    return values


@contextmanager
def worker_threads(huey: DurableHuey, threads: int = 2) -> Iterator[Prefetcher]:
    """Worker threads at a prefetcher, as a consumer has them."""
    presence = register(huey.storage, "consumer", threads, "thread", ("*",), ())
    prefetcher = huey.prefetcher = Prefetcher(huey.lifecycle, presence, ("*",), PoisonSuspects(3, SuspectTurn()))

    def work() -> None:
        while not prefetcher._stopping:
            task = huey.dequeue()
            if task is not None:
                huey.execute(task)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield prefetcher
    finally:
        prefetcher.stop()
        for worker in workers:
            worker.join(SOON_S)
        prefetcher.drain(time.monotonic() + SOON_S)
        huey.prefetcher = None
        huey.storage.unregister(presence.n)
        presence.close()
    assert not any(worker.is_alive() for worker in workers), "a stop wakes those that sleep"
