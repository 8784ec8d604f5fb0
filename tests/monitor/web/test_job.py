"""One job: what is told of it, and what can be done with it in which state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from duey.errors import FieldError
from duey.model.job import Edit, EnqueueAnswer, Failure
from duey.monitor.web.forms.inputs import Input
from duey.monitor.web.forms.typed import with_problems
from tests.monitor.web.client import Browser
from tests.monitor.web.test_permissions import job_with
from tests.monitor.web.world import World


def test_a_failed_job_shows_its_own_frames_before_the_whole(world: World, admin: Browser) -> None:
    text = admin.get(f"/monitor/jobs/{job_with(world, 'failed')}").text
    own, library = text.index("duey/recipes/webhook.py:61"), text.index("site-packages/urllib3")
    assert own < text.index("Whole traceback, 5 frames, 3 in libraries") < library
    assert "opening the connection" in text


def test_the_call_as_people_would_make_it(world: World, admin: Browser) -> None:
    job = replace(
        world.control.all[job_with(world, "failed")], task="add", qualname="tasks.add", args=[1], kwargs={"b": "x y"}
    )
    world.control.all[job.id] = job
    words = admin.get(f"/monitor/jobs/{job.id}").words
    assert "from tasks import add add(1, b='x y')" in words
    assert "duey enqueue add 1 'b=\"x y\"'" in words
    assert "curl -X POST http://duey.localhost/api/jobs" in words
    assert """-d '{"task": "add", "args": [1], "kwargs": {"b": "x y"}}'""" in words


def test_a_running_job_shows_its_progress(world: World, admin: Browser) -> None:
    job = next(job for job in world.control.all.values() if job.progress)
    words = admin.get(f"/monitor/jobs/{job.id}").words
    assert "Runs for 6 min on worker 1" in words and "64 % · 41 200 of 64 000 rows" in words


def test_who_paused_it_is_told(world: World, admin: Browser) -> None:
    job = next(job for job in world.control.all.values() if job.reason == "task tasks.import_csv")
    assert "The task import_csv is paused." in admin.get(f"/monitor/jobs/{job.id}").words
    admin.post("/monitor/tasks/import_csv/resume")
    admin.post("/monitor/tasks/import_csv/pause")
    assert "The task import_csv is paused, by ana now" in admin.get(f"/monitor/jobs/{job.id}").words


def test_retry_and_retry_again(world: World, admin: Browser) -> None:
    job = job_with(world, "failed")
    answer = admin.post(f"/monitor/jobs/{job}/retry?was=failed")
    assert "Queued again." in admin.follow(answer).words
    assert world.control.all[job].state == "queued"
    again = admin.post(f"/monitor/jobs/{job}/retry?was=failed")
    assert "It is queued already: nothing was changed." in admin.follow(again).words


def test_cancel_is_conditional_on_the_state_that_was_shown(world: World, admin: Browser) -> None:
    job = job_with(world, "queued")
    world.control.start(job)
    answer = admin.post(f"/monitor/jobs/{job}/cancel?was=queued")
    assert "It runs already: nothing was changed." in admin.follow(answer).words
    asked = admin.post(f"/monitor/jobs/{job}/cancel?was=running")
    assert "Asked to stop" in admin.follow(asked).words


def test_a_conflict_is_an_answer_and_no_error_page(world: World, admin: Browser) -> None:
    job = job_with(world, "failed")
    world.control.finish(job)
    answer = admin.post(f"/monitor/jobs/{job}/cancel")
    assert answer.status == 303
    assert "It is done already: nothing was changed." in admin.follow(answer).words


def test_retry_with_edited_arguments(world: World, admin: Browser) -> None:
    job = replace(
        world.control.all[job_with(world, "failed")], task="add", qualname="tasks.add", args=[1], kwargs={"b": 2}
    )
    world.control.all[job.id] = job
    page = admin.get(f"/monitor/jobs/{job.id}")
    assert 'name="a:0" value="1"' in page.text and 'name="k:b" value="2"' in page.text
    answer = admin.post(f"/monitor/jobs/{job.id}/retry", {"edit": "1", "a:0": "1", "k:b": "40"})
    assert "with the edited arguments" in admin.follow(answer).words
    assert (world.control.all[job.id].args, world.control.all[job.id].kwargs) == ([1], {"b": 40})


def test_refused_arguments_are_told_at_their_field_and_kept(world: World, admin: Browser) -> None:
    job = replace(
        world.control.all[job_with(world, "failed")], task="add", qualname="tasks.add", args=[1], kwargs={"b": 2}
    )
    world.control.all[job.id] = job
    answer = admin.post(f"/monitor/jobs/{job.id}/retry", {"edit": "1", "a:0": "1", "k:b": '"two"'})
    assert answer.status == 422
    assert 'value="&quot;two&quot;"' in answer.text and "expected int" in answer.words
    broken = admin.post(f"/monitor/jobs/{job.id}/retry", {"edit": "1", "a:0": "[1", "k:b": "2"})
    assert broken.status == 422 and "expected JSON for int" in broken.words
    assert world.control.all[job.id] == job


def test_what_is_not_touched_is_left_to_the_engine(world: World, admin: Browser, monkeypatch) -> None:
    job = next(job for job in world.control.all.values() if job.state == "failed" and job.task == "deliver_webhook")
    job = replace(job, args=["https://a.test/", {"x": 1}], kwargs={"secret": "[redacted]", "headers": {}, "n": 1})
    world.control.all[job.id] = job
    asked: list[tuple[Edit, str]] = []
    monkeypatch.setattr(world.control, "retry", lambda job_id, edit, was: asked.append((edit, was)))
    page = admin.get(f"/monitor/jobs/{job.id}")
    assert "what is [redacted] here is kept where it stays" in page.words
    form = {"edit": "1", "a:1": '{\r\n  "x": 1\r\n}', "k:secret": "[redacted]", "k:headers": '{"X": "1"}', "k:n": ""}
    said = admin.follow(admin.post(f"/monitor/jobs/{job.id}/retry?was=failed", form)).words
    assert asked == [(Edit({}, {"headers": {"X": "1"}}, ("n",)), "failed")]
    assert "with the edited arguments" in said


def test_a_mark_that_means_nothing_is_told_at_its_field(world: World, admin: Browser) -> None:
    job = next(job for job in world.control.all.values() if job.state == "failed" and job.task == "deliver_webhook")
    form = {"edit": "1", "a:1": '{"token": "[redacted]"}'}
    answer = admin.post(f"/monitor/jobs/{job.id}/retry", form)
    assert answer.status == 422 and "it holds the mark of a hidden value where none was hidden" in answer.words
    assert world.control.all[job.id] == job


def test_a_problem_stands_at_its_own_field_alone(world: World, admin: Browser) -> None:
    shown, left = with_problems(
        [Input("k:to", "to", "int", "json", path="kwargs.to"), Input("k:total", "total", "int", "json")],
        [FieldError("kwargs.total", "odd"), FieldError("kwargs.to[3].x", "deep"), FieldError("kwargs.tot", "other")],
    )
    assert [each.problem for each in shown] == ["deep", "odd"] and left == ["kwargs.tot: other"]


def test_a_page_says_who_asked_and_leads_to_all_of_that(world: World, admin: Browser) -> None:
    admin.post("/monitor/tasks/add/run", {"p:a": "1", "p:b": "2"})
    job = next(iter(world.control.jobs("queued").jobs))
    assert job.by == "ana"
    page = admin.get(f"/monitor/jobs/{job.id}")
    assert 'href="/monitor/jobs?q=by%3Aana"' in page.text
    assert admin.get(f"/monitor/jobs/{job.id}.json").json["job"]["by"] == "ana"
    world.control.start(job.id)
    for who, found in (("ana", [job.id]), ("nobody", [])):
        page = admin.get("/monitor/jobs.json", state="running", q=f"by:{who}")
        assert [each["job"]["id"] for each in page.json["jobs"]] == found


def test_run_again_makes_a_new_job(world: World, admin: Browser) -> None:
    job = replace(
        world.control.all[job_with(world, "failed")], task="add", qualname="tasks.add", args=[1], kwargs={"b": 2}
    )
    world.control.all[job.id] = job
    answer = admin.post(f"/monitor/jobs/{job.id}/again")
    made = world.control.all[answer.headers["location"].rpartition("/")[2]]
    assert made.id != job.id and (made.args, made.kwargs, made.state) == ([1], {"b": 2}, "queued")
    assert world.control.all[job.id] == job


def test_what_holds_the_unique_key_is_shown_instead(world: World, admin: Browser, monkeypatch) -> None:
    holder = world.control.all[job_with(world, "queued")]
    enqueued = EnqueueAnswer((holder,), held=True)
    monkeypatch.setattr(world.control, "again", lambda job_id, by: enqueued)
    monkeypatch.setattr(world.control, "enqueue", lambda requests, by: enqueued)
    lines = len(world.access.audit.page(limit=500))
    for path, form in ((f"jobs/{job_with(world, 'failed')}/again", {}), ("tasks/add/run", {"p:a": "1", "p:b": "2"})):
        answer = admin.post(f"/monitor/{path}", form)
        assert answer.headers["location"].endswith(holder.id)
        assert "unique key" in admin.follow(answer).words
    assert len(world.access.audit.page(limit=500)) == lines


@pytest.mark.parametrize("verb", ["retry", "again"])
def test_what_the_engine_has_let_go_is_refused_in_words(world: World, admin: Browser, verb: str) -> None:
    job = job_with(world, "failed")
    del world.control.all[job]
    assert "From the history alone" in admin.get(f"/monitor/jobs/{job}").words
    answer = admin.post(f"/monitor/jobs/{job}/{verb}")
    assert "its exact arguments are no longer kept" in admin.follow(answer).words


@pytest.mark.parametrize("more", ["", "\nand a second line", " and so on" * 60], ids=["short", "lines", "long"])
def test_an_error_is_told_once_unless_the_head_cannot_hold_it(world: World, admin: Browser, more: str) -> None:
    job = job_with(world, "failed")
    past = world.history.job_history(job)
    error = replace(past.attempts[0].error, message=f"it said so{more}")
    attempts = (replace(past.attempts[0], error=error), *past.attempts[1:])
    world.control.all[job] = replace(world.control.all[job], error=error)
    world.history.job_history = lambda job_id: replace(past, attempts=attempts)  # type: ignore[method-assign]
    words = admin.get(f"/monitor/jobs/{job}").words
    assert words.count("it said so") == (2 if more else 1)


def test_a_job_that_the_books_do_not_know_yet_is_shown(world: World, admin: Browser) -> None:
    job = replace(world.control.all[job_with(world, "failed")], id="fresh", error=Failure("KeyError", "'x'", ""))
    world.control.all["fresh"] = job
    assert "KeyError" in admin.get("/monitor/jobs/fresh").words


def test_delete_takes_an_ended_job_out_of_both(world: World, admin: Browser) -> None:
    job = job_with(world, "failed")
    forgotten: list[tuple[str, str]] = []
    world.control.forget = lambda *asked: forgotten.append(asked)  # type: ignore[method-assign]
    admin.follow(admin.post(f"/monitor/jobs/{job}/delete?was=failed"))
    assert forgotten == [(job, "failed")] and job not in [row.job.id for row in world.history.rows]
