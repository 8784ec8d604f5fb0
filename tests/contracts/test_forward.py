"""What a later version of the same schema may add is read by this one: docs/internals/storage.md says which forms may
grow."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.monitor.history import History
from tests.contracts.rig import run_all
from tests.contracts.test_renamed_tasks import ask, task


def with_more(text: str) -> str:
    return json.dumps({**json.loads(text), "of_later": {"deep": [1]}})


def on_sqlite(huey: DurableHuey) -> None:
    """Rewrite what stands in the queue as a later version would have written it."""
    huey.storage.close()
    with closing(sqlite3.connect(huey.settings.storage.path)) as con, con:
        con.create_function("more", 1, lambda text: text and with_more(text))
        con.execute("update schedules set spec = more(spec)")
        con.execute("update outbox set detail = more(coalesce(detail, '{}'))")
        con.execute("update outbox set kind = 'of_later' where seq = (select max(seq) from outbox)")
        con.execute("update jobs set flags = flags | (1 << 40)")
        con.execute("insert into meta values ('of_later', '1')")


def on_redis(huey: DurableHuey) -> None:
    """The same."""
    server = huey.storage.server

    def names(pattern: str) -> list[bytes]:
        return server.command(b"KEYS", server.key(pattern).replace("{", "\\{"))

    for name in names("schedule:*"):
        server.command(b"HSET", name, "spec", with_more(server.command(b"HGET", name, "spec").decode()))
    for name in names("body:*"):
        head, _, payload = server.command(b"GET", name).partition(b"\n")
        server.command(b"SET", name, head[:-1] + b',"of later"]\n' + payload)
    for name in names("job:*"):
        server.command(b"HSET", name, "of_later", "1")
    events = server.command(b"XRANGE", server.key("outbox"), "-", "+")
    server.command(b"DEL", server.key("outbox"))
    for n, (at, words) in enumerate(events, 1):
        fields = dict(zip(words[::2], words[1::2], strict=True))
        fields |= {b"d": with_more(fields.get(b"d", b"{}").decode()), b"of_later": "1"}
        if n == len(events):
            fields[b"k"] = b"of_later"
        server.command(b"XADD", server.key("outbox"), at, *(each for pair in fields.items() for each in pair))
    server.command(b"HSET", server.key("meta"), "of_later", "1")


def test_what_a_later_version_of_the_same_schema_adds_is_no_hindrance(
    huey: DurableHuey, backend: str, folder: Any
) -> None:
    task(huey, "charge", lambda order: order, retries=1)
    control = Control(huey)
    ids = [ask(huey, "charge", n, context={"user": "ana"}) for n in range(3)]
    control.schedules.make("made", ScheduleRequest("charge", [7], every_s=60))
    control.cancel(ids[2])
    {"sqlite": on_sqlite, "redis": on_redis}[backend](huey)
    assert {control.job(each).state for each in ids[:2]} == {"queued"}
    (schedule,) = control.schedules.all()
    assert (schedule.problem, schedule.args) == (None, [7])
    ids.append(control.schedules.run_now("made"))
    assert sorted(run_all(huey)) == [0, 1, 7]
    assert [control.job(each).state for each in ids] == ["done", "done", "canceled", "done"]
    history = History(f"sqlite:///{folder}/monitor.db", huey.settings.monitor)
    recorder = history.recorder(huey.lifecycle, control.workers, control.schedules.all)
    recorder.turn()
    assert (recorder.status.problem, recorder.status.refused) == (None, 0)
    assert [history.job(each).state for each in ids] == ["done", "done", "queued", "done"], (
        "an unknown end is noted only"
    )
    recorder.close()
    history.close()
