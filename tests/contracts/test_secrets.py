"""A job's hidden values stand in nothing that is made of the job: for people, for the history, for the log."""

from __future__ import annotations

import io
import json
import logging
from contextlib import contextmanager

from huey.api import chord

from duey import Discard, Retry, progress
from duey.control.service import Control
from duey.execution.body.job_log import job_log_handler
from duey.logs import JobFilter, formatter
from duey.model.job import JobRequest
from tests.contracts.rig import look, run_all, run_next
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])
SECRET = 'hunter2-Ä/\n"x'
FORMS = [SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], json.dumps(repr(SECRET)[1:-1])[1:-1], "hunter2"]
logger = logging.getLogger("tests.secrets")


def tells(text, *more):
    """Whether the secret stands in it in any form."""
    return any(form in str(text) or form in str(text).replace("\\\\", "\\") for form in (*FORMS, *more))


@contextmanager
def log_file(make_settings, form):
    """What the process writes into its log."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(JobFilter())
    handler.setFormatter(formatter(make_settings(log_format=form)))
    for each in (handler, job_log_handler):
        logging.getLogger().addHandler(each)
    for name in ("tests.secrets", "huey"):
        logging.getLogger(name).setLevel(logging.INFO)
    yield written
    for each in (handler, job_log_handler):
        logging.getLogger().removeHandler(each)


def bodies():
    """What a body may do with a secret, by name; each answers what the job comes to."""

    def raises(password):
        raise ValueError(f"login with {password} failed") from KeyError(password)

    def logs(password):
        try:
            raise ValueError(password)
        except ValueError:
            logger.exception("it was %r, %s", password, {"dsn": password})

    def says(password):
        progress(1, 2, f"with {password}" + "." * 190)

    def returns(password):
        return {"echo": [password, f"https://x/?key={password}"]}

    def discards(password):
        raise Discard(f"no such user: {password}")

    def retries(password):
        raise Retry(60, f"not yet for {password}")

    def exits(password):
        raise SystemExit(f"bye {password}")

    def takes_it_out(password):
        password = dict(password).popitem()[1]
        raise ValueError(f"gone: {password}")

    return raises, logs, says, returns, discards, retries, exits, takes_it_out


def test_a_hidden_value_stands_in_nothing_that_is_made_of_the_job(huey, storage, make_settings):
    control = Control(huey)
    for body in bodies():
        name = body.__name__
        task = huey.task()(body)
        password = {"a": SECRET} if name == "takes_it_out" else SECRET
        for form in ("text", "json"):
            with log_file(make_settings, form) as written:
                context = {"session": "tied-to-it", "note": SECRET}
                given = control.enqueue([JobRequest(name, [password], context=context)]).jobs[0]
                task("none", queue="other")  # a job without it beside
                run_all(huey)
                job, stored = control.job(given.id), look(storage, given.id)
                made = {
                    "answer": given, "job": job, "list": control.jobs().jobs,
                    "events": storage.lifecycle.read_events(1000),
                    "progress": storage.progress_of(stored.job.seq), "log": written.getvalue(),
                }  # fmt: skip
            if name != "returns":
                made["result"] = stored.result
            for where, text in made.items():
                assert not tells(text, "tied-to-it"), f"the secret stands in the {where} after {name} ({form})"
            assert "[redacted]" in str(job)
            if name == "returns":  # who waits for the result gets it as it is
                assert huey.result(job.id) == {"echo": [SECRET, f"https://x/?key={SECRET}"]}
                (done,) = [e for e in made["events"] if e.job_id == job.id and e.kind == "done"]
                assert done.result["echo"][0] == "[redacted]"


def test_a_result_is_masked_wherever_it_contains_a_hidden_value(huey, storage, monkeypatch):
    """And only then is a mask made for it, which costs more than a small job."""

    @huey.task()
    def give(password=None, options=None, give=None):
        if isinstance(options, dict):
            options.clear()  # what the body changes was hidden all the same
        return give

    texts = {
        "as it is": ("correct horse", "it was correct horse"), "a key": ("hunter2", {"hunter2": 1}),
        "in a URL": ("correct horse", "/?p=correct%20horse"), "in a form": ("correct horse", "p=correct+horse"),
        "in JSON": ('hunter"2"', '{"p": "hunter\\"2\\""}'), "in a repr": ("a\\hunter2", repr("a\\hunter2")),
        "a number": (1234567, [1234567]), "a number in a text": (-12.34567, "-12.34567"),
        "deep": ("hunter2", [["hunter2"]]),
        "not ASCII": ("šđčćžšđ", "it was šđčćžšđ"), "no run": ("a b c d", "a b c d"),
        "a line": ("one\nsecond", "second"),
        "a list": (["hunter2", "second"], "second"), "bytes": (b"hunter2", "hunter2"),
    }  # fmt: skip
    calls = {name: give.s(secret, give=text) for name, (secret, text) in texts.items()}
    calls["by name"] = give.s(password="hunter2", give=["hunter2"])
    calls["in an argument"] = give.s(options={"name": "ana", "token": ["hunter2"]}, give="hunter2")
    calls["in the context"] = give.s(give="hunter2", context={"session": "hunter2"})
    for name, call in calls.items():
        handle = huey.enqueue(call)
        run_next(huey)
        (done,) = [
            each for each in storage.lifecycle.read_events(200) if each.job_id == handle.id and each.kind == "done"
        ]
        assert "[redacted]" in str(done.result), name
        assert not any(form in str(done.result) for form in ("hunter2", "second", "correct", "1234567")), name
    monkeypatch.setattr(huey.display, "mask", None)
    given = {"count": 3, "user": "ana", "texts": ["hunt", "correct"], "none": None}
    for call in (give.s("hunter2", give=given), give.s(options={"token": "hunter2", "n": [1, 2.5]}, give=given)):
        assert huey.enqueue(call) and run_next(huey) == given


def test_what_hears_of_a_job_or_its_failure_does_not_tell_the_secret(huey, storage, make_settings):
    """The handler, its own error, the chord's callback, the event of each; hooks and receivers that fail."""
    told = []

    def handler(job, error):
        told.append((job.args, str(error)))
        raise ValueError(f"cannot tell {job.args}")

    @huey.task(on_failed=handler)
    def failing(password):
        raise ValueError(password)

    together = huey.task(name="together")(lambda parts: told.append(([], repr(parts))))
    huey.enqueue(chord([failing.s(SECRET)], together.s()))
    run_all(huey)
    assert [args for args, _ in told if args] == [[SECRET]]  # the handler works with the arguments as they are
    assert len(told) == 2
    for text in (*(error for _, error in told), storage.lifecycle.read_events(100), Control(huey).jobs().jobs):
        assert not tells(text)

    def tell(*given):
        task = next(each for each in given if hasattr(each, "args"))
        raise ValueError(f"cannot tell {task.args[0]}")

    huey.pre_execute()(tell), huey.post_execute()(tell), huey.signal()(tell)
    work = huey.task(name="work")(lambda password: None)
    for form in ("text", "json"):
        with log_file(make_settings, form) as written:
            work(SECRET)
            run_all(huey)
            logger.warning("cannot reach redis://:hunter2@host/0, password=hunter2")  # outside of a job
        assert written.getvalue().count("cannot tell [redacted]") >= 4 and not tells(written.getvalue()), form
        assert "cannot reach redis://" in written.getvalue()


def test_a_secret_that_stands_at_a_cut_is_not_cut_open(huey):
    def fail(password):
        raise ValueError("x" * 4090 + password)

    handle = huey.task(name="fail")(fail)("hunter2hunter2")
    run_next(huey)
    assert "hunt" not in str(Control(huey).job(handle.id).error)
