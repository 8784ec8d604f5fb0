"""Every key is documented before it is used: what scripts and modules name, and what stands on the server."""

from __future__ import annotations

import re
import time
from pathlib import Path

import duey.storage.redis
from duey.model.job import Idempotency
from duey.model.schedule import OccurrenceRow, ScheduleRow, Tick
from duey.storage.redis import keys
from duey.storage.redis.connection.scripts import FOLDER, script, scripts
from tests.contracts.rig import Hand, job, part
from tests.support import rows


def documented() -> dict[str, str]:
    """KEY to type, out of the table."""
    found = {}
    for line in (keys.__doc__ or "").splitlines():
        if line.startswith("| ") and not line.startswith("| KEY"):
            names, kinds = (cell.strip() for cell in line.split("|")[1:3])
            several = kinds.split(", ") if ", " in names else [kinds]
            for i, name in enumerate(names.split(", ")):
                found[name] = several[i] if i < len(several) else several[-1]
    return found


DOCUMENTED = documented()
FIRST_WORDS = {name.partition(":")[0] for name in DOCUMENTED}
SCRIPTS = sorted(name for name in scripts() if not name.startswith("lib_"))


def used_names() -> set[str]:
    """The first word of every key that is named in a script or a module."""
    found: set[str] = set()
    for path in FOLDER.glob("*.lua"):
        found |= set(re.findall(r"P \.\. '([a-z_]+)", path.read_text(encoding="utf-8")))
    for path in Path(duey.storage.redis.__file__).parent.rglob("*.py"):
        found |= set(re.findall(r"(?:server|self)\.key\(f?\"([a-z_]+)", path.read_text(encoding="utf-8")))
    return found


def test_every_key_that_is_named_is_documented():
    assert len(used_names()) > 30
    assert used_names() - FIRST_WORDS == set()


def test_every_documented_key_is_used():
    others = {"scheduled", "retrying", "idem", "revocations", "event", "seq", "replicated"}  # made elsewhere
    assert FIRST_WORDS - used_names() - others == set()


@rows("name", SCRIPTS)
def test_every_script_has_what_it_uses(name, storage):
    storage.server.command(b"SCRIPT", "LOAD", script(name).text)  # compiles
    text = script(name).text.decode()
    for function in set(re.findall(r"\b([a-z_]+)\(", text)):
        known = re.search(rf"function {function}\b|local {function}\b", text)
        assert known or function in GLOBALS, f"{name}.lua calls {function}, which no part of it defines"


GLOBALS = {
    "call", "unpack", "tonumber", "ipairs", "pairs", "next", "match", "format", "rep", "sub", "find", "gmatch", "min",
    "max", "floor", "sort", "concat", "insert", "encode", "decode", "lower", "function",
    "error_reply",
}  # fmt: skip


def test_every_key_on_the_server_is_documented(storage, far):
    """A little of everything, and then what stands there."""
    hand = Hand(storage)
    storage.holder = hand.n
    now = time.time()
    storage.enqueue_jobs([job("a", unique_key="k", queue="q:1"), job("b")], Idempotency("t", "k", "f"))
    storage.enqueue_jobs([job("c", eta=now + 60), job("d", task="shop.held"), job("u", task="shop.unknown"), job("m")])
    storage.pause("task", "shop.held")
    claims = {c.job.id: c for c in hand.claim(9)}
    hand.begin(claims["a"])
    hand.settle(claims["b"], "failed", result=b"1", others=(("x", b"1"),), chord_part=part("cid", 0, 2))
    hand.settle(claims["u"], "blocked", reason="unknown")
    hand.settle(claims["m"], "retrying", eta=now + 60)
    storage.lifecycle.cancel("a")
    storage.put_progress(claims["a"].job.seq, "{}")
    storage.put_data("x", b"1")
    storage.put_data("r:a", b"1")
    storage.put_if_empty("lock", b"1")
    storage.incr("n", 1)
    hand.presence.asleep(True)
    row = ScheduleRow("s", "code", "{}", False, now, now)
    storage.schedule_store.add(row)
    slots = [OccurrenceRow("s", now, "deferred", "z", None, now), OccurrenceRow("s", now + 1, "queue", "y", None, now)]
    storage.schedule_store.fire([Tick(row, now + 1, slots, [job("z"), job("y")])])
    storage.schedule_store.note_alive(now - 60, "no consumer")
    storage.schedule_store.note_alive(now, "no consumer")
    storage.server.run("wait", "a", "someone", 1, "kv", now)

    unexpected = {}
    seen = set()
    for key in storage.server.command(b"KEYS", storage.server.key("*")):
        name = key.decode()[len(storage.server.key("")) :]
        first, colon, _ = name.partition(":")
        kind = storage.server.command(b"TYPE", key).decode()
        expected = [k for n, k in DOCUMENTED.items() if n.partition(":")[:2] == (first, colon)]
        seen.add(first)
        if not (expected and expected[0].startswith(kind)):
            unexpected[name] = (kind, expected)
    hand.go()
    assert unexpected == {}
    assert len(seen) > 35
    strangers = [k for k in storage.server.command(b"KEYS", f"*{storage.name}*") if not k.startswith(b"duey:{")]
    assert strangers == []
