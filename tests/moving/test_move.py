"""A queue is moved in both directions: everything once, whatever happens in between."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from huey.api import chord

from duey import faults
from duey.errors import StorageUnavailable
from duey.execution.huey import DurableHuey
from duey.moving.move import move, undo
from duey.moving.places import Place, place_of
from duey.storage import transfer
from duey.storage.transfer import SECTIONS, MoveRefused, StorageMoved, TargetNotEmpty, items
from tests.contracts.rig import Hand, job, open_again, run_all, run_next, state
from tests.moving import scene
from tests.support import rows

STEPS = [step for step in faults.STEPS if step.startswith("move.")]
TWO_WAYS = [("sqlite", "redis"), ("redis", "sqlite")]


class KilledError(BaseException):
    """Instead of kill -9: whatever was not committed is undone."""


class Pair:
    """Two queues, of which the first is moved to the second."""

    def __init__(self, folder: Path, urls: list[str], **keys: object) -> None:
        self.hueys = [scene.opened(folder, url, f"m{uuid.uuid4().hex[:10]}", **keys) for url in urls]

    @property
    def places(self) -> list[Place]:
        return [place_of(None, huey.settings) for huey in self.hueys]

    def run(self, done: Callable[..., object], *more: object) -> object:
        with ExitStack() as stack:
            opened = [place.opened(create=True) for place in self.places]
            for each in opened:
                stack.callback(each.close)
            return done(*opened, *more)

    def move(self, rescue: Callable[[], object] = lambda: None, wait_s: float = 5.0, replace: bool = False) -> object:
        return self.run(move, lambda *_: None, rescue, wait_s, replace)

    def undo(self, force: bool = False) -> object:
        return self.run(undo, force)

    def contents(self, which: int) -> dict[str, list[object]]:
        def read(*opened: transfer.Transfer) -> dict[str, list[object]]:
            return {section: [i for some in items(opened[which], section) for i in some] for section in SECTIONS}

        return self.run(read)  # type: ignore[return-value]

    def again(self, which: int) -> DurableHuey:
        """The queue as a process that starts now opens it. Raises what stops that process."""
        storage = open_again(self.hueys[which])
        storage.prepare()
        return storage


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(source: str, target: str, **keys: object) -> Pair:
        server = request.getfixturevalue("redis_server") if "redis" in (source, target) else None
        files = [f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db" for _ in range(2)]
        urls = [server.url if kind == "redis" else file for kind, file in zip((source, target), files, strict=True)]
        made.append(Pair(tmp_path, urls, **keys))
        return made[-1]

    yield make
    for each in made:
        for huey in each.hueys:
            huey.storage.close()


@pytest.fixture
def die_at() -> Iterator[Callable[[str, int], None]]:
    """Lets the next move die when it comes to a step for the n-th time."""

    def arm(step: str, times: int = 1) -> None:
        left = [times]

        def point(here: str) -> None:
            left[0] -= here == step
            if left[0] == 0:
                faults.point = None
                raise KilledError

        faults.point = point

    yield arm
    faults.point = None


@rows("source, target", [*TWO_WAYS, ("sqlite", "sqlite"), ("redis", "redis")])
def test_everything_is_moved(pair, source, target):
    both = pair(source, target)
    scene.fill(both.hueys[0].storage)
    if source == "sqlite":  # as a version before 3 stored it
        with both.hueys[0].storage.db.write("synced") as con:
            con.execute("update jobs set sequel = null where id = 's'")
    before = both.contents(0)
    assert [section for section, content in before.items() if not content] == []
    found = both.move()
    assert found.states == scene.STATES and found.sections == {name: len(content) for name, content in before.items()}
    assert both.contents(1) == before == both.contents(0), "the source keeps its data"
    (owner, there) = (each.storage.outbox_owner() for each in both.hueys)
    assert owner is not None and there == owner, "the same history is recorded"
    assert both.move() is None, "it is complete"


@rows("source, target", TWO_WAYS)
def test_the_source_is_closed_for_all_and_the_target_open(pair, source, target):
    both = pair(source, target)
    storage = both.hueys[0].storage
    storage.enqueue_jobs([job("a")])
    hand = Hand(storage)
    both.move()
    assert storage.fence() in storage.problems()
    for change in (
        lambda: storage.enqueue_jobs([job("b")]),
        lambda: storage.enqueue_jobs([job("c", unique_key="c")]),
        lambda: hand.storage.enqueue_jobs([job(str(i)) for i in range(20)]),
        lambda: storage.retry("a", None, 1) if source == "redis" else storage.pause("task", "t"),
        lambda: storage.schedule_store.remove("x") if source == "redis" else storage.put_data("k", b"v"),
        lambda: storage.schedule_store.note_alive(2e9, "why"),
        lambda: storage.own_outbox("a" * 13, "atlas:/srv/monitor.db"),
        lambda: both.again(0),
    ):
        with pytest.raises(StorageMoved, match=f"was moved to {both.places[1].label.split(' ')[0]}"):
            change()
    assert hand.claim(5) == [] if source == "sqlite" else True
    there = both.again(1)
    worker = Hand(there)
    assert worker.work() == "a" and worker.claim(5) == []
    scene.leave(worker)
    hand.here = False
    hand.presence.abandon()
    there.close()


@rows("source, target", TWO_WAYS)
def test_a_move_goes_on_wherever_it_died(pair, die_at, monkeypatch, source, target):
    monkeypatch.setattr(transfer, "STEP", 7)
    both = pair(source, target)
    scene.fill(both.hueys[0].storage)
    before = both.contents(0)
    for step in [*STEPS[:3], *["move.batch"] * 5, *STEPS[4:]]:
        die_at(step)
        with pytest.raises(KilledError):
            both.move()
        for which, usable in ((0, ("move.held",)), (1, ("move.held", "move.closed", "move.arrived"))):
            if step in usable:
                both.again(which).close()
            else:
                with pytest.raises(StorageMoved):
                    both.again(which)
    assert both.move() is None and both.contents(1) == before
    both.again(1).close()


@rows("source, target", TWO_WAYS)
def test_there_and_back(pair, source, target):
    both = pair(source, target)
    scene.fill(both.hueys[0].storage)
    both.move()
    there = both.again(1)
    there.enqueue_jobs([job("new")])
    worker = Hand(there)
    done = {worker.work() for _ in range(3)}
    scene.leave(worker)
    there.close()
    with pytest.raises(MoveRefused, match="a consumer was started or a job accepted at"):
        both.undo()
    both.hueys.reverse()
    before = both.contents(0)
    both.move()
    assert both.contents(1) == before
    back = both.again(1)
    assert {state(back, job_id) for job_id in done} == {"done"} and state(back, "new") is not None
    back.close()


@rows("source, target", TWO_WAYS)
def test_a_move_can_be_taken_back_until_something_ran(pair, die_at, source, target):
    for step in [*STEPS, None]:
        both = pair(source, target)
        both.hueys[0].storage.enqueue_jobs([job("a"), job("b")])
        if step is not None:
            die_at(step)
            with pytest.raises(KilledError):
                both.move()
        else:
            both.move()
        both.undo()
        storage = both.again(0)
        worker = Hand(storage)
        assert {worker.work(), worker.work()} == {"a", "b"}, step
        scene.leave(worker)
        there = both.again(1)
        assert there.counts().queued == 0
        there.close()
        with pytest.raises(MoveRefused, match="expected a queue that was moved"):
            both.undo()
        both.move()  # and moved again
        storage.close()


@rows("state", ["held", "closed", "left"])
def test_undo_where_the_target_is_not_there(pair, die_at, state):
    both = pair("sqlite", "sqlite")
    both.hueys[0].storage.enqueue_jobs([job("a")])
    die_at(f"move.{state}")
    with pytest.raises(KilledError):
        both.move()
    with closing(both.places[0].opened()) as source:
        if state == "left":
            with pytest.raises(MoveRefused, match="found none: restore it, or add --force"):
                undo(source, None)
        undo(source, None, force=state == "left")
    assert both.again(0).counts().queued == 1


@rows("source, target", TWO_WAYS)
def test_large_jobs_are_read_a_few_at_a_time(pair, monkeypatch, source, target):
    both = pair(source, target)
    payload = bytes(1000)
    both.hueys[0].storage.enqueue_jobs([job(f"j{n}", payload=payload * (1 + 9 * (n == 2))) for n in range(6)])
    for name in ("duey.storage.sqlite.transfer.transfer.BYTES", "duey.storage.redis.transfer.reader.BYTES"):
        monkeypatch.setattr(name, 2500)
    with closing(both.places[0].opened()) as queue:
        assert [len(some) for some in items(queue, "jobs")] == [2, 1, 2, 1]
    assert both.move().states == {"ready": 6}


@rows("source, target", TWO_WAYS)
def test_a_held_queue_says_so(pair, die_at, source, target):
    both = pair(source, target)
    storage = both.hueys[0].storage
    before = storage.warnings()
    die_at("move.held")
    with pytest.raises(KilledError):
        both.move()
    (sentence,) = set(storage.warnings()) - set(before)
    assert (
        sentence.startswith("no job begins, because a move of ")
        and "`duey move --undo`" in sentence
        and storage.fence() is None
    )


@rows("source, target", TWO_WAYS)
def test_it_waits_for_what_runs(pair, source, target):
    both = pair(source, target)
    storage = both.hueys[0].storage
    storage.enqueue_jobs([job("runs"), job("waits")])
    hand = Hand(storage)
    claim = hand.claim_one()
    hand.begin(claim)
    with pytest.raises(MoveRefused, match=r"found 1 jobs: shop.order runs: nothing was moved"):
        both.move(wait_s=0)
    looks = []

    def end_it() -> None:
        looks.append(hand.claim(5))  # nothing begins
        hand.settle(claim)
        storage.enqueue_jobs([job("accepted")])

    found = both.move(rescue=end_it)
    assert looks == [[]] and found.states == {"done": 1, "ready": 2}
    hand.presence.abandon()
    hand.here = False


@rows("source, target", TWO_WAYS)
def test_jobs_of_a_dead_worker_are_returned(pair, source, target):
    both = pair(source, target)
    storage = both.hueys[0].storage
    storage.enqueue_jobs([job("a")])
    hand = Hand(storage)
    hand.begin(hand.claim_one())
    hand.die()
    if source == "redis":
        storage.beat([hand.n], 0.0)
    found = both.move(rescue=lambda: storage.lifecycle.rescue(3))
    assert found.states == {"ready": 1}
    (moved,) = both.contents(1)["jobs"]
    assert moved.job.tree_deaths + moved.job.crashes == 1, "the death is not forgotten"


@rows("source, target", TWO_WAYS)
def test_what_is_refused(pair, source, target):
    both, other = pair(source, target), pair(source, target)
    both.hueys[0].storage.enqueue_jobs([job("a")])
    there = both.hueys[1].storage
    there.enqueue_jobs([job("own")])
    with pytest.raises(TargetNotEmpty, match=r"found 1 jobs that have not ended.*: let its jobs end"):
        both.move(replace=True)
    worker = Hand(there)
    worker.work()
    there.delete_events(there.read_outbox(10))
    with pytest.raises(TargetNotEmpty, match="1 live worker processes"):
        both.move(replace=True)
    scene.leave(worker)
    with pytest.raises(TargetNotEmpty, match="found 1 jobs that have ended: add --replace to remove these"):
        both.move()
    hand = Hand(both.hueys[0].storage)
    claim = hand.claim_one()  # nothing is held by a move that was refused
    hand.storage.release_claims(hand.n, [claim])
    assert both.move(replace=True).states == {"ready": 1} and both.run(undo)
    both.hueys[1] = both.hueys[0]
    with pytest.raises(MoveRefused, match="expected another queue"):
        both.move()
    both.hueys[1] = other.hueys[1]
    other.move()
    both.hueys[0] = other.hueys[0]
    both.hueys[1] = pair(source, target).hueys[1]
    with pytest.raises(MoveRefused, match="has begun: finish it with --to that"):
        both.move()


@rows("source, target", TWO_WAYS)
def test_signed_jobs_go_on(pair, source, target):
    """A pipeline, a chord of which one member has ended, a result, a retry: all are signed for their use."""
    both = pair(source, target, tasks_secret="secret")
    total: list[list[int]] = []
    made = []
    for huey in both.hueys:
        add = huey.task(name="add")(lambda a, b: a + b)
        made.append((add, huey.task(name="total")(lambda x: total.append(sorted(x)))))
    (add, together), (here, there) = made[0], both.hueys
    ended = here.enqueue(add.s(1, 2))
    here.enqueue(chord([add.s(3, 4), add.s(5, 6)], together.s()))
    run_next(here)
    run_next(here)  # the first member
    here.enqueue(add.s(7, 8).then(add, 9))
    here.alone.close()
    here.alone = None
    both.move()
    assert run_all(there) == [11, 15, None, 24] and total == [[7, 11]]
    assert there.result(ended.id, preserve=True) == 3


def test_a_copy_that_differs_is_never_switched_to(pair, die_at):
    both = pair("sqlite", "sqlite")
    scene.fill(both.hueys[0].storage)
    die_at("move.copied")
    with pytest.raises(KilledError):
        both.move()
    con = sqlite3.connect(both.places[1].storage.path, isolation_level=None)
    con.execute("drop trigger fence_jobs_update")
    con.execute("update jobs set payload = x'00' where id = 'u'")
    con.close()
    with pytest.raises(MoveRefused, match=r"differs from .* in jobs at 18: nothing was switched"):
        both.move()
    with pytest.raises(StorageUnavailable):
        both.again(1)
