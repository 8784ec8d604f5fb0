"""With `[tasks] secret`, whoever can write to the storage but does not know it changes nothing unnoticed: what is
stored is signed for its row, and a row that was edited, or a value that was copied, is refused in a sentence."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress

import pytest
from huey.api import chord
from huey.exceptions import TaskLockedException

from duey import checkpoint, current_job, errors
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.model.job import ONCE, Edit, JobRecord
from duey.model.schedule import ScheduleRow
from tests.contracts.rig import look, run_next, state
from tests.contracts.rig import run_all as run_readable

MISFIT = "signature does not fit this"
# as body:ID on Redis begins
HEAD = (
    "id", "task", "queue", "priority", "timeout_s", "flags", "chord", "context", "parent", "unique_key", "sequel", "by",
)  # fmt: skip


CHANGING = ("enqueued_at", "eta", "expires_at", "attempt", "crashes", "retries")  # as `m` of job:ID does


@pytest.fixture
def huey(make_huey):
    return make_huey(tasks_secret="s3cret")


class Intruder:
    """Somebody who writes past the service."""

    def __init__(self, storage, path):
        self.storage, self.server, self.path = storage, getattr(storage, "server", None), path

    def sql(self, statement, *values):
        self.storage.counts()  # empties the inbox
        with closing(sqlite3.connect(self.path, timeout=30)) as con, con:
            return con.execute(statement, values).fetchall()

    def redis(self, command, key, *words):
        return self.server.command(command, self.server.key(key), *words)

    def edit_job(self, job_id, **columns):
        if self.server is None:
            for name, value in columns.items():
                self.sql(f"update jobs set {name} = ? where id = ?", value, job_id)
            return
        head, _, payload = self.redis(b"GET", f"body:{job_id}").partition(b"\n")
        payload = columns.pop("payload", payload)
        fields = json.loads(b"[" + head)
        m = self.redis(b"HGET", f"job:{job_id}", b"m").split(b",")
        for name, value in columns.items():
            if name in CHANGING:
                m[CHANGING.index(name)] = b"%g" % value
            elif name == "sequel":
                self.redis(b"HDEL", f"job:{job_id}", b"sequel")
            else:
                fields[HEAD.index(name)] = value
        self.redis(b"HSET", f"job:{job_id}", b"m", b",".join(m))
        self.redis(b"SET", f"body:{job_id}", json.dumps(fields)[1:].encode() + b"\n" + payload)

    def copy_sequel(self, source, target, size, **columns):
        """With another number of members, and other columns of the callback."""
        if self.server is None:
            ((text,),) = self.sql("select sequel from jobs where id = ?", source)
        else:
            text = self.redis(b"HGET", f"job:{source}", b"sequel")
        steps, place, callback, expires_s = json.loads(text)
        for name, value in columns.items():
            callback[-2 if name == "payload" else JobRecord._fields.index(name)] = value
        text = json.dumps([steps, [*place[:2], size], callback, expires_s])
        if self.server is None:
            self.sql("update jobs set sequel = ? where id = ?", text, target)
        else:
            self.redis(b"HSET", f"job:{target}", b"sequel", text)

    def drop_events(self):
        self.sql("delete from outbox") if self.server is None else self.redis(b"DEL", "outbox")

    def put_back(self, job_id):
        """As before it ran."""
        if self.server is None:
            self.sql("delete from finished where seq = (select seq from jobs where id = ?)", job_id)
            self.sql("insert into ready select queue, -priority, seq from jobs where id = ?", job_id)
            return
        seq = int(self.redis(b"HGET", f"job:{job_id}", b"seq"))
        self.redis(b"ZREM", "finished:done", job_id)
        self.redis(b"HDEL", f"job:{job_id}", b"state", b"end", b"ev")
        self.redis(b"HSET", f"job:{job_id}", b"place", b"ready")
        self.redis(b"ZADD", "live", seq, job_id)
        self.redis(b"ZADD", "ready:default", 0, f"{seq:016}{job_id}")
        self.redis(b"SADD", "queues", "default")

    def set_result(self, job_id, data):
        if self.server is None:
            self.sql("update finished set result = ? where seq = (select seq from jobs where id = ?)", data, job_id)
        else:
            self.redis(b"SET", f"result:{job_id}", data)

    def set_part(self, cid, index, data):
        if self.server is None:
            self.sql("delete from chord_parts where cid = ? and idx = ?", cid, index)
            if data is not None:
                self.sql("insert into chord_parts values (?, ?, ?)", cid, index, data)
        elif data is None:
            self.redis(b"HDEL", f"chord:{cid}", index)
        else:
            self.redis(b"HSET", f"chord:{cid}", index, data)

    def set_checkpoint(self, job_id, key, data):
        if self.server is None:
            seq = "(select seq from jobs where id = ?)"
            self.sql(f"update checkpoints set data = ? where key = ? and seq = {seq}", data, key, job_id)
        else:
            self.redis(b"HSET", f"checkpoints:{job_id}", key, data)


def run_all(huey):
    """Run what waits, also behind jobs that cannot be read."""
    while huey.storage.counts().queued:
        run_readable(huey)


@pytest.fixture
def intruder(storage, folder):
    return Intruder(storage, folder / "queue.db")


@pytest.fixture
def tell(huey):
    """A task that answers with its arguments and its context."""
    return huey.task(name="tell")(lambda *args: [list(args), dict(current_job().context)])


def said_of(huey, job_id):
    """Why a job has failed."""
    job = Control(huey).job(job_id)
    assert job.state == "failed", job
    return job.error.message


def test_a_call_is_signed_for_its_job_and_context(huey, storage, intruder, tell):
    edited, copied, good = tell(1, context={"user": "ana"}), tell(2), tell(3, context={"user": "ana"})
    intruder.edit_job(edited.id, context='{"user": "ben"}')
    intruder.edit_job(copied.id, payload=look(storage, good.id).job.payload)
    run_all(huey)
    for job_id in (edited.id, copied.id):
        assert MISFIT in said_of(huey, job_id)
        assert Control(huey).job(job_id).args == ["[unreadable]"]
    assert good.get() == [[3], {"user": "ana"}]
    with pytest.raises(errors.SignatureError, match=MISFIT):
        Control(huey).again(edited.id)


def test_a_result_is_signed_for_its_job_and_a_value_of_huey_s_own_store_for_its_key(huey, storage, intruder, tell):
    paid, unpaid = tell("paid"), tell("unpaid")
    run_all(huey)
    intruder.set_result(unpaid.id, look(storage, paid.id).result)
    with pytest.raises(errors.SignatureError, match=MISFIT):
        huey.result(unpaid.id)
    assert Control(huey).job(unpaid.id).result == "[unreadable]"
    assert huey.result(paid.id) == [["paid"], {}]
    huey.put("mine", 1)
    assert huey.get("mine") == 1
    storage.put_data("other", storage.peek_data("mine"))
    with pytest.raises(errors.SignatureError, match=MISFIT):
        huey.get("other")


def test_parts_of_a_chord_are_signed_for_their_place_in_it(huey, storage, intruder, tell):
    def parts_of(callback_id):
        cid = look(storage, callback_id).job.chord
        return cid, storage.chord_results(cid)

    other = huey.enqueue(chord([tell.s("x"), tell.s("y")], tell.s())).callback.id
    run_next(huey), run_next(huey)
    other_cid, foreign = parts_of(other)
    tamperings = {
        "made up": lambda cid, own: intruder.set_part(cid, 0, b"1"),
        "of another chord": lambda cid, own: intruder.set_part(cid, 0, foreign[0]),
        "of another member": lambda cid, own: intruder.set_part(cid, 0, own[1]),
        "taken out": lambda cid, own: intruder.set_part(cid, 1, None),
        "one more": lambda cid, own: intruder.set_part(cid, 2, own[1]),
    }
    columns = {"without its chord": None, "with the parts of another": other_cid}
    for name in (*tamperings, *columns):
        callback = huey.enqueue(chord([tell.s("a"), tell.s("b")], tell.s())).callback.id
        for _ in range(3 if name == "made up" else 2):  # the other callback waits before it
            run_next(huey)
        if name in columns:
            intruder.edit_job(callback, chord=columns[name])
        else:
            tamperings[name](*parts_of(callback))
        run_all(huey)
        assert "sign" in said_of(huey, callback), name
    assert state(storage, other) == "done"


def test_who_waits_for_a_job_without_a_body_can_read_what_is_told(huey, storage, intruder, tell):
    pipeline = huey.enqueue(tell.s(1).then(tell))
    first, second = list(pipeline)
    member = tell.s("a", context={"user": "ana"})
    callback = huey.enqueue(chord([member, tell.s("b")], tell.s())).callback
    intruder.edit_job(first.id, context='{"user": "ben"}')
    intruder.edit_job(member.id, context='{"user": "ben"}')
    run_all(huey)
    for handle in (first, second):
        with pytest.raises(Exception, match=MISFIT):
            handle.get()
    assert state(storage, callback.id) == "done"
    canceled = huey.enqueue(tell.s(1).then(tell))
    Control(huey).cancel(next(iter(canceled)).id)
    with pytest.raises(Exception, match="canceled"):
        list(canceled)[1].get()


def test_a_checkpoint_is_signed_for_its_job_and_key(huey, intruder):
    def load(n):
        if current_job().attempt == 0:
            for far in (98, 99):
                checkpoint(far, key="far")
                kept[n, far] = huey.serializer.serialize(far, use=("checkpoint", current_job().id, "far"))
            raise OSError
        return checkpoint(key="far")

    kept = {}
    task = huey.task(name="load", retries=1)(load)
    # what stands there when it goes on -> what it reads, or why it fails
    table = {
        "its own": (lambda n: kept[n, 99], 99), "an older one of the same job": (lambda n: kept[n, 98], 98),
        "another job's": (lambda n: kept["its own", 99], MISFIT), "unsigned": (lambda n: b"99", "not signed"),
    }  # fmt: skip
    for n, (data, read) in table.items():
        result = task(n)
        run_next(huey)
        intruder.set_checkpoint(result.id, "far", data(n))
        run_all(huey)
        assert result.get() == read if isinstance(read, int) else read in said_of(huey, result.id), n


def test_a_schedule_is_signed_with_its_whole_spec(huey, storage, tell):
    huey.task(name="harm")(lambda *args: pytest.fail("it ran"))
    schedules = Control(huey).schedules
    schedules.make("good", ScheduleRequest("tell", ("a",), every_s=60, tz="Europe/Zagreb"))
    (row,) = storage.schedule_store.schedules()
    spec = json.loads(row.spec)
    edits = {
        "task": {"task": spec["task"].replace("tell", "harm")}, "every": {"every": 1}, "overlap": {"overlap": "allow"},
        "zone": {"tz": "UTC"}, "unsigned": {"call": "[[],{}]"},
    }  # fmt: skip
    for name, edit in edits.items():
        assert storage.schedule_store.replace(
            storage.schedule_store.schedules("good")[0], json.dumps(spec | edit), row.last
        )
        assert "sign" in schedules.get("good").problem, name
        with pytest.raises(errors.BrokenSchedule, match="sign"):
            schedules.run_now("good")
    storage.schedule_store.add(ScheduleRow("copied", "made", row.spec, False, row.last, row.since))
    assert MISFIT in schedules.get("copied").problem
    assert storage.schedule_store.replace(storage.schedule_store.schedules("good")[0], row.spec, row.last)
    schedules.change("good", ScheduleRequest("tell", ("b",), every_s=60, tz="UTC"))  # keeps how its zone moved
    assert schedules.get("good").problem is None
    schedules.run_now("good")
    assert run_next(huey)[0] == ["b"]


def test_a_replay_does_what_the_threat_model_says_and_no_more(huey, storage, intruder, tell):
    """docs/threat-model.md, "What a replay can do": what was signed before is valid at its own place, and the columns
    that are not signed change when and how often a job runs, never what it does."""
    context = {"user": "ana"}
    job = tell(1, context=context)
    run_all(huey)
    before = look(storage, job.id)
    intruder.put_back(job.id)
    assert run_next(huey) == [[1], context]
    Control(huey).retry(job.id, args=(2,))
    run_all(huey)
    assert huey.result(job.id) == [[2], context]
    intruder.set_result(job.id, before.result)
    assert huey.result(job.id) == [[1], context]
    intruder.edit_job(job.id, payload=before.job.payload)
    intruder.put_back(job.id)
    assert run_next(huey) == [[1], context]

    edits = {
        "queue": "elsewhere", "priority": 99.0, "timeout_s": 60.0, "flags": ONCE, "parent": job.id, "by": "mallory",
        "retries": 9, "sequel": None,
    }  # fmt: skip
    for name, value in edits.items():
        edited = tell(name, context=context)
        intruder.edit_job(edited.id, **{name: value})
        run_all(huey)
        assert huey.result(edited.id) == [[name], context], name
        found = getattr(look(storage, edited.id).job, name)
        assert found == value or (name, found) == ("sequel", ""), name  # Redis knows from the head that it has none

    revoked, other = tell(3), tell(4)
    revoked.revoke()
    storage.put_data(f"r:{other.id}", storage.peek_data(f"r:{revoked.id}"))
    run_all(huey)
    assert [state(storage, each.id) for each in (revoked, other)] == ["canceled", "canceled"]

    schedules = Control(huey).schedules
    schedules.make("report", ScheduleRequest("tell", ("old",), every_s=60))
    (row,) = storage.schedule_store.schedules()
    schedules.change("report", ScheduleRequest("tell", ("new",), every_s=60))
    assert storage.schedule_store.replace(storage.schedule_store.schedules("report")[0], row.spec, row.last)
    schedules.run_now("report")
    assert run_next(huey)[0] == ["old"]


def test_everything_that_is_signed_is_read_again(huey, storage, tell):
    @huey.task(on_failed=lambda job, error: told.append((job.args, error.message)))
    def fail(word):
        raise ValueError("no")

    told = []
    failing, retried = fail("x", context={"user": "ana"}), tell(1, context={"user": "ana"})
    run_all(huey)
    assert told == [(["x"], "no")]
    Control(huey).retry(retried.id, args=(2,))
    run_all(huey)
    assert retried.get() == [[2], {"user": "ana"}]
    assert [each.args for each in storage.lifecycle.read_events(100) if each.job_id == failing.id and each.args] == [
        ["x"]
    ]
    waiting = tell(3)
    assert [task.id for task in huey.pending()] == [waiting.id]
    waiting.revoke()
    run_all(huey)
    assert state(storage, waiting.id) == "canceled"


def test_a_secret_is_changed_while_jobs_wait(make_huey):
    def at(**keys):
        huey = make_huey(**keys)
        return huey, huey.task(name="tell")(lambda word: word)

    _, tell = at(tasks_secret="old")
    before = [tell("a"), tell("b")]
    both, tell = at(tasks_secret="new", tasks_secret_previous="older, old")
    between = tell("c")
    assert run_next(both) == "a"
    new, _ = at(tasks_secret="new")
    run_all(new)
    assert "signature does not fit: " in said_of(new, before[1].id)
    assert new.result(between.id) == "c"
    assert new.result(before[0].id) == "a"  # its result was signed with the new one


def test_a_sequel_of_another_job_tells_of_a_failure_and_hands_over_no_values(huey, storage, intruder, tell):
    """A sequel is not signed. It is used only where a job does not end as done; the callback in it is signed."""

    def stolen(size, **columns):
        """What a callback gets when the sequel of its first member is put beside a job that is canceled."""
        first, other = tell.s("a"), tell("other")
        made = huey.enqueue(chord([first, tell.s("b")], tell.s(context={"user": "ana"})))
        intruder.copy_sequel(first.id, other.id, size, **columns)
        Control(huey).cancel(other.id)
        run_all(huey)
        return Control(huey).job(made.callback.id)

    # the size, and the columns of the callback that are changed -> what it gets, or why it fails
    table = {
        "as it is": (2, {}, ["SKIPPED", [["b"], {}]]), "fewer members": (1, {}, ["SKIPPED"]),
        "by, queue": (1, {"by": "mallory", "queue": "other"}, ["SKIPPED"]), "another size": (3, {}, "sign"),
        "context": (1, {"context": '{"user": "ben"}'}, MISFIT), "task": (1, {"task": "made.up"}, MISFIT),
        "payload": (1, {"payload": "[]"}, "sign"),
    }  # fmt: skip
    for name, (size, columns, told) in table.items():
        job = stolen(size, **columns)
        if isinstance(told, list):
            assert (job.state, job.result[0][0]) == ("done", told), name
        else:
            assert job.state != "done" and told in f"{job.error} {job.reason}", (name, job)


def test_pauses_locks_times_states_and_events_decide_when_and_never_what(make_huey, huey, storage, intruder, tell):
    """Edited past the service, or with the service's own code but without its secret."""
    stranger = Control(make_huey())
    stranger.huey.task(name="tell")(lambda *args: pytest.fail("it ran"))
    context = {"user": "ana"}

    def none(job_id):
        """Nothing is edited."""

    def paused(job_id):
        storage.pause("task", look(storage, job_id).job.task)
        assert huey.dequeue() is None
        storage.resume("task", look(storage, job_id).job.task)

    def put_back(job_id):
        assert run_next(huey) == [["x"], context]
        intruder.put_back(job_id)

    def canceled(job_id):
        stranger.cancel(job_id)
        stranger.retry(job_id)

    edits = {
        "nothing": none, "pauses": paused, "states": put_back, "states by code": canceled,
        "events": lambda job_id: intruder.drop_events(),
        "attempts": lambda job_id: intruder.edit_job(job_id, attempt=7),
        "times": lambda job_id: intruder.edit_job(job_id, eta=1.0, enqueued_at=1.0),
        "deaths": lambda job_id: intruder.edit_job(job_id, crashes=2),
    }  # fmt: skip
    for name, edit in edits.items():
        job = tell("x", context=context)
        edit(job.id)
        run_all(huey)
        assert huey.result(job.id) == [["x"], context], name
    job = tell("x")
    intruder.edit_job(job.id, expires_at=1.0)
    run_all(huey)
    assert state(storage, job.id) == "expired"
    with stranger.huey.lock_task("mine"), pytest.raises(TaskLockedException), huey.lock_task("mine"):
        pass
    job = tell("x", context=context)
    stranger.cancel(job.id)
    with pytest.raises(errors.DueyError):
        stranger.retry(job.id, edit=Edit({0: "y"}))  # it cannot read what is signed
    with suppress(errors.DueyError):
        stranger.retry(job.id, args=["y"])  # nor sign what it writes
    run_all(huey)
    assert state(storage, job.id) in ("canceled", "failed")
