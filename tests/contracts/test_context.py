"""What travels with a job, to its children, its log and the history: the request's context, and who asked for it."""

from __future__ import annotations

import json
import logging
import math
from decimal import Decimal

import pytest
from huey.api import chord

from duey import current_job, errors
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.logs import TEXT, JobFilter, Json, Utc
from duey.model.job import JobRequest
from duey.payload.redact import MARKER
from duey.tasks.on_failed import SUFFIX
from tests.contracts.rig import job, look, run_all, run_next

ANA = {"user": "ana", "request_id": "r-7"}


def context_of(storage, job_id):
    return json.loads(look(storage, job_id).job.context or "{}")


@pytest.fixture
def tell(huey):
    """A task that answers with its context."""
    return huey.task(name="tell")(lambda *args, **kwargs: dict(current_job().context))


@pytest.fixture
def control(huey) -> Control:
    return Control(huey)


def test_a_body_sees_the_context_of_its_call_however_that_is_made(huey, storage, tell, control, later):
    tell(1, context=ANA)
    tell(1)
    (job,) = control.enqueue([JobRequest("tell", context=ANA)]).jobs
    assert job.context == control.job(job.id).context == ANA
    scheduled = tell.schedule((1,), delay=5, context=ANA, queue="slow")
    assert (context_of(storage, scheduled.id), look(storage, scheduled.id).job.queue) == (ANA, "slow")
    assert run_all(huey) == [ANA, {}, ANA]
    later(6)
    assert run_all(huey) == [ANA]
    tell()
    assert run_all(huey) == [{}], "nothing is inherited once the body is over"


def test_children_steps_callbacks_and_handlers_inherit_it(huey, storage, tell, control):
    def parent():
        tell()
        tell(context={"user": "ben", "step": 2})
        control.enqueue([JobRequest("tell")])

    huey.task(name="parent")(parent)(context=ANA)
    assert run_all(huey) == [None, ANA, {**ANA, "user": "ben", "step": 2}, ANA]
    huey.enqueue(tell.s(1, context=ANA).then(tell).then(tell))
    huey.enqueue(chord([tell.s(1, context=ANA), tell.s(2, context=ANA)], tell.s()))
    assert run_all(huey) == [ANA] * 6
    result = huey.enqueue(chord([tell.s(1, context=ANA, id="member")], tell.s()))
    storage.lifecycle.cancel("member")
    run_all(huey)
    assert result.get() == ANA, "from a member that was canceled"

    def handler(job, error):
        seen.append((dict(job.context), dict(current_job().context)))

    seen = []
    huey.task(name="failing", on_failed=handler)(lambda: 1 / 0)(context=ANA)
    run_all(huey)
    assert seen == [(ANA, ANA)]


def test_people_and_the_history_see_it_without_its_secrets(storage, tell, control):
    tell(context={"user": "ana", "api_key": "s3cret"})
    (event,) = storage.lifecycle.read_events(10)
    assert event.detail["context"]["user"] == "ana" and "s3cret" not in json.dumps(event.detail)
    assert "s3cret" not in json.dumps(control.jobs().jobs[0].context)


def test_a_call_s_other_words(huey, storage, tell):
    first, second, other = tell(1, queue="slow", unique="k"), tell(2, unique="k"), tell(2)
    assert first.id == second.id != other.id
    assert look(storage, first.id).job.queue == "slow"
    table = {
        "context": ["ana", ["ana"], {"at": object()}, {"text": "x" * 9000}],
        "queue": ["a b", "!x", 5],
        "unique": [5, ""],
    }
    for option, values in table.items():
        for wrong in values:
            with pytest.raises(errors.BadRequest, match=f"^{option} "):
                tell(**{option: wrong})
    run_all(huey)

    def own(context, queue=None):
        return context, queue

    handle = huey.task(name="own")(own)(context={"a": 1}, queue="q")
    assert list(run_next(huey)) == [{"a": 1}, "q"], "a function may have a context of its own"
    assert (context_of(storage, handle.id), look(storage, handle.id).job.queue) == ({}, "default")


# in the log


def test_log_lines_of_a_body_name_job_task_and_context(huey):
    lines, plain = [], []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(Json().format(record)))
            plain.append(Utc("%(message)s%(job_note)s").format(record))

    handler = Keep()
    handler.addFilter(JobFilter())
    logger = logging.getLogger("tests.context")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    result = huey.task(name="talk")(lambda: logger.info("hello"))(context={**ANA, "token": "s3cret"})
    run_next(huey)
    logger.info("outside")
    logger.removeHandler(handler)
    inside, outside = lines
    assert (inside["job_id"], inside["task"]) == (result.id, f"{__name__}.talk")
    assert inside["context"]["user"] == "ana" and "s3cret" not in json.dumps(inside)
    assert plain[0].startswith(f"hello (job {result.id}, {__name__}.talk, user=ana") and "s3cret" not in plain[0]
    assert "job_id" not in outside and plain[1] == "outside"


def test_a_json_line_holds_what_is_given_as_extra_without_its_secrets(huey):
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(Json(names=["token"]).format(record)))

    handler = Keep()
    handler.addFilter(JobFilter())
    logger = logging.getLogger("tests.context")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    extra = {
        "order": 7, "price": Decimal("1.5"), "token": "s3cret", "rest": {"access_token": "s3cret", "n": [1, {2}]},
        "odd": object, "nan": math.nan, "level": "mine", "task": "mine", "text": "said hunter22",
    }  # fmt: skip
    huey.task(name="talk")(lambda password: logger.info("hello", extra=extra))("hunter22")
    run_next(huey)
    logger.info("outside", extra=extra)
    logger.error("broken\nTraceback: token=s3cret", extra={"many_lines": True})
    logger.removeHandler(handler)
    inside, outside, broken = lines
    shown = {"order": 7, "price": "1.5", "token": MARKER, "rest": {"access_token": MARKER, "n": [1, [2]]}, "nan": "nan"}
    for line in (inside, outside):
        assert {name: line[name] for name in shown} == shown and line["level"] == "INFO"
        assert "object" in line["odd"] and "s3cret" not in json.dumps(line)
    assert (inside["task"], inside["text"]) == (f"{__name__}.talk", f"said {MARKER}")
    assert (outside["task"], outside["text"]) == ("mine", "said hunter22")
    assert (broken["message"], broken["traceback"]) == ("broken", f"Traceback: token={MARKER}")


def test_a_context_cannot_forge_a_log_line(huey):
    table = [
        ("ana", "user=ana"), ("José.Díaz@example.org", "user=José.Díaz@example.org"), (7, "user=7"),
        ({"id": 7}, 'user={"id": 7}'), ("ana, role=admin)", 'user="ana, role=admin)"'),
        ("ana\n2026-01-01T00:00:00.000Z INFO    duey: all is well", r'user="ana\n2026-'),
        ("ana\u2028\x85\x1b[31m", r'user="ana\u2028\x85\u001b[31m"'),
    ]  # fmt: skip

    @huey.task(name="talk")
    def talk():
        record = logging.makeLogRecord({"msg": "hello"})
        JobFilter().filter(record)
        return Utc(TEXT).format(record), Json().format(record)

    for value, shown in table:
        talk(context={"user": value, "line\nbreak": 1})
        text, as_json = run_next(huey)
        assert shown in text and r'"line\nbreak"=1)' in text and len(text.splitlines()) == 1, value
        assert json.loads(as_json)["context"]["user"] == value and len(as_json.splitlines()) == 1


# who asked for it


def test_who_asked_for_a_job_is_kept_with_it_and_told(huey, storage, control, tell, hand):
    made = control.enqueue(
        [JobRequest("tell"), JobRequest("tell", delay_s=60), JobRequest("tell", unique="k")], by="ci"
    )
    assert [each.by for each in made.jobs] == ["ci"] * 3
    assert {each.by for each in control.jobs().jobs} == {"ci"}
    assert {event.detail["by"] for event in storage.lifecycle.read_events(10)} == {"ci"}
    run_all(huey)
    first = made.jobs[0].id
    assert control.again(first, "ana").jobs[0].by == "ana"
    control.retry(first, args=[7])  # who retries it is in the audit
    assert control.job(first).by == "ci"
    nobody = tell()
    storage.enqueue_jobs([job("x", by="ci", priority=9)])
    assert look(storage, nobody.id).job.by is None and storage.lifecycle.read_events(99)[-2].detail["by"] is None
    assert hand.claim_one().job.by == "ci"


def test_a_list_is_filtered_by_who_asked(huey, control, tell):
    odd = 'b"\\",null]\n\u017e' + "x" * 5000
    for by in ("ci", odd, 'x,"ci', "i", None):
        control.enqueue([JobRequest("tell", args=["y" * 9000]), JobRequest("tell", delay_s=60)], by=by)
    run_next(huey)  # one of ci's
    for by in ("ci", odd, 'x,"ci', "i"):
        assert [each.by for each in control.jobs(by=by).jobs] == [by, by], by[:20]
        assert len(control.jobs(by=by, task="tell", limit=1).jobs) == 1
    counts = {state: len(control.jobs(state, by="ci").jobs) for state in ("done", "scheduled", "queued", "failed")}
    assert counts == {"done": 1, "scheduled": 1, "queued": 0, "failed": 0}
    assert [control.jobs(by=by).jobs for by in ("c", "CI", "", "null", '"ci"', "%")] == [()] * 6
    first = control.jobs(by="ci", limit=1)
    assert [each.by for each in control.jobs(by="ci", cursor=first.next).jobs] == ["ci"]


def test_what_a_job_brings_is_by_who_asked_for_that_job_and_a_slot_by_its_schedule(huey, storage, control, tell):
    def conduct():
        tell()
        huey.enqueue(tell.s().then(tell).then(tell))
        huey.enqueue(chord([tell.s("canceled", priority=-1), tell.s()], tell.s()))

    def asked_by(task):
        jobs = storage.list_jobs(None, None, None, 100, None)
        return [each.job.by for each in reversed(jobs) if each.job.task == f"{__name__}.{task}"]

    huey.task(name="conduct")(conduct)
    huey.task(name="failing", on_failed=lambda job, error: None)(lambda: 1 / 0)
    control.enqueue([JobRequest("conduct")], by="ci")
    control.enqueue([JobRequest("failing")], by="ana")
    run_all(huey)
    assert (asked_by("tell"), asked_by(f"failing{SUFFIX}")) == (["ci"] * 7, ["ana"])
    control.enqueue([JobRequest("conduct")], by="ana")
    for _ in range(6):
        run_next(huey)
    (last,) = control.jobs("queued").jobs
    assert last.args == ["canceled"]
    control.cancel(last.id)  # outside of any job, and it brings the callback to life
    run_all(huey)
    assert asked_by("tell") == ["ci"] * 7 + ["ana"] * 7
    control.schedules.make("nightly", ScheduleRequest("tell", cron="0 3 * * *"))
    ids = control.schedules.run_now("nightly", by="cli:ana"), control.schedules.run_now("nightly")
    assert [look(storage, each).job.by for each in ids] == ["cli:ana", "schedule:nightly"]


def test_the_callback_of_a_chord_keeps_a_context_of_its_own(huey, storage, tell):
    callback = tell.s(context={"user": "bo"})
    huey.enqueue(chord([tell.s(1), tell.s(2)], callback))
    run_all(huey)
    assert context_of(storage, callback.id) == {"user": "bo"}
