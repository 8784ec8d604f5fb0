"""What a start says of jobs that nobody would run, or that cannot be read."""

from __future__ import annotations

import uuid
from pathlib import Path

from duey.execution.left_behind import warnings_at_start
from duey.moving.move import move
from duey.moving.places import place_of
from tests.contracts.rig import job
from tests.moving.scene import opened
from tests.support.redis_server import RedisServer


def said(huey: object) -> list[str]:
    return [each for each in warnings_at_start(huey) if "snapshot" not in each]  # of the test's Redis


def test_jobs_in_the_storage_that_is_not_configured_any_more(tmp_path: Path, redis_server: RedisServer) -> None:
    name, file = f"l{uuid.uuid4().hex[:8]}", tmp_path / "queue.db"
    before = opened(tmp_path, f"sqlite:///{file}", name)
    after = opened(tmp_path, redis_server.url, name, storage_path=file)
    assert said(before) == said(after) == []
    before.storage.enqueue_jobs([job("a"), job("b", eta=9e9)])
    (sentence,) = said(after)
    assert sentence.startswith(f"2 jobs wait at sqlite:///{file}, but [storage] backend is redis")
    assert f"`duey move --from sqlite:///{file} --to {redis_server.url}`" in sentence
    source, target = (place_of(None, huey.settings).opened(create=True) for huey in (before, after))
    move(source, target, lambda *_: None, lambda: None, 1)
    assert said(after) == []
    back = opened(tmp_path, f"sqlite:///{tmp_path}/other.db", name, storage_url=redis_server.url)
    (sentence,) = said(back)
    assert sentence.startswith(f"2 jobs wait at {redis_server.url}, but [storage] backend is sqlite")
    for each in (before, after, back):
        each.storage.close()
    source.close()
    target.close()


def test_jobs_that_cannot_be_read(tmp_path: Path) -> None:
    def at(**keys: object) -> list[str]:
        huey = opened(tmp_path, f"sqlite:///{tmp_path}/queue.db", "q", **keys)
        found = said(huey)
        huey.storage.close()
        return found

    huey = opened(tmp_path, f"sqlite:///{tmp_path}/queue.db", "q", tasks_secret="old")
    add = huey.task(name="shop.add")(lambda a, b: a + b)
    add(1, 2)
    add.schedule((1, 2), delay=60)
    huey.storage.close()
    start = "2 of 2 waiting jobs cannot be read with [tasks] serializer and secret as they are set, and will fail: "
    (sentence,) = at(tasks_secret="new")
    assert sentence.startswith(start) and "add that secret to [tasks] secret_previous" in sentence
    (sentence,) = at()
    assert sentence.startswith(start) and "no secret is set here" in sentence
    (sentence,) = at(tasks_secret="old", tasks_serializer="pickle")
    assert sentence.startswith(start)
    (tmp_path / "old").write_text("old\n")
    assert at(tasks_secret="new", tasks_secret_previous_file="old") == at(tasks_secret="old") == []
