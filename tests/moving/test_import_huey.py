"""The queue of a plain Huey 2 or 3 is taken over: what waits, what is scheduled, results; and no pickle runs code."""

from __future__ import annotations

import datetime
import decimal
import os
import pickle
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huey as plain
import pytest

from duey.errors import UndecodableError
from duey.execution.huey import DurableHuey
from duey.moving.from_huey import HueyImport, Imported
from duey.moving.huey_queue import RedisHueyQueue, SqliteHueyQueue
from duey.moving.sandbox import Sandbox
from duey.storage.transfer import MoveRefused
from tests.contracts.rig import run_all, state
from tests.moving.scene import opened
from tests.support import rows

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import shop  # type: ignore[import-not-found]  # noqa: E402

sys.path.remove(str(HERE))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DurableHuey]:
    """A Duey with some of the tasks, in other modules."""
    huey = opened(tmp_path, f"sqlite:///{tmp_path}/queue.db", "q")
    huey.task(name="add", retries=1)(lambda a, b=0: a + b)
    huey.task(name="order")(lambda what, when=None: what)
    yield huey
    huey.storage.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(["shop"], HERE)
    yield made
    made.close()


def take(source: Any, target: DurableHuey, sandbox: Sandbox, dry_run: bool = False) -> Imported:
    try:
        return HueyImport(source, target, sandbox, "cli:me", lambda *_: None, dry_run).run()
    finally:
        source.close()


def test_a_queue_of_huey_2(tmp_path: Path, target: DurableHuey, sandbox: Sandbox) -> None:
    file = Path(shutil.copy(HERE / "huey2.db", tmp_path / "huey2.db"))
    assert SqliteHueyQueue(file, None).counts() == {"waiting": 6, "scheduled": 1, "values": 4}
    before = file.read_bytes()
    dry = take(SqliteHueyQueue(file, "shop"), target, sandbox, dry_run=True)
    assert file.read_bytes() == before and target.storage.counts().queued == 0
    done = take(SqliteHueyQueue(file, "shop"), target, sandbox)
    assert done == dry
    names = {name.rpartition(".")[2]: count for name, count in done.taken["waiting"].items()}
    assert names == {"add": 3, "order": 2} and sum(done.taken["scheduled"].values()) == 1
    assert done.left == {"unknown task shop.gone": 1, "locks and parts of chords": 1}
    assert done.results == 3
    again = take(SqliteHueyQueue(file, "shop"), target, sandbox)
    assert sum(again.taken["waiting"].values()) == 0 and again.left == done.left
    first = target.storage.get_job("add-2")
    assert first is not None and (first.job.priority, first.job.by) == (10.0, "cli:me")
    assert target.result("ended", preserve=True) == 42
    with pytest.raises(plain.exceptions.TaskException, match="ValueError"):
        target.result("broke")
    assert target.is_revoked(target._registry.create_task(target.serializer.deserialize(first.job.payload)))
    ((later, _),) = ((each.job.eta, each) for each in target.storage.list_jobs("scheduled", None, None, 9, None))
    assert later == datetime.datetime(2999, 1, 1, tzinfo=datetime.timezone.utc).timestamp()
    assert run_all(target) == [
        None,
        3,
        {1, 2},
        shop.Order(7),
        3,
        13,
    ]  # the one with priority is revoked; the pipeline goes on
    assert state(target.storage, "add-2") == "canceled"


@rows("kind", ["SqliteHuey", "RedisHuey", "PriorityRedisHuey", "RedisExpireHuey"])
def test_a_queue_of_huey_3(kind, tmp_path, request, sandbox):
    name = f"My-app_{uuid.uuid4().hex[:8]}"
    target = opened(tmp_path, f"sqlite:///{tmp_path}/{name}.db", "q")
    target.task(name="add")(lambda a, b=0: a + b)
    target.task(name="total")(sum)
    if kind == "SqliteHuey":
        where: dict[str, Any] = {"filename": str(tmp_path / f"{name}.old")}
    else:
        where = {"url": request.getfixturevalue("redis_server").url}
    old = getattr(plain, kind)(name, **where)
    add, total = old.task(name="add")(lambda a, b=0: a + b), old.task(name="total")(sum)
    count = 450  # several batches
    ids = [add(n, 1).id for n in range(count)]
    add.schedule((1, 2), delay=3600)  # which a consumer would put into the schedule
    later = add.s(1, 2)
    later.eta = datetime.datetime(2999, 1, 1)
    old.add_schedule(later)
    old.enqueue(plain.api.chord([add.s(1, 2), add.s(3, 4)], total.s()))
    begun = plain.api.chord([add.s(5, 6), add.s(7, 8)], total.s())
    old.enqueue(begun)
    old.storage.incr(f"chord:{begun.tasks[0].chord_config.cid}")
    old.put_result("ended", {"x": decimal.Decimal("1.5")})
    gone = old.task(name="gone")(len)
    gone("x")

    def source() -> Any:
        return (
            SqliteHueyQueue(Path(where["filename"]), name)
            if kind == "SqliteHuey"
            else RedisHueyQueue(where["url"], name)
        )

    done = take(source(), target, sandbox)
    assert sum(done.taken["waiting"].values()) == count + 3 and sum(done.taken["scheduled"].values()) == 1
    assert done.left["a member of a chord of which other members have ended"] == 2
    assert sum(done.left.values()) == 3 and done.results == 1 and old.storage.queue_size() == 3
    assert target.result("ended", preserve=True) == {"x": decimal.Decimal("1.5")}
    assert run_all(target, 1000) == [*(n + 1 for n in range(count)), 3, 7, 10]
    assert {state(target.storage, job_id) for job_id in ids} == {"done"}
    target.storage.close()


def test_an_import_that_died_between_storing_and_removing(tmp_path, target, sandbox, monkeypatch):
    file = Path(shutil.copy(HERE / "huey2.db", tmp_path / "huey2.db"))

    def die(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SqliteHueyQueue, "remove", die)
        with pytest.raises(KeyboardInterrupt):
            take(SqliteHueyQueue(file, None), target, sandbox)
    assert target.storage.counts().queued == 5
    run_all(target)  # and one of them has ended before it is tried again
    done = take(SqliteHueyQueue(file, None), target, sandbox)
    assert sum(done.taken["waiting"].values()) == 5 and target.storage.counts().queued == 0, "none runs twice"
    assert SqliteHueyQueue(file, None).counts()["waiting"] == 1


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_a_pickle_can_do_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    marker = tmp_path / "ran"
    assert sandbox.value(pickle.dumps(shop.Order(7))) is not None
    for value, words in (
        (Call(os.system, f"touch {marker}"), "posix.system"),
        (Call(eval, "1"), "builtins.eval"),
        (Call(getattr, 1, "real"), "builtins.getattr"),
        (Call(shop.remove, str(marker)), "posix.remove"),
        (Call(open, str(marker), "w"), "io.open"),
        (Call(bytearray, 1 << 40), "MemoryError"),
        (lambda: None, None),
    ):
        try:
            data = pickle.dumps(value)
        except (pickle.PicklingError, AttributeError):
            data = b"cposix\nsystem\n(S'touch ran'\ntR."
            words = "posix.system"
        with pytest.raises(UndecodableError, match=words):
            sandbox.value(data)
    by_name = b"cshop\nremove\n(S'x'\ntR."  # a function of a module that may be named
    with pytest.raises(UndecodableError, match=r"shop\.remove"):
        sandbox.value(by_name)
    for data in (b"", b"\x80\x04", b"junk", b"\x78\x9c" + b"junk"):
        with pytest.raises(UndecodableError):
            sandbox.value(data)
    assert not marker.exists()
    assert sandbox.value(pickle.dumps((1, {"x": {2}}, None))) == (1, {"x": {2}}, None), "it goes on"


def test_what_the_reading_process_cannot_do(tmp_path: Path) -> None:
    """A module that is trusted by mistake: its class does harm when it is made."""
    (tmp_path / "harm.py").write_text(
        "import os, socket, subprocess\n"
        "class Harm:\n"
        "    def __init__(self, what):\n"
        "        {'open': lambda: open('ran', 'w'), 'fork': lambda: subprocess.run(['true']),\n"
        "         'net': lambda: socket.create_connection(('127.0.0.1', 9), 1), 'exit': lambda: os._exit(3),\n"
        "         'loop': lambda: None}[what]()\n"
    )
    sandbox = Sandbox(["harm"], tmp_path)
    for what in ("open", "fork", "net", "exit"):
        with pytest.raises(UndecodableError):
            sandbox.value(f"charm\nHarm\n(S'{what}'\ntR.".encode())
    assert not (tmp_path / "ran").exists()
    assert sandbox.value(pickle.dumps(1)) == 1, "another process reads on"
    sandbox.close()
    broken = Sandbox(["no_such_module"], tmp_path)
    with pytest.raises(MoveRefused, match="no_such_module"):
        broken.check()
    broken.close()
