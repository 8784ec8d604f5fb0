"""Starting: the first time, the second time, beside another one, and where it cannot start."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.conftest import Make
from tests.acceptance.deployment import WORKLOAD, Deployment
from tests.acceptance.http_client import Client, shown
from tests.acceptance.processes import Process
from tests.acceptance.variants import sqlite_in_suite, sqlite_only

WITHOUT_ROOT = str(WORKLOAD.parent / "unprivileged.py")
PROGRAMS = (("app.py",), ("-m", "huey.bin.huey_consumer", "consumer.huey"), ("manage.py", "check"))


@pytest.fixture(autouse=True)
def from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at the start is to fail as it does where nothing is imported yet."""
    monkeypatch.setattr(Deployment, "forked", False)


def refusal(process: Process) -> str:
    """What a program that cannot start says: one line on standard error, after warnings, and exit status 1."""
    assert process.wait(30) == 1
    assert process.out == ""
    lines = [line for line in process.err.splitlines() if " WARNING " not in line]
    assert len(lines) == 1, process.err
    return lines[0]


def refusals(deployment: Deployment, *before: str, programs: tuple[tuple[str, ...], ...] = PROGRAMS) -> list[str]:
    """What each of the programs says, started side by side. They have loaded what they need: what the settings, the
    task files and the storage are is found out later."""
    deployment.forked = True
    return [refusal(each) for each in [deployment.start(*before, *program) for program in programs]]


@sqlite_only
def test_the_first_start_shows_its_secrets_once_and_nobody_else_may_run_there(make: Make):
    first = make()
    process = first.app()
    assert process.out.endswith("\nready\n") and process.out.count("ready\n") == 1
    assert shown(process.out, "account") == "admin"
    assert len(shown(process.out, "password")) >= 12
    client = Client(first.port, shown(process.out, "token"))
    assert client.get("/api/tasks").status == 200
    assert Client(first.port, "duy_wrong").get("/api/tasks").status == 401

    other = make({"web": {"port": first.port}, "storage": {"name": "another"}})
    same_data, same_port = first.start("app.py"), other.start("app.py")
    said = refusal(same_data)
    assert "another Duey runs on" in said and str(first.folder) in said
    said = refusal(same_port)
    assert f"port {first.port}" in said and "another [web] port" in said
    assert client.get("/readyz").status == 200, "the one that runs is not disturbed"

    process.signal(15)
    assert process.wait(30) == 0
    again = first.app()
    assert again.out.endswith("ready\n")
    assert not any(word in again.out for word in ("password", "token", "account"))
    token = shown(process.out, "token")
    assert Client(first.port, token).get("/api/tasks").status == 200, "the token of the first start still opens"


@sqlite_only
def test_a_journal_holds_no_secret_and_accounts_made_before_are_no_hindrance(deployment: Deployment):
    in_journal = deployment.start("app.py", "--web", JOURNAL_STREAM="8:12345")
    in_journal.says("ready\n")
    assert "`duey user add NAME --role admin` and `duey token create NAME`" in in_journal.out
    assert "  password " not in in_journal.out and "duy_" not in in_journal.out
    in_journal.signal(15)
    assert in_journal.wait(30) == 0
    (_, users, _), (_, tokens, _), _ = deployment.manage_all(
        ["user", "list"], ["token", "list"], ["user", "add", "vera"]
    )
    assert users == tokens == ""
    first = deployment.start("app.py", "--web", "--print-password", JOURNAL_STREAM="8:12345")
    first.says("ready\n")
    assert shown(first.out, "account") == "admin" and len(shown(first.out, "password")) >= 12
    assert Client(deployment.port, shown(first.out, "token")).get("/api/tasks").status == 200
    first.signal(15)
    assert first.wait(30) == 0


@sqlite_in_suite
def test_web_and_consumer_can_be_started_apart(deployment: Deployment):
    web = deployment.app("--web")
    client = Client(deployment.port, shown(web.out, "token"))
    health = client.get("/readyz")
    assert health.status == 503 and "no consumer" in health.body["detail"]
    job = client.post("/api/jobs", {"task": "note", "args": [1]})
    assert job.status == 202
    consumer = deployment.consumer()
    ended = client.get(f"/api/jobs/{job.body['id']}?wait=10").body
    assert (ended["state"], ended["result"]) == ("done", 1)
    assert client.get("/readyz").status == 200
    assert web.pids() == [web.pid] and consumer.children()


@sqlite_only
def test_a_syntax_error_in_a_task_file_is_told_with_file_and_line(deployment: Deployment):
    broken = deployment.folder / "broken.py"
    broken.write_text("from duey import huey\n\n@huey.task()\ndef add(a, b)\n    return a + b\n")
    deployment.configure({"tasks": {"modules": "workload, broken"}})
    for said in refusals(deployment):
        assert str(broken) in said and "line 4" in said


@sqlite_only
def test_bad_settings_are_told_all_at_once(deployment: Deployment):
    deployment.configure({"consumer": {"worker_typ": "thread", "workers": "many"}, "webb": {"port": 1}})
    for process in [deployment.start(*program, DUEY_STORAGE_BACKEND="sqlit") for program in PROGRAMS]:
        assert process.wait(30) == 1 and process.out == ""
        lines = process.err.splitlines()
        assert len(lines) == 4, process.err
        for words in (
            (str(deployment.config), "worker_typ", "worker_type"),
            (str(deployment.config), "workers", "many"),
            (str(deployment.config), "webb", "web"),
            ("DUEY_STORAGE_BACKEND", "sqlit", "sqlite"),
        ):
            assert any(all(word in line for word in words) for line in lines), (words, lines)


@sqlite_only
def test_a_folder_or_a_queue_that_cannot_be_written_is_named(deployment: Deployment):
    data = deployment.folder / "data"
    data.mkdir()
    data.chmod(0o500)
    for said in refusals(deployment, WITHOUT_ROOT):
        assert str(data) in said and "writ" in said
    data.chmod(0o700)
    assert list(data.iterdir()) == []
    assert deployment.control.counts().queued == 0  # which makes the queue
    deployment.queue.chmod(0o400)
    for said in refusals(deployment, WITHOUT_ROOT, programs=PROGRAMS[:1]):
        assert str(deployment.queue) in said and "writ" in said


def garbage(queue: Path) -> str:
    queue.write_bytes(os.urandom(8192))
    return "backup"


def somebody_elses(queue: Path) -> str:
    with sqlite3.connect(queue) as con:
        con.execute("create table albums (name text)")
    con.close()
    return "albums"


def newer(queue: Path) -> str:
    with sqlite3.connect(queue) as con:
        con.execute("create table meta (key text primary key, value)")
        con.execute("insert into meta values ('schema', 999)")
    con.close()
    return "999"


@sqlite_only
def test_a_queue_that_is_not_ours_is_left_alone(deployment: Deployment):
    deployment.queue.parent.mkdir()
    for spoil in (garbage, somebody_elses, newer):
        deployment.queue.unlink(missing_ok=True)
        word = spoil(deployment.queue)
        before = deployment.queue.read_bytes()
        for said in refusals(deployment):
            assert str(deployment.queue) in said and word in said
        assert deployment.queue.read_bytes() == before


@sqlite_only
def test_a_consumer_never_imports_what_only_web_and_commands_need(deployment: Deployment):
    deployment.consumer()
    assert deployment.manage("enqueue", "loaded", "--wait")[0].splitlines()[-1] == "[]"
    said = "import sys, duey.consumer, workload; print(workload.loaded.call_local())"
    process = deployment.start("-c", said)
    assert process.wait(30) == 0, process.err
    assert process.out == "[]\n"
