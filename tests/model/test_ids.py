"""Ids: UUIDs in the order of their making, never the same twice, also not across threads and forks."""

import os
import threading
import uuid

from duey.model.ids import new_id


def test_an_id_is_a_uuid_of_version_7_of_this_millisecond():
    before = uuid.UUID(new_id())
    assert before.version == 7 and before.variant == uuid.RFC_4122
    assert str(before) == str(before).lower() and len(str(before)) == 36


def test_later_ids_stand_behind_earlier_ones():
    ids = [new_id()[:18] for _ in range(2000)]  # the part that is the time
    assert ids == sorted(ids)
    assert len(set(ids)) > 1


def test_no_two_are_the_same_from_many_threads():
    found: list[list[str]] = []

    def make() -> None:
        found.append([new_id() for _ in range(5000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [each for ids in found for each in ids]
    assert len(every) == len(set(every)) == 40_000


def test_a_forked_child_does_not_draw_from_its_parents_page():
    new_id()  # a page is begun
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, new_id().encode())
        os._exit(0)
    os.wait()
    theirs = os.read(read, 100).decode()
    os.close(read)
    os.close(write)
    assert new_id()[-15:] != theirs[-15:]


def test_a_task_takes_its_id_here():
    from duey import huey

    @huey.task(name="ids_of_this")
    def task() -> None: ...

    try:
        assert uuid.UUID(task.s().id).version == 7
    finally:
        task.unregister()
