"""What Huey itself keeps in a storage: values, results, locks, counters."""

from __future__ import annotations

from huey.constants import EmptyData

from tests.contracts.rig import job, jobs, state


def test_a_value_is_put_read_and_popped(storage, elsewhere):
    """Values are bytes of any kind; a key is the same as text and as bytes."""
    for value in (b"", b"\x00\xff", b"x" * 100_000):
        storage.put_data("key", value)
        assert elsewhere.peek_data("key") == storage.peek_data("key") == value
    assert storage.pop_data("key") == value
    for key in ("key", "ключ", "a b:c*?[x]", "r:", "x" * 300):
        assert storage.peek_data(key) is EmptyData and storage.pop_data(key) is EmptyData
        assert not storage.has_data_for_key(key) and not storage.delete_data(key)
        storage.put_data(key, b"1")
        assert storage.peek_data(key.encode()) == b"1" and storage.has_data_for_key(key.encode())
        assert storage.delete_data(key.encode()) and not storage.has_data_for_key(key)


def test_the_result_of_a_job_is_the_value_under_its_id_and_not_consumed(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work(result=b"1")
    assert (storage.peek_data("a"), storage.peek_data(b"a"), storage.pop_data("a")) == (b"1",) * 3
    assert (storage.peek_data("a"), state(storage, "a")) == (b"1", "done")
    assert storage.peek_data("b") is EmptyData


def test_a_job_s_own_result_stands_before_what_another_wrote_under_its_id(storage, hand):
    """The first step of a pipeline failed, and left its error as the result of the next; then it was retried."""
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed", others=(("next", b"an error"),))
    assert storage.peek_data("next") == b"an error"
    storage.retry("a", None, 0)
    hand.work(follow_ups=(job("next"),))
    assert not storage.wait_ended("next", 0.0)
    hand.work(result=b"well")
    assert storage.peek_data("next") == b"well"


def test_what_is_flushed_goes_and_nothing_else(storage, clock, hand):
    storage.enqueue_jobs([job("z"), job("a", unique_key="k"), job("b", eta=clock.at + 60), job("c")])
    hand.work()
    running = hand.claim_one()
    for key in ("mine", "r:b"):
        storage.put_data(key, b"1")
    storage.put_if_empty("lock", b"1")
    storage.flush_results()
    assert (state(storage, "z"), storage.result_store_size(), storage.result_items()) == (None, 0, {})
    assert (state(storage, "c"), storage.has_data_for_key("r:b"), storage.has_data_for_key("lock")) == (
        "queued", True, True,
    )  # fmt: skip
    storage.flush_queue()
    assert (storage.queue_size(), storage.schedule_size(), state(storage, "c")) == (0, 1, None)
    storage.flush_schedule()
    assert (storage.schedule_size(), state(storage, "b")) == (0, None)
    assert hand.settle(running).lost == frozenset()
    assert storage.counts().events == 2
    storage.enqueue_jobs([job("d", unique_key="l"), job("e", eta=clock.at + 60)])
    storage.flush_queue()
    assert storage.enqueue_jobs([job("f", unique_key="l")]).accepted == (("f", True),), "its unique key is free"
    storage.flush_all()
    counts = storage.counts()
    assert (counts.queued, counts.scheduled, counts.events, storage.result_store_size()) == (0, 0, 0, 0)


def test_a_lock_is_taken_once_and_a_counter_is_no_value(storage, elsewhere):
    for at in (storage, elsewhere):
        assert at.put_if_empty("lock", b"1")
        assert not storage.put_if_empty("lock", b"2") and not elsewhere.put_if_empty("lock", b"2")
        assert (storage.has_data_for_key("lock"), storage.peek_data("lock")) == (True, b"1")
        assert storage.delete_data("lock") and not storage.has_data_for_key("lock")
    assert [storage.incr("n"), elsewhere.incr("n", 2)] == [1, 3]
    assert not storage.has_data_for_key("n") and storage.result_store_size() == 0
    elsewhere.delete_counter("n")
    assert storage.incr("n") == 1
