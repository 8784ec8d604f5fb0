"""What Huey itself keeps in a storage: values, results, locks, counters."""

from __future__ import annotations

import threading

from huey.constants import EmptyData

from tests.contracts.rig import job, jobs, state
from tests.support import rows

# values


def test_a_value_is_put_and_read_again(storage, elsewhere):
    storage.put_data("key", b"1")
    assert elsewhere.peek_data("key") == b"1"
    assert elsewhere.peek_data("key") == b"1"
    storage.put_data("key", b"2")
    assert storage.peek_data("key") == b"2"


@rows("value", [b"", b"\x00\xff", b"x" * 100_000])
def test_values_are_bytes_of_any_kind(storage, value):
    storage.put_data("key", value)
    assert storage.peek_data("key") == value


@rows("key", ["ключ", "a b:c*?[x]", "r:", "x" * 300])
def test_a_key_is_the_same_as_text_and_as_bytes(storage, key):
    storage.put_data(key, b"1")
    assert storage.peek_data(key.encode()) == b"1"
    assert storage.has_data_for_key(key.encode())
    assert storage.delete_data(key.encode())
    assert not storage.has_data_for_key(key)


def test_a_missing_key_is_empty(storage):
    assert storage.peek_data("key") is EmptyData
    assert storage.pop_data("key") is EmptyData
    assert not storage.has_data_for_key("key")
    assert not storage.delete_data("key")


def test_a_popped_value_is_gone(storage):
    storage.put_data("key", b"1")
    assert storage.pop_data("key") == b"1"
    assert storage.peek_data("key") is EmptyData


# results


def test_the_result_of_a_job_is_the_value_under_its_id(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work(result=b"1")
    assert (storage.peek_data("a"), storage.peek_data(b"a")) == (b"1", b"1")
    assert storage.peek_data("b") is EmptyData


def test_a_result_is_not_consumed_by_reading_it(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(result=b"1")
    assert storage.pop_data("a") == b"1"
    assert (storage.peek_data("a"), state(storage, "a")) == (b"1", "done")


def test_a_job_s_own_result_stands_before_what_another_wrote_under_its_id(storage, hand):
    """The first step of a pipeline failed, and left its error as the result of the next; then it was retried."""
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed", others=[("next", b"an error")])
    assert storage.peek_data("next") == b"an error"
    storage.retry("a", None, 0)
    hand.work(next_jobs=[job("next")])
    assert not storage.wait_ended("next", 0.0)
    hand.work(result=b"well")
    assert storage.peek_data("next") == b"well"


def test_flushing_results_leaves_locks_revocations_and_waiting_jobs(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work()
    storage.put_data("mine", b"1")
    storage.put_data("r:b", b"1")
    storage.put_if_empty("lock", b"1")
    storage.flush_results()
    assert (state(storage, "a"), storage.result_store_size(), storage.result_items()) == (None, 0, {})
    assert (state(storage, "b"), storage.has_data_for_key("r:b"), storage.has_data_for_key("lock")) == (
        "queued", True, True,
    )  # fmt: skip


def test_flushing_the_queue_and_the_schedule_empties_them_alone(storage, clock, hand):
    storage.enqueue_jobs([job("a", unique_key="k"), job("b", eta=clock.at + 60), job("c")])
    running = hand.claim_one()
    storage.flush_queue()
    assert (storage.queue_size(), storage.schedule_size(), state(storage, "c")) == (0, 1, None)
    storage.flush_schedule()
    assert (storage.schedule_size(), state(storage, "b")) == (0, None)
    assert hand.settle(running).lost == frozenset()
    assert storage.counts().events == 2


def test_flushing_frees_unique_keys(storage):
    storage.enqueue_jobs([job("a", unique_key="k")])
    storage.flush_queue()
    assert storage.enqueue_jobs([job("b", unique_key="k")]).accepted == (("b", True),)


def test_flush_all_leaves_nothing(storage, clock, hand):
    storage.enqueue_jobs([job("a"), job("b"), job("c", eta=clock.at + 60)])
    hand.work()
    storage.flush_all()
    counts = storage.counts()
    assert (counts.queued, counts.scheduled, counts.events, storage.result_store_size()) == (0, 0, 0, 0)


# locks


def test_a_lock_is_taken_once(storage, elsewhere):
    assert storage.put_if_empty("lock", b"1")
    assert not storage.put_if_empty("lock", b"2")
    assert not elsewhere.put_if_empty("lock", b"2")
    assert (storage.has_data_for_key("lock"), storage.peek_data("lock")) == (True, b"1")


def test_a_released_lock_is_free(storage, elsewhere):
    storage.put_if_empty("lock", b"1")
    assert storage.delete_data("lock")
    assert not storage.has_data_for_key("lock")
    assert elsewhere.put_if_empty("lock", b"2")


def test_of_many_that_want_a_lock_one_gets_it(storage, elsewhere):
    got: list[bool] = []
    start = threading.Barrier(8)

    def want(at) -> None:
        start.wait()
        got.append(at.put_if_empty("lock", b"1"))

    threads = [threading.Thread(target=want, args=(at,)) for at in [storage, elsewhere] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


# counters


def test_a_counter_is_no_value(storage):
    storage.incr("n")
    assert not storage.has_data_for_key("n")
    assert storage.result_store_size() == 0
