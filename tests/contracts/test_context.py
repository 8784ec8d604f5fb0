"""The context of a request: given at defer, it travels to the job, its children, its log lines and the history."""

from __future__ import annotations

import json
import logging

import pytest
from huey.api import chord

from duey import current_job, errors
from duey.control.service import Control
from duey.logs import TEXT, JobFilter, Json, Utc
from duey.model.job import JobRequest
from tests.contracts.rig import look, run_all, run_next
from tests.support import rows

ANA = {"user": "ana", "request_id": "r-7"}


def context_of(storage, job_id):
    found = look(storage, job_id).context
    return json.loads(found) if found else {}


@pytest.fixture
def tell(huey):
    """A task that answers with its context."""

    @huey.task()
    def tell(*args, **kwargs):
        return dict(current_job().context)

    return tell


def test_a_body_sees_the_context_of_its_call(huey, tell):
    tell(1, context=ANA)
    tell(1)
    assert run_all(huey) == [ANA, {}]


def test_a_request_brings_its_context(huey, tell):
    job = Control(huey).enqueue([JobRequest("tell", context=ANA)]).jobs[0]
    assert (job.context, run_next(huey)) == (ANA, ANA)
    assert Control(huey).job(job.id).context == ANA


def test_a_scheduled_call_and_one_in_a_group_keep_theirs(huey, storage, tell, later):
    handle = tell.schedule((1,), delay=5, context=ANA, queue="slow")
    assert (context_of(storage, handle.id), look(storage, handle.id).queue) == (ANA, "slow")
    later(6)
    assert run_next(huey) == ANA


def test_children_inherit_it_and_may_add_to_it(huey, storage, tell):
    @huey.task()
    def parent():
        tell()
        tell(context={"user": "ben", "step": 2})
        Control(huey).enqueue([JobRequest("tell")])

    parent(context=ANA)
    run_next(huey)
    assert run_all(huey) == [ANA, {**ANA, "user": "ben", "step": 2}, ANA]


def test_the_steps_of_a_pipeline_inherit_it(huey, tell):
    huey.enqueue(tell.s(1, context=ANA).then(tell).then(tell))
    assert run_all(huey) == [ANA] * 3


def test_a_chord_s_callback_inherits_it(huey, tell):
    huey.enqueue(chord([tell.s(1, context=ANA), tell.s(2, context=ANA)], tell.s()))
    assert run_all(huey) == [ANA] * 3


def test_a_callback_inherits_it_from_a_member_that_was_canceled(huey, storage, tell):
    result = huey.enqueue(chord([tell.s(1, context=ANA)], tell.s()))
    (member,) = storage.list_jobs(None, None, None, 10, None)
    storage.cancel(member.id)
    run_all(huey)
    assert result.get() == ANA


def test_a_handler_inherits_it(huey):
    seen = []

    @huey.task(on_failed=lambda job, error: seen.append((dict(job.context), dict(current_job().context))))
    def failing():
        raise ValueError

    failing(context=ANA)
    run_all(huey)
    assert seen == [(ANA, ANA)]


def test_nothing_is_inherited_once_the_body_is_over(huey, tell):
    tell(context=ANA)
    run_next(huey)
    tell()
    assert run_next(huey) == {}


def test_the_books_get_it_without_its_secrets(huey, storage, tell):
    tell(context={"user": "ana", "api_key": "s3cret"})
    (event,) = storage.read_events(10)
    assert event.detail["context"]["user"] == "ana"
    assert "s3cret" not in json.dumps(event.detail)
    (job,) = Control(huey).jobs().jobs
    assert "s3cret" not in json.dumps(job.context)


@rows("wrong", ["ana", ["ana"], {"at": object()}, {"text": "x" * 9000}])
def test_a_context_that_makes_no_sense_is_refused(tell, wrong):
    with pytest.raises(errors.BadRequest, match="context "):
        tell(context=wrong)


def test_a_function_may_have_a_context_of_its_own(huey, storage):
    @huey.task()
    def own(context, queue=None):
        return context, queue

    handle = own(context={"a": 1}, queue="q")
    run_next(huey)
    assert list(handle.get()) == [{"a": 1}, "q"]
    assert (context_of(storage, handle.id), look(storage, handle.id).queue) == ({}, "default")


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

    @huey.task()
    def talk():
        logger.info("hello")

    result = talk(context={**ANA, "token": "s3cret"})
    run_next(huey)
    logger.info("outside")
    logger.removeHandler(handler)
    inside, outside = lines
    assert (inside["job_id"], inside["task"]) == (result.id, f"{__name__}.talk")
    assert inside["context"]["user"] == "ana" and "s3cret" not in json.dumps(inside)
    assert "job_id" not in outside
    assert plain[0].startswith(f"hello (job {result.id}, {__name__}.talk, user=ana") and "s3cret" not in plain[0]
    assert plain[1] == "outside"


@rows(
    ("value", "shown"),
    [
        ("ana", "user=ana"),
        ("José.Díaz@example.org", "user=José.Díaz@example.org"),
        (7, "user=7"),
        ({"id": 7}, 'user={"id": 7}'),
        ("ana, role=admin)", 'user="ana, role=admin)"'),
        ("ana\n2026-01-01T00:00:00.000Z INFO    duey: all is well", r'user="ana\n2026-'),
        ("ana\u2028\x85\x1b[31m", r'user="ana\u2028\x85\u001b[31m"'),
    ],
)
def test_a_context_cannot_forge_a_log_line(huey, value, shown):
    records = []

    @huey.task(name=f"talk{hash(shown)}")
    def talk():
        record = logging.makeLogRecord({"msg": "hello"})
        JobFilter().filter(record)
        records.append(Utc(TEXT).format(record))
        records.append(Json().format(record))

    talk(context={"user": value, "line\nbreak": 1})
    run_next(huey)
    text, as_json = records
    assert shown in text and r'"line\nbreak"=1)' in text and len(text.splitlines()) == 1
    assert json.loads(as_json)["context"]["user"] == value and len(as_json.splitlines()) == 1


# the call's other words


def test_a_call_names_its_queue_and_its_key(huey, storage, tell):
    first, second, other = tell(1, queue="slow", unique="k"), tell(2, unique="k"), tell(2)
    assert first.id == second.id != other.id
    assert look(storage, first.id).queue == "slow"


@rows(("option", "wrong"), [("queue", "a b"), ("queue", "!x"), ("queue", 5), ("unique", 5), ("unique", "")])
def test_other_words_that_make_no_sense_are_refused(tell, option, wrong):
    with pytest.raises(errors.BadRequest, match=f"^{option} is "):
        tell(**{option: wrong})
