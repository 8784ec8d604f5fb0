"""`python manage.py`: the operator's commands as a person runs them, and what they leave behind."""

from __future__ import annotations

import csv
import io
import json
import re

from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Client
from tests.acceptance.variants import sqlite_only
from tests.support import wait_until


@sqlite_only
def test_looking_and_accounts(deployment: Deployment):
    out, _ = deployment.manage("check")
    assert "sqlite, usable" in out and "note" in out

    out, err = deployment.manage("status", code=1)
    assert out.startswith("NOT READY") and "no consumer is running" in err and err.count("\n") == 1

    deployment.app()
    out, _ = deployment.manage("status")
    assert out.startswith("ready\n") and "queued 0" in out and "2 x thread, alive, idle" in out

    out, err = deployment.manage("user", "add", "eva", "--role", "viewer")
    said = r"\S+Z INFO    duey\.security: account-made address=- who=\S+ source=operator target=eva\n"
    assert re.fullmatch(said, err) and out.splitlines()[-1] not in err
    assert out.splitlines()[0] == "made viewer eva" and len(out.splitlines()[-1]) >= 12
    _, err = deployment.manage("user", "add", "eva", code=1)
    assert "eva" in err and err.count("\n") == 1

    assert deployment.manage("user", "role", "eva", "admin")[0] == "eva is admin now\n"
    assert "eva\tadmin\tlast login never" in deployment.manage("user", "list")[0]
    assert deployment.manage("user", "remove", "eva")[0] == "removed eva\n"
    _, err = deployment.manage("user", "role", "admin", "viewer", code=1)
    assert "last admin" in err and err.count("\n") == 1
    _, err = deployment.manage("user", "remove", "eva", code=1)
    assert "no account is named 'eva'" in err

    out, _ = deployment.manage("token", "create", "reporting", "--scope", "read", "--expires", "90d")
    assert ", until 2" in out.splitlines()[0]
    reader = Client(deployment.port, out.splitlines()[-1])
    _, err = deployment.manage("token", "create", "other", "--expires", "soon", code=1)
    assert "expected a length such as 12h, 90d or 52w, found 'soon'" in err
    assert reader.get("/api/tasks").status == 200
    assert reader.post("/api/jobs", {"task": "note", "args": [1]}).status == 403
    out, _ = deployment.manage("token", "list")
    line = next(line for line in out.splitlines() if line.startswith("reporting\tread\tlast used 2"))
    assert "\texpires 2" in line
    assert "duey.security: token-revoked" in deployment.manage("token", "revoke", "reporting")[1]
    wait_until(lambda: reader.get("/api/tasks").status == 401, 5, "a revoked token is refused within its cache time")

    actions = ["revoke token", "create token", "remove account", "change role", "add account"]
    rows = list(csv.DictReader(io.StringIO(deployment.manage("audit")[0])))
    assert [row["action"] for row in rows if row["source"] == "operator"] == actions
    lines = [json.loads(line) for line in deployment.manage("audit", "--format", "json")[0].splitlines()]
    assert [line["action"] for line in lines if line["source"] == "operator"] == actions


@sqlite_only
def test_bad_usage_is_told_apart_from_what_cannot_be_done(deployment: Deployment):
    _, err = deployment.manage("enque", "note", code=2)
    assert "usage:" in err
    for code, err in deployment.refusals(("enqueue",), ("user", "add", "eva", "--role", "king")):
        assert code == 2 and "usage:" in err
    _, err = deployment.manage("enqueue", "nte", "1", code=1)
    assert "did you mean note" in err
    refused = (
        (("enqueue", "nte", "1"), ("nte", "did you mean note")),
        (("enqueue", "note", "one"), ("args[0]", "one")),
        (("enqueue", "note", "1", "2", "3"), ("note",)),
        (("retry", "no-such-job"), ("no-such-job",)),
        (("cancel", "no-such-job"), ("no-such-job",)),
        (("pause", "nte"), ("nte",)),
        (("token", "revoke", "nobody"), ("nobody",)),
    )
    said = deployment.refusals(*(arguments for arguments, _ in refused))
    for (code, err), (_, words) in zip(said, refused, strict=True):
        assert code == 1 and err.count("\n") == 1 and all(word in err for word in words), err
    assert deployment.control.counts().queued == 0


def test_jobs(deployment: Deployment):
    deployment.consumer(1)
    out, _ = deployment.manage("enqueue", "note", "7", "seconds=0.1", "--wait")
    job_id, result = out.splitlines()
    assert result == "7" and deployment.state(job_id) == "done"

    _, err = deployment.manage("enqueue", "fail", "8", "--wait", code=1)
    assert "ValueError: job 8 was told to fail" in err
    failed = err.split()[1]
    deployment.manage("retry", failed)
    wait_until(lambda: len(deployment.ledger.runs_of(8)) == 2, 10, "the job that was retried has run again")
    wait_until(lambda: deployment.state(failed) == "failed", 10, "it failed again")

    delayed = deployment.manage("enqueue", "note", "9", "--delay", "3600")[0].strip()
    assert deployment.state(delayed) == "scheduled"
    deployment.manage("cancel", delayed)
    assert deployment.state(delayed) == "canceled"
    _, err = deployment.manage("cancel", delayed, code=1)
    assert "it is canceled" in err


def test_a_pause_holds_jobs_back_and_they_run_by_priority_afterwards(deployment: Deployment):
    deployment.consumer(1)
    deployment.manage("pause", "note")
    held = [deployment.tasks.note(n, priority=priority) for n, priority in ((1, None), (2, 5), (3, -1), (4, 5))]
    other = deployment.tasks.flaky(5, 0)
    deployment.wait_ended([other])
    wait_until(lambda: deployment.control.counts().blocked == 4, 10, "what is paused is set aside")
    assert deployment.states(held) == ["blocked"] * 4
    deployment.manage("resume", "note")
    deployment.wait_ended(held)
    assert [n for n, _, what, _ in deployment.ledger.lines() if what == "begin"] == ["5", "2", "4", "1", "3"]


def test_what_a_job_says_acts_on_no_terminal_and_forges_no_line(make):
    hostile = "\x1b[2J\r\nready\x9b1m\u202e\u2028dlrow"
    deployment = make({"tasks": {"modules": "hostile_task, workload"}})
    (deployment.folder / "hostile_task.py").write_text(
        "import logging\nfrom duey import huey\n\n@huey.task()\ndef rant(say):\n"
        "    logging.getLogger('rant').warning(say)\n    raise ValueError(say)\n"
    )
    consumer = deployment.consumer()
    out, err = deployment.manage("enqueue", "rant", hostile, "--wait", code=1)
    consumer.says("WARNING rant: ")
    shown = r"\x1b[2J\r\nready\x9b1m\u202e\u2028dlrow"
    assert err.endswith(f"failed: ValueError: {shown}\n") and err.count("\n") == 1
    assert f"WARNING rant: {shown} (job {out.strip()}, hostile_task.rant)\n" in consumer.err + consumer.out
    assert not set("\x1b\r\x9b\u202e\u2028") & set(err + consumer.err + consumer.out)
