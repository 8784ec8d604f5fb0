"""Jobs that this consumer cannot read or does not know: set aside or failed, visibly, and never in the way."""

from __future__ import annotations

import pytest
from huey.api import chord
from huey.registry import Message

from duey import errors
from tests.contracts.rig import job, kinds, look, payload_of, run_next, state
from tests.support.sqlite_huey import sqlite_huey


@pytest.fixture
def huey(tmp_path):
    with sqlite_huey(tmp_path) as huey:

        @huey.task(name="add")
        def add(a, b=0):
            return a + b

        huey.add = add
        yield huey


def known(huey) -> str:
    return huey._registry.task_to_string(huey.add.task_class)


def error_of(huey, job_id) -> str:
    return huey.serializer.deserialize(look(huey.storage, job_id).result).metadata["message"]


def test_a_job_of_a_task_that_nobody_knows_is_set_aside(huey):
    huey.storage.enqueue_jobs([job("a", task="shop.gone")])
    assert huey.dequeue() is None
    found = look(huey.storage, "a")
    assert (found.place, found.reason, kinds(huey.storage)) == ("blocked", "unknown shop.gone", ["enqueued", "blocked"])


def test_a_job_that_was_set_aside_runs_once_its_task_is_known(huey):
    result = huey.add(1, 2)
    huey._registry.unregister(huey.add.task_class)
    assert huey.dequeue() is None
    huey._registry.register(huey.add.task_class)
    assert huey.storage.unblock_tasks(sorted(huey._registry._registry)) == 1
    assert (run_next(huey), result.get()) == (3, 3)


@pytest.mark.parametrize("payload", [b"", b"no json", b"\x80\x04N.", b"[1,2]", b"null", b"\xff" * 50])
def test_a_job_that_cannot_be_read_fails_and_says_so(huey, payload):
    huey.storage.enqueue_jobs([job("a", payload=payload)])
    huey.add(1)
    assert huey.dequeue() is None
    assert state(huey.storage, "a") == "failed"
    assert error_of(huey, "a").startswith("its stored payload cannot be read: ")
    assert run_next(huey) == 1


def test_a_job_whose_message_makes_no_sense_fails_and_says_so(huey):
    nonsense = Message("a", known(huey), chord_config=("cid",), args=(1,), kwargs={})
    huey.storage.enqueue_jobs([job("a", task=known(huey), payload=huey.serializer.serialize(nonsense))])
    assert huey.dequeue() is None
    assert state(huey.storage, "a") == "failed"


@pytest.mark.parametrize("copied", [("b", "same"), ("a", "another")])
def test_a_payload_that_belongs_to_another_job_or_task_is_not_run(huey, copied):
    job_id, task = copied
    payload = payload_of(job_id, known(huey) if task == "same" else "shop.other")
    huey.storage.enqueue_jobs([job("a", task=known(huey), payload=payload)])
    assert huey.dequeue() is None
    assert "belongs to another job" in error_of(huey, "a")


def test_an_unsigned_or_edited_payload_is_not_run_where_a_secret_is_set(tmp_path):
    with sqlite_huey(tmp_path, tasks_secret="s3cret") as huey:

        @huey.task(name="add")
        def add(a):
            return a

        huey.add = add
        good = huey.new_job(add.s(1, id="good"))
        edited = huey.new_job(add.s(1, id="edited"))
        edited = edited._replace(payload=edited.payload.replace(b"[1]", b"[2]"))
        plain = job("plain", task=known(huey), payload=payload_of("plain", known(huey), [1]))
        huey.storage.enqueue_jobs([edited, plain, good])
        assert [huey.dequeue(), huey.dequeue(), run_next(huey)] == [None, None, 1]
        assert [state(huey.storage, each) for each in ("edited", "plain", "good")] == ["failed", "failed", "done"]


def test_a_pipeline_whose_next_task_nobody_knows_is_set_aside_whole(huey):
    @huey.task()
    def gone(value):
        return value

    result = huey.enqueue(huey.add.s(1).then(gone))
    huey._registry.unregister(gone.task_class)
    assert huey.dequeue() is None
    assert look(huey.storage, next(iter(result)).id).place == "blocked"


def test_a_callback_whose_parts_cannot_be_read_fails_and_says_so(huey, monkeypatch):
    result = huey.enqueue(chord([huey.add.s(1)], huey.add.s()))
    run_next(huey)
    monkeypatch.setattr(huey.storage, "chord_results", lambda cid: [b"no json"])
    assert huey.dequeue() is None
    assert state(huey.storage, result.callback.id) == "failed"


def test_a_callback_whose_parts_cannot_be_fetched_goes_back(huey, monkeypatch):
    result = huey.enqueue(chord([huey.add.s(1)], huey.add.s([])))
    run_next(huey)

    def away(cid):
        raise errors.StorageBusy("locked")

    with monkeypatch.context() as patched:
        patched.setattr(huey.storage, "chord_results", away)
        assert huey.dequeue() is None
    assert state(huey.storage, result.callback.id) == "queued"
    assert run_next(huey) == [1]
