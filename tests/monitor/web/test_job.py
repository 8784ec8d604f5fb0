"""One job: what is told of it, and what can be done with it in which state."""

from __future__ import annotations

import json

import pytest

from duey.errors import FieldError
from duey.model.job import JobRequest
from duey.model.log_lines import AttemptLog
from duey.monitor.web.forms.inputs import Input
from duey.monitor.web.forms.typed import with_problems
from tests.contracts.rig import ended
from tests.monitor.web.client import Browser
from tests.monitor.web.world import World


def test_a_page_tells_what_is_to_be_known_of_a_job(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/jobs/failed-0")
    own, library = page.text.index("web/world.py:"), page.text.index("json/decoder.py&quot;")
    assert own < page.text.index("Whole traceback, 4 frames, 3 in libraries") < library, "its own frames come first"
    assert page.words.count("Expecting property name") == 2, "told once, and in the whole traceback"
    words = admin.get("/monitor/jobs/failed-9").words
    for call in (
        "from tasks import add add(1, b=2)", "duey enqueue add 1 b=2",
        "curl -X POST http://duey.localhost/api/jobs", """-d '{"task": "add", "args": [1], "kwargs": {"b": 2}}'""",
    ):  # fmt: skip
        assert call in words
    words = admin.get("/monitor/jobs/running-0").words
    assert "Runs for 6 min on worker" in words and "64 % · 41 200 of 64 000 rows" in words
    words = admin.get("/monitor/jobs/KeyError").words
    assert "opening the connection" in words and "From the history alone" in words


def test_only_a_long_error_stands_in_its_attempt_as_well(world: World, admin: Browser) -> None:
    for n, more in enumerate(("", "\nand a second line", " and so on" * 60)):
        world.enqueue("fail", f"long-{n}", f"as told{more}", priority=99)
        world.finish(world.begin())
        world.record()
        words = admin.get(f"/monitor/jobs/long-{n}").words.partition("Whole traceback")
        assert words[0].count("as told") == (2 if n == 2 else 1), more


def test_a_job_that_the_history_does_not_know_yet_is_shown(world: World, admin: Browser) -> None:
    world.enqueue("fail", "fresh", "as told", priority=99)
    assert "fail queued" in admin.get("/monitor/jobs/fresh").words
    world.finish(world.begin())
    assert "RuntimeError as told" in admin.get("/monitor/jobs/fresh").words


def test_who_paused_its_task_is_told(world: World, admin: Browser) -> None:
    assert "The task import_csv is paused." in admin.get("/monitor/jobs/blocked-0").words
    admin.post("/monitor/tasks/import_csv/resume")
    admin.post("/monitor/tasks/import_csv/pause")
    while world.control.counts().blocked < 3:
        world.huey.dequeue()
    assert "The task import_csv is paused, by ana now" in admin.get("/monitor/jobs/blocked-0").words


def test_each_verb_holds_only_for_the_state_that_was_shown(world: World, admin: Browser) -> None:
    world.enqueue("add", "fresh", 1, 1, priority=99)

    def said(verb: str, job_id: str = "fresh") -> str:
        return admin.follow(admin.post(f"/monitor/jobs/{job_id}/{verb}", {"sure": "1"})).words

    assert "Queued now, before its time." in said("run", "scheduled-0") and world.state("scheduled-0") == "queued"
    assert "It is queued already: nothing was changed." in said("run", "scheduled-0")
    world.control.cancel("scheduled-0")
    world.begin()
    assert "It runs already: nothing was changed." in said("cancel?was=queued")
    assert "Asked to stop" in said("cancel?was=running")
    world.finish("fresh")
    assert "It is done already: nothing was changed." in said("cancel", "fresh")
    assert "Queued again." in said("retry?was=failed", "failed-0")
    assert world.state("failed-0") == "queued"
    assert "It is queued already: nothing was changed." in said("retry?was=failed", "failed-0")
    assert "It is queued already: nothing was changed." in said("delete", "queued-1")
    for verb in ("retry", "again"):
        assert "its exact arguments are no longer kept" in said(verb, "KeyError")
    assert "Delete job failed-1?" in admin.post("/monitor/jobs/failed-1/delete?was=failed").words
    said("delete?was=failed", "failed-1")
    assert admin.get("/monitor/jobs/failed-1").status == 404, "it is gone from both"


def test_retry_with_edited_arguments(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/jobs/failed-9")
    assert 'name="a:0" value="1"' in page.text and 'name="k:b" value="2"' in page.text
    before = world.control.job("failed-9")
    for typed, problem in (('"two"', "expected an integer"), ("[1", "expected JSON for int")):
        answer = admin.post("/monitor/jobs/failed-9/retry", {"edit": "1", "a:0": "1", "k:b": typed})
        assert answer.status == 422 and problem in answer.words
        assert f'value="{typed.replace(chr(34), "&quot;")}"' in answer.text, "what was typed is kept"
    assert world.control.job("failed-9") == before
    answer = admin.post("/monitor/jobs/failed-9/retry", {"edit": "1", "a:0": "1", "k:b": "40"})
    assert "with the edited arguments" in admin.follow(answer).words
    assert (world.control.job("failed-9").args, world.control.job("failed-9").kwargs) == ([1], {"b": 40})


def test_what_is_hidden_and_not_touched_stays_as_it_was(world: World, admin: Browser) -> None:
    assert "what is [redacted] here is kept where it stays" in admin.get("/monitor/jobs/failed-0").words
    answer = admin.post("/monitor/jobs/failed-0/retry", {"edit": "1", "a:1": '{"token": "[redacted]"}'})
    assert answer.status == 422 and "it holds the mark of a hidden value where none was hidden" in answer.words
    form = {"edit": "1", "a:1": '{\r\n  "order": 5\r\n}', "k:secret": "[redacted]", "k:headers": '{"X": "1"}'}
    for job_id, edit, order, kwargs in (
        ("failed-0", form, 5, {"secret": "hidden", "headers": {"X": "1"}}),
        ("failed-1", {"edit": "1", "k:headers": ""}, 1, {"secret": "hidden"}),
    ):
        answer = admin.post(f"/monitor/jobs/{job_id}/retry?was=failed", edit)
        assert "with the edited arguments" in admin.follow(answer).words
        stored = world.huey.storage.get_job(job_id)
        assert stored is not None
        call = world.huey.deserialize_task(stored.job.payload)
        assert (call.args[1], call.kwargs) == ({"order": order}, kwargs)


def test_a_problem_stands_at_its_own_field_alone() -> None:
    shown, left = with_problems(
        [Input("k:to", "to", "int", "json", path="kwargs.to"), Input("k:total", "total", "int", "json")],
        [FieldError("kwargs.total", "odd"), FieldError("kwargs.to[3].x", "deep"), FieldError("kwargs.tot", "other")],
    )
    assert [each.problem for each in shown] == ["deep", "odd"] and left == ["kwargs.tot: other"]


def test_run_again_makes_a_new_job_of_who_asked(world: World, admin: Browser) -> None:
    made = admin.post("/monitor/jobs/failed-9/again").headers["location"].rpartition("/")[2]
    job = world.control.job(made)
    assert (job.args, job.kwargs, job.state, job.by) == ([1], {"b": 2}, "queued", "ana")
    assert made != "failed-9" and world.state("failed-9") == "failed"
    page = admin.get(f"/monitor/jobs/{made}")
    assert 'href="/monitor/jobs?q=by%3Aana"' in page.text
    assert admin.get(f"/monitor/jobs/{made}.json").json["job"]["by"] == "ana"
    while made not in world.running:
        world.begin()
    for who, found in (("ana", [made]), ("nobody", [])):
        listed = admin.get("/monitor/jobs.json", state="running", q=f"by:{who}").json["jobs"]
        assert [each["job"]["id"] for each in listed] == found


def test_what_holds_the_unique_key_is_shown_instead(world: World, admin: Browser) -> None:
    world.control.enqueue([JobRequest("once", (2,), id="first", priority=99)])
    world.finish(world.begin())
    world.control.enqueue([JobRequest("once", (2,), id="holder")])
    lines = len(world.access.audit.page(limit=500))
    for path, form in (("jobs/first/again", {}), ("tasks/once/run", {"p:n": "2"})):
        answer = admin.post(f"/monitor/{path}", form)
        assert answer.headers["location"].endswith("holder")
        assert "unique key" in admin.follow(answer).words
    assert len(world.access.audit.page(limit=500)) == lines


@pytest.mark.parametrize("name", ["a.json", "b.html", "c/d", "e%2Ff", "ü?#"])
def test_an_id_that_ends_like_a_format_has_a_page(world: World, admin: Browser, name: str) -> None:
    world.enqueue("add", name, 1, 1)
    address = world.site.services.links.job(name)
    assert admin.get(address).status == 200
    assert admin.get(address.removesuffix(".html") + ".json").json["job"]["id"] == name


def test_a_failed_job_shows_the_runbook_of_its_task_and_what_differs_from_the_last_success(
    world: World, admin: Browser
) -> None:
    for id, values in (("good", (0, 2)), ("bad", (1, 2))):
        world.enqueue("add", id, *values, priority=99)
        world.finish(world.begin())
    world.record()
    assert "Since the last success" not in admin.get("/monitor/jobs/good").words
    words = admin.get("/monitor/jobs/bad").words
    assert "When it fails Look at the numbers." in words
    assert "Since the last success The last one that was done" in words and "argument a 1 0" in words
    assert "When it fails Look at the numbers." in admin.get("/monitor/errors").words
    assert admin.get("/monitor/jobs/bad.json").json["runbook"] == "Look at the numbers."


def test_the_log_of_a_running_job_is_on_its_page_and_of_a_long_one_what_is_not_shown(
    world: World, admin: Browser
) -> None:
    token = world.running["running-1"].claim.token
    lines = [(n, 100.0 + n, "INFO", f"<b>line {n}</b>") for n in range(300)]
    world.huey.storage.put_logs({token: [*lines, (400, 500.0, "WARNING", "the last")]})
    for page in (admin.get("/monitor/jobs/running-1"), admin.get("/monitor/jobs/running-1?fragment=log")):
        assert "line 299" in page.words and "100 lines left out" in page.words and "the last" in page.words
        assert "<b>line" not in page.text and "102 lines not shown here" in page.words
    assert admin.get("/monitor/jobs/running-1.json").json["log"][-1]["text"] == "the last"
    kept = admin.get("/monitor/jobs/running-1?download=log")
    assert kept.headers["content-disposition"] == 'attachment; filename="running-1.log"'
    assert kept.text.count("\n") == 302 and "<b>line 0</b>" in kept.text
    log = AttemptLog(token)
    for n in range(1500):
        log.add(100.0 + n, "INFO", f"line {n}")
    claim = world.running["running-1"].claim
    world.huey.storage.settle_and_claim(token >> 32, [ended(claim, detail=json.dumps({"logs": log.lines()}))], 0, ())
    world.record()
    page = admin.get("/monitor/jobs/running-1")
    assert "line 99" in page.words and "1 300 lines not shown here" in page.words and "line 1499" in page.words
    assert "Download all lines that are kept" in page.words
    assert "500 lines left out" in admin.get("/monitor/jobs/running-1?download=log").text
    assert admin.get("/monitor/jobs/KeyError?fragment=log").status == 200


def test_a_running_job_says_what_is_usual_that_it_was_asked_to_stop_and_where_it_stands(
    world: World, admin: Browser
) -> None:
    page = admin.get("/monitor/jobs/running-0")
    assert "on worker 3 (atlas, pid 99994121), attempt 1. The p95 of its task in a week is" in page.words
    assert "\u00d7 usual" in page.words and "started +1.0 s" in page.words
    assert "rows reported" in page.words and "2 s ago" in page.words
    admin.post("/monitor/jobs/running-0/cancel?was=running")
    page = admin.get("/monitor/jobs/running-0")
    assert "Asked to stop by ana, now" in page.words and "A thread cannot be stopped from outside" in page.words
    assert "asked to stop +6 min now , by ana" in page.words
    data = admin.get("/monitor/jobs/running-0.json").json
    assert data["asked_to_stop"] and [each["kind"] for each in data["timeline"]] == ["asked", "started", "enqueued"]
    storage, token = world.huey.storage, world.running["running-0"].claim.token
    answer = admin.follow(admin.post("/monitor/jobs/running-0/stack"))
    assert "Its worker was asked where it stands" in answer.words and storage.stack_asked(token >> 32) == token
    storage.put_stack(
        token, 'Traceback (most recent call last):\n  File "/srv/tasks.py", line 7, in crunch\n    go()\n'
    )
    for part in ("", "?fragment=log"):
        assert "Where it stands" in admin.get(f"/monitor/jobs/running-0{part}").words
        assert "/srv/tasks.py:7 in crunch go()" in admin.get(f"/monitor/jobs/running-0{part}").words
    viewer = world.browser("vera")
    assert "crunch" not in viewer.get("/monitor/jobs/running-0").words
    assert viewer.post("/monitor/jobs/running-0/stack").status == 403
    assert "nothing was changed" in admin.follow(admin.post("/monitor/jobs/failed-0/stack")).words


def test_what_an_attempt_used_stands_beside_what_is_usual(world: World, admin: Browser) -> None:
    for n in range(30):
        world.enqueue("add", f"used-{n}", 1, 1, priority=99)
        claim = world.running.pop(world.begin()).claim
        detail = json.dumps({"usage": [1200.0, (300 if n == 29 else 60) * 1_000_000]})
        world.huey.storage.settle_and_claim(claim.token >> 32, [ended(claim, detail=detail)], 0, ())
    world.record()
    assert "1.2 s of processor, at most 300 MB of memory: 5.0\u00d7 usual" in admin.get("/monitor/jobs/used-29").words
    words = admin.get("/monitor/jobs/used-0").words
    assert "1.2 s of processor, at most 60.0 MB of memory" in words and "\u00d7 usual" not in words
    assert admin.get("/monitor/tasks.json", sort="memory").json["tasks"][0]["task"] == "add"
    words = admin.get("/monitor/tasks").words
    assert "Total time Memory" in words and "300 MB" in words
    words = admin.get("/monitor/tasks/add").words
    assert "Memory, p95 60.0 MB at most 300 MB" in words and "unusual" in words
    assert "Largest of the last 30 measured attempts 300 MB" in words
    assert admin.get("/monitor/tasks/add.json").json["used"]["cpu_max_ms"] == 1200.0
