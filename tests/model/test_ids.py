"""Ids: UUIDs in the order of their making, never the same twice, also not across threads and forks."""

import os
import threading
import uuid

from duey.model.ids import new_id


def test_an_id_is_a_uuid_of_version_7_in_the_order_of_its_making():
    made = new_id()
    assert uuid.UUID(made).version == 7 and uuid.UUID(made).variant == uuid.RFC_4122 and made == str(uuid.UUID(made))
    ids = [new_id()[:18] for _ in range(2000)]  # the part that is the time
    assert ids == sorted(ids) and len(set(ids)) > 1
    from duey import huey

    task = huey.task(name="ids_of_this")(lambda: None)
    try:
        assert uuid.UUID(task.s().id).version == 7
    finally:
        task.unregister()


def test_no_two_are_the_same_from_many_threads():
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend([new_id() for _ in range(5000)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 40_000


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
