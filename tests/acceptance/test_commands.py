"""`python manage.py`: the operator's commands as a person runs them, and what they leave behind."""

from __future__ import annotations

import csv
import io
import re

from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Client
from tests.acceptance.variants import sqlite_only
from tests.support import wait_until


def operate(deployment: Deployment, *table: tuple[str, int, str]) -> None:
    """Run commands in one process: each ends with its exit code, and what it says begins or goes on like this."""
    for (command, code, words), (found, out, err) in zip(
        table, deployment.manage_all(*(each[0].split() for each in table)), strict=True
    ):
        assert found == code and words in (out if code in (0, 3) else err), (command, found, out, err)
        if code == 1:
            assert out == "" and err.count("\n") == 1, (command, out, err)


@sqlite_only
def test_alerts(deployment: Deployment):
    deployment.configure({"alerts": {"webhook": "http://127.0.0.1:9/secret-path name=hook"}})
    deployment.app()
    job = deployment.tasks.fail(1)
    deployment.wait_ended([job])
    wait_until(lambda: deployment.manage("alerts", "list")[0].count("error_new") == 1, 30, "the incident is open")
    out, _ = deployment.manage("alerts", "list")
    id, state, rule, _, count, title = out.splitlines()[0].split("\t")
    assert (state, rule, count) == ("open", "error_new", "1") and title.startswith("fail: ")
    operate(
        deployment,
        (f"alerts ack {id}", 0, "acknowledged\n"),
        ("alerts list", 0, "acknowledged\terror_new"),
        ("alerts ack none", 1, "no incident has the id 'none'"),
        ("alerts test hok", 1, "did you mean hook?"),
        ("alerts test hook", 1, "did not take the message"),
        ("alerts list", 0, "channel\thook\twebhook\tfailed at "),
        ("status", 3, "open incidents: 1"),
        ("status", 3, "channel hook: failed last: "),
    )
    assert "secret-path" not in str(deployment.manage("alerts", "list"))


@sqlite_only
def test_looking_and_accounts(deployment: Deployment):
    out, _ = deployment.manage("check")
    assert "sqlite, usable" in out and "note" in out
    out, err = deployment.manage("status", code=1)
    assert out.startswith("NOT READY") and "no consumer is running" in err and err.count("\n") == 1
    deployment.app()
    out, err = deployment.manage("user", "add", "eva", "--role", "viewer")
    said = r"\S+Z INFO    duey\.security: account-made address=- who=\S+ source=operator target=eva\n"
    assert re.fullmatch(said, err) and out.splitlines()[-1] not in err
    assert out.splitlines()[0] == "created viewer eva" and len(out.splitlines()[-1]) >= 12
    operate(
        deployment,
        ("status", 0, "ready\n"),
        ("status", 0, "queued 0"),
        ("status", 0, "2 x thread, alive, idle"),
        ("pause --queue slow", 0, ""),
        ("pause note", 0, ""),
        ("status", 0, "paused: task note, queue slow\n"),
        ("resume --queue slow", 0, ""),
        ("resume note", 0, ""),
        ("user add eva", 1, "eva"),
        ("user role eva admin", 0, "eva is admin now\n"),
        ("user list", 0, "eva\tadmin\tlast login never"),
        ("user remove eva", 0, "removed eva\n"),
        ("user role admin viewer", 1, "last admin"),
        ("user remove eva", 1, "no account is named 'eva'"),
        ("token create other --expires soon", 1, "expected a length such as 12h, 90d or 52w, found 'soon'"),
    )
    out, _ = deployment.manage("token", "create", "reporting", "--scope", "read", "--expires", "90d")
    assert ", until 2" in out.splitlines()[0]
    reader = Client(deployment.port, out.splitlines()[-1])
    assert reader.get("/api/tasks").status == 200
    assert reader.post("/api/jobs", {"task": "note", "args": [1]}).status == 403
    operate(
        deployment,
        ("token list", 0, "reporting\tread\tlast used 2"),
        ("token list", 0, "\texpires 2"),
        ("token rotate reporting --overlap soon", 1, "--overlap: expected a length such as 12h, 90d or 52w"),
    )
    out, _ = deployment.manage("token", "rotate", "reporting", "--overlap", "1h")
    assert "reporting has a new secret, until 2" in out and "the old secret is valid until 2" in out
    renewed = Client(deployment.port, out.splitlines()[-1])
    assert renewed.get("/api/tasks").status == reader.get("/api/tasks").status == 200
    operate(
        deployment,
        ("token list", 0, "old secret until 2"),
        ("user sessions admin", 0, ""),
        ("user reset-totp admin", 1, "admin has no second factor: nothing was changed"),
        ("user sessions admin --end", 0, "sessions of admin ended: 0\n"),
        ("token revoke reporting", 0, ""),
    )
    wait_until(lambda: reader.get("/api/tasks").status == 401, 30, "a revoked token is refused within its cache time")
    actions = [
        "revoke token",
        "end sessions",
        "rotate token",
        "create token",
        "remove account",
        "change role",
        "resume task",
        "resume queue",
    ]
    actions += ["pause task", "pause queue", "add account"]
    rows = list(csv.DictReader(io.StringIO(deployment.manage("audit")[0])))
    assert [row["action"] for row in rows if row["source"] == "operator"] == actions


@sqlite_only
def test_bad_usage_is_told_apart_from_what_cannot_be_done(deployment: Deployment):
    _, err = deployment.manage("enque", "note", code=2)
    assert "usage:" in err
    operate(
        deployment,
        ("enqueue", 2, "usage:"),
        ("user add eva --role king", 2, "usage:"),
        ("enqueue nte 1", 1, "did you mean note"),
        ("enqueue note one", 1, "args[0]"),
        ("enqueue note 1 2 3", 1, "note"),
        ("retry no-such-job", 1, "no-such-job"),
        ("cancel no-such-job", 1, "no-such-job"),
        ("pause nte", 1, "nte"),
        ("pause --queue a/b", 1, "expected the name of a queue"),
        ("pause note --queue slow", 2, "usage:"),
        ("token revoke nobody", 1, "nobody"),
    )
    assert deployment.control.counts().queued == 0


@sqlite_only
def test_jobs(deployment: Deployment):
    deployment.consumer(1)
    out, _ = deployment.manage("enqueue", "note", "--help")
    assert "note n [seconds] [--delay S]" in out and "\n  seconds: float, default 0.0\n" in out
    out, _ = deployment.manage("enqueue", "note", "7", "seconds=0.1", "--wait")
    job_id, result = out.splitlines()
    assert result == "7" and deployment.state(job_id) == "done"

    _, err = deployment.manage("enqueue", "fail", "8", "--wait", code=1)
    assert "ValueError: job 8 was told to fail" in err
    failed = err.split()[1]
    (_, delayed, _), _ = deployment.manage_all(("enqueue", "note", "9", "--delay", "3600"), ("retry", failed))
    wait_until(lambda: len(deployment.ledger.runs_of(8)) == 2, 30, "the job that was retried has run again")
    wait_until(lambda: deployment.state(failed) == "failed", 30, "it failed again")
    assert deployment.state(delayed.strip()) == "scheduled"
    operate(deployment, (f"cancel {delayed}", 0, ""), (f"cancel {delayed}", 1, "it is canceled"))
    assert deployment.state(delayed.strip()) == "canceled"


@sqlite_only
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
