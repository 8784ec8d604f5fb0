"""Keys as older versions made them: renamed by the first who opens them, with all they hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from duey.model.job import CANCELED
from duey.model.limits import Limit
from duey.storage.redis.keys import VERSION
from duey.storage.redis.storage import RedisStorage
from duey.storage.values import DeadWorker
from tests.contracts.rig import Hand, kinds, look
from tests.support.kept_files import as_if_new

KEYS_2 = Path(__file__).parent / "keys_2.jsonl"  # of schema version 2, written by its own version
OLD = (
    "parked:", "line:", "gate:", "holders:", "gates", "reasons", "parked_in", "claims:", "ends:", "events", "stops",
    "uniques", "uniques_gone", "marks", "hand",
)  # fmt: skip
LIMITS = {"shop.slow": Limit(1, None, 0.0), "shop.rated": Limit(None, 3600.0, 1.0)}


def test_keys_of_the_version_before_go_on(
    storage: RedisStorage, open_storage: Callable[..., RedisStorage], hire: Callable[..., Hand]
) -> None:
    server = storage.server
    for line in as_if_new(KEYS_2, 1795957670).splitlines():
        command, key, *rest = json.loads(line)
        server.command(command, key.replace("duey:{old}", server.prefix), *rest)
    open_storage().prepare()
    open_storage().prepare()  # the second one finds nothing to do
    start = len(server.prefix) + 1
    names = {key.decode()[start:] for key in server.command(b"KEYS", server.key("*").replace("[", "\\["))}
    assert not [name for name in names if name in OLD or name.startswith(tuple(o for o in OLD if o.endswith(":")))]
    assert server.command(b"HGET", server.key("meta"), "schema") == str(VERSION).encode()
    seen = {job.job.id: (job.place, job.state, job.reason) for job in storage.list_jobs(None, None, None, 20, None)}
    assert seen == {
        "done": ("finished", "done", None), "rated-1": ("finished", "done", None),
        "failed": ("finished", "failed", None), "slow-1": ("claimed", "running", None),
        "slow-2": ("blocked", "blocked", "limit shop.slow"), "rated-2": ("blocked", "blocked", "rate shop.rated"),
        "paused": ("blocked", "blocked", "task shop.paused"), "keyed": ("scheduled", "scheduled", None),
        "ready": ("ready", "queued", None),
    }  # fmt: skip
    assert kinds(storage, "paused") == ["enqueued", "blocked"]
    assert storage.data.has("r:keyed") and look(storage, "slow-1").stopping
    storage.limits = LIMITS
    hand = hire()
    assert [claim.job.id for claim in hand.claim(5)] == ["ready"], "what was blocked is blocked still"
    storage.lifecycle.reap(DeadWorker(1, "host.example", 4242, False), 3)
    assert look(storage, "slow-1").state == CANCELED, "it was asked to stop"
    assert [claim.job.id for claim in hand.claim(5)] == ["slow-2"], "its slot is free"
    assert storage.resume("task", "shop.paused") == 1
    assert [claim.job.id for claim in hand.claim(5)] == ["paused"]
