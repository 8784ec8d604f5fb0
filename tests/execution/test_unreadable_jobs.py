"""Jobs that this consumer cannot read or does not know: set aside or failed, visibly, and never in the way."""

from __future__ import annotations

import pytest
from huey.api import chord
from huey.registry import Message

from duey import errors
from tests.contracts.rig import failure_of, job, kinds, look, payload_of, run_next, state
from tests.support.sqlite_huey import sqlite_huey


@pytest.fixture
def huey(tmp_path):
    with sqlite_huey(tmp_path) as huey:
        huey.add = huey.task(name="add")(lambda a, b=0: a + b)
        yield huey


def known(huey) -> str:
    return huey._registry.task_to_string(huey.add.task_class)


def test_a_job_of_a_task_that_nobody_knows_is_set_aside_until_somebody_does(huey):
    huey.storage.enqueue_jobs([job("a", task="shop.gone")])
    result = huey.add(1, 2)
    gone = huey.task(name="gone")(lambda value: value)
    first, *_ = huey.enqueue(huey.add.s(1).then(gone))
    for task in (huey.add, gone):
        huey._registry.unregister(task.task_class)
    assert [huey.dequeue() for _ in range(3)] == [None] * 3
    found = look(huey.storage, "a")
    assert (found.place, found.reason) == ("blocked", "unknown shop.gone")
    assert kinds(huey.storage, "a") == ["enqueued", "blocked"]
    huey._registry.register(huey.add.task_class)
    assert huey.storage.unblock_tasks(sorted(huey._registry._registry)) == 2
    assert (run_next(huey), result.get()) == (3, 3)
    assert huey.dequeue() is None
    assert look(huey.storage, first.id).place == "blocked", "a pipeline whose next task nobody knows, whole"


def test_a_job_that_cannot_be_read_or_makes_no_sense_fails_and_says_so(huey):
    nonsense = huey.serializer.serialize(Message("5", known(huey), chord_config=("cid",), args=(1,), kwargs={}))
    payloads = {
        b"": "cannot be read: ", b"no json": "cannot be read: ", b"\x80\x04N.": "cannot be read: ",
        b"[1,2]": "cannot be read: ", b"null": "cannot be read: ", b"\xff" * 50: "cannot be read: ", nonsense: "",
        payload_of("b", known(huey)): "belongs to another job", payload_of("7", "shop.x"): "belongs to another job",
    }  # fmt: skip
    for n, (payload, sentence) in enumerate(payloads.items()):
        huey.storage.enqueue_jobs([job(str(n), task=known(huey), payload=payload)])
        huey.add(1)
        assert huey.dequeue() is None
        assert sentence in failure_of(huey, str(n)).message and state(huey.storage, str(n)) == "failed"
        assert run_next(huey) == 1, "it is not in the way"


def test_an_unsigned_or_edited_payload_is_not_run_where_a_secret_is_set(tmp_path):
    with sqlite_huey(tmp_path, tasks_secret="s3cret") as huey:
        huey.add = huey.task(name="add")(lambda a: a)
        good = huey.new_job(huey.add.s(1, id="good"))
        edited = huey.new_job(huey.add.s(1, id="edited"))
        edited = edited._replace(payload=edited.payload.replace(b"[1]", b"[2]"))
        plain = job("plain", task=known(huey), payload=payload_of("plain", known(huey), [1]))
        huey.storage.enqueue_jobs([edited, plain, good])
        assert [huey.dequeue(), huey.dequeue(), run_next(huey)] == [None, None, 1]
        assert [state(huey.storage, each) for each in ("edited", "plain", "good")] == ["failed", "failed", "done"]


def test_a_callback_whose_parts_cannot_be_read_fails_and_one_whose_parts_cannot_be_fetched_goes_back(huey, monkeypatch):
    def away(cid, most=None):
        raise errors.StorageBusy("locked")

    for answer, end in ((lambda cid, most: [b"no json"], "failed"), (away, "queued")):
        result = huey.enqueue(chord([huey.add.s(1)], huey.add.s([])))
        run_next(huey)
        with monkeypatch.context() as patched:
            patched.setattr(huey.storage, "chord_results", answer)
            assert huey.dequeue() is None
        assert state(huey.storage, result.callback.id) == end
    assert run_next(huey) == [1]
