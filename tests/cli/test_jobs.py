"""`duey jobs`, `job`, `errors` and the other lists, as text and as JSON; `retry`, `cancel`, `delete` of many."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from duey.api.views import VIEWS
from duey.model.job import STATES
from duey.monitor.web import listing
from tests.cli.conftest import Run
from tests.monitor.conftest import Clock
from tests.monitor.web.world import World
from tests.support import rows

LISTS = [
    ("jobs", "jobs", "Job"), ("errors", "errors", "ErrorGroup"), ("tasks", "tasks", "Task"),
    ("queues", "queues", "Queue"), ("workers", "workers", "Worker"), ("schedules", "schedules", "Schedule"),
]  # fmt: skip
FILTERS = [
    ("jobs --state failed --task add", ["failed-29", "failed-19", "failed-9"]),
    ("jobs --state blocked", ["unknown", "blocked-1", "blocked-0"]),
    ("jobs --state running --task once", ["running-3"]),
    ("jobs --search queued-1", ["queued-1"]),
    ("jobs --search args.to:ana@ state:scheduled", ["scheduled-0"]),
    ("jobs --search OverflowError", []),
    ("jobs --search error:OverflowError --limit 1", ["failed-29"]),
    ("jobs --since 1s --queue slow", []),
]  # fmt: skip
REFUSED = [
    ("jobs --since soon", 1, "since: expected a length such as 90s"),
    ("jobs --cursor x", 1, "the cursor is not valid"),
    ("jobs --state gone", 2, "usage:"),
    ("jobs --limit 0", 2, "expected a whole number from 1, found '0'"),
    ("job no-such-job", 1, "no job has the id 'no-such-job'"),
    ("errors no-such-error", 1, "no error has the id 'no-such-error'"),
    ("errors --fix", 2, "expected the id of an error"),
    ("retry", 2, "expected ids of jobs, or a filter"),
    ("retry failed-0 --state failed", 2, "found both"),
    ("retry --task add", 1, "Retry these jobs: 3 failed, 1 canceled? Nobody can be asked here,"),
    ("delete failed-0", 1, "Nobody can be asked here"),
    ("retry --task add --state canceled --since 1s --yes", 1, "no job matches that is canceled: nothing was changed"),
]  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output, as a terminal of 80 columns. Not a fixture: pytest replaces what one has set."""
    made = Terminal()
    monkeypatch.setattr("sys.stdout", made)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return made


@rows("command, key, view", LISTS)
def test_each_list_is_that_of_the_api(run, command, key, view):
    status, out, err = run(command, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "") and found[key], "there are some"
    assert all(each.keys() == VIEWS[view].schema["properties"].keys() for each in found[key])
    assert found.keys() - {"next"} == {key}
    lines = list(csv.DictReader(io.StringIO(run(command, "--csv")[1])))
    assert len(lines) == len(found[key]) and {*lines[0], "error"} >= found[key][0].keys()
    plain = run(command)[1]
    assert len(plain.splitlines()) == len(found[key]) and "\t" in plain, "a line for each, for other programs"


PEOPLE = [
    ("user list", "users", 2), ("user sessions ana", "sessions", 1), ("token list", "tokens", 2),
    ("alerts list", "incidents", 3),
]  # fmt: skip


def test_accounts_tokens_and_incidents_are_listed_too(run: Run, world: World, monkeypatch: pytest.MonkeyPatch):
    world.browser("ana")
    world.access.tokens.create("ci", ["read"])
    world.access.tokens.create("old", ["read", "enqueue"])
    world.access.tokens.rotate("old", 3600.0, None)
    for command, key, count in PEOPLE:
        found = json.loads(run(*command.split(" "), "--json")[1])
        assert len(found[key]) == count and all(name.islower() for name in found[key][0]), command
    assert found.keys() == {"incidents", "next", "channels"}
    world.access.audit.record("ana", "web", "", "cancel", "x")
    (line,) = json.loads(run("audit", "--json", "--limit", "1")[1])["audit"]
    assert (line["who"], line["action"]) == ("ana", "cancel")
    assert "pass" not in run("user", "list", "--json")[1] and "duy_" not in run("token", "list", "--json")[1]
    terminal = on_terminal(monkeypatch)
    assert [run(*command.split(" "))[0] for command, _, _ in PEOPLE] == [0, 0, 0, 0]
    assert all(title in terminal.getvalue() for title in ("ACCOUNT ", "BROWSER", "TOKEN ", "WHAT"))


@rows("command, ids", FILTERS)
def test_jobs_are_filtered_as_on_their_page(run, command, ids):
    status, out, err = run(*command.split(" "))
    assert status == 0, err
    assert [line.partition("\t")[0] for line in out.splitlines()] == ids


@rows("command, status, sentence", REFUSED)
def test_what_is_refused_changes_nothing(run, command, status, sentence):
    found, out, err = run(*command.split(" "))
    assert (found, out) == (status, "") and sentence in err and (status == 2 or err.count("\n") == 1), (found, out, err)


def test_more_than_a_page_is_read_in_pages(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "PAGE", 50)
    found = [each["id"] for each in json.loads(run("jobs", "--json", "--limit", "400")[1])["jobs"]]
    assert len(found) == len(set(found)) == 400
    assert len(run("jobs", "--limit", "120", "--csv")[1].splitlines()) == 121


def test_older_jobs_follow_with_the_cursor(run: Run):
    first = json.loads(run("jobs", "--json", "--limit", "2")[1])
    second = json.loads(run("jobs", "--json", "--limit", "2", "--cursor", first["next"])[1])
    assert run("jobs", "--limit", "2")[2] == f"for older jobs add: --cursor {first['next']}\n"
    assert not {each["id"] for each in first["jobs"]} & {each["id"] for each in second["jobs"]}


def test_a_table_fits_the_terminal_and_names_the_zone(run: Run, zagreb: None, monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    assert [run(*words)[0] for words in (("jobs", "--limit", "100"), ("errors",), ("workers",))] == [0, 0, 0]
    lines = terminal.getvalue().splitlines()
    plain = [re.sub(r"\x1b\[\d+m", "", line) for line in lines]
    assert lines[0].startswith("ID ") and max(map(len, plain)) <= 80
    assert "\x1b[31mfailed\x1b[0m" in terminal.getvalue() and " CET " in plain[1]


def test_colours_are_left_out_where_they_are_not_wanted(run: Run, monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    run("jobs")
    assert "\x1b" not in terminal.getvalue()


def test_a_job_in_full(run: Run, zagreb: None):
    out = run("job", "failed-0")[1]
    for words in (
        "state       failed\n", 'secret="[redacted]"', "error       JSONDecodeError: ", " CET, waited ",
        "attempt 1: failed", "  Traceback (most recent call last):", "timeline, newest first:", "  accepted",
    ):  # fmt: skip
        assert words in out, words
    assert "why         The task import_csv is paused" in run("job", "blocked-0")[1]
    assert "progress    41200 of 64000 rows\n" in run("job", "running-0")[1]
    assert "what to do  Look at the numbers.\n" in run("job", "failed-9")[1]
    found = json.loads(run("job", "failed-0", "--json")[1])
    assert found.keys() == {*VIEWS["Job"].schema["properties"], "why", "attempts", "timeline", "children"}
    assert found["attempts"][0].keys() == VIEWS["Attempt"].schema["properties"].keys()
    assert found["state"] in STATES and found["kwargs"]["secret"] == "[redacted]"


def test_an_error_in_full_and_its_marks(run: Run, world: World):
    (group,) = [each for each in json.loads(run("errors", "--json")[1])["errors"] if each["type"] == "OverflowError"]
    fingerprint = group["fingerprint"]
    out = run("errors", fingerprint)[1]
    assert "what        OverflowError: it said so\n" in out and "what to do  Look at the numbers.\n" in out
    assert f"its jobs    duey jobs --error {fingerprint}\n" in out
    assert run("jobs", "--error", fingerprint)[1].count("\n") == 3
    for mark, state in (("--mute", "muted"), ("--fix", "fixed"), ("--reopen", "open")):
        assert f"state       {state}\n" in run("errors", fingerprint, mark)[1]
        assert json.loads(run("errors", fingerprint, "--json")[1])["state"] == state
        assert fingerprint in run("errors", "--state", state)[1]
    told = [(each.action, each.detail) for each in world.access.audit.page(limit=3)]
    assert told == [(f"{mark} error", fingerprint) for mark in ("reopen", "fix", "mute")], (
        "as the error's page shows them"
    )


def test_an_action_on_many_jobs_acts_on_those_that_need_it(run: Run, world: World, clock: Clock):
    status, out, _ = run("retry", "--task", "add", "--yes")
    assert (status, out) == (
        0,
        "3 jobs queued again; 1 job left alone: their state does not allow it any more.\n",  # the queue has lost it
    )
    assert (world.state("failed-9"), world.state("sum")) == ("queued", "done")
    assert world.access.audit.page(limit=1)[0].action == "retry jobs"
    status, out, err = run("cancel", "queued-0", "no-such-job", "queued-1")
    assert (status, out.count("\n")) == (1, 2) and "no-such-job" in err, "the others are canceled"
    assert (world.state("queued-0"), world.state("queued-1")) == ("canceled", "canceled")
    world.record()
    clock.advance(1)
    assert run("delete", "--state", "canceled", "--search", "queued-0", "--yes")[:2] == (0, "1 job deleted.\n")
    assert run("job", "queued-0")[0] == 1


@rows("answer, status, state", [("y\n", 0, "queued"), ("\n", 1, "failed")])
def test_it_asks_on_a_terminal(run, world, monkeypatch, capsys, answer, status, state):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", asked := Terminal())
    if world.state("failed-9") == "queued":  # by the row before
        world.control.cancel("failed-9")
        world.record()
    run("retry", "--search", "failed-9")
    assert "Retry these jobs: 1 " in asked.getvalue() and "? [y/N] " in asked.getvalue()
    assert (world.state("failed-9") == "queued") is (state == "queued")


def test_a_scheduled_job_is_run_now(run: Run, world: World):
    assert run("run-now", "scheduled-0", "queued-0") == (
        1, "queued now scheduled-0\n", "cannot run job queued-0: it is queued; nothing was changed\n"
    )  # fmt: skip
    assert world.state("scheduled-0") == "queued" and world.access.audit.page(limit=1)[0].action == "run now"


def test_a_worker_is_asked_to_be_quiet_or_to_stop(run: Run, world: World):
    worker = str(world.presences[0].n)
    assert run("workers", "--quiet", worker)[:2] == (0, f"asked worker {worker} to take no more jobs\n")
    assert run("workers", "--stop", worker)[0] == 1, "nobody can be asked"
    assert run("workers", "--stop", worker, "--yes")[:2] == (0, f"asked worker {worker} to stop\n")
    assert world.huey.storage.control_signals(int(worker)) == (True, True)
