"""The jobs of a scene: what ended, what runs, what waits, and who works."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import Any

from duey.model.job import Failure, Job, Running, WorkerInfo
from duey.monitor.history import Attempt, JobRow, LogLine, SeenWorker, Step
from tests.monitor.web.fake_history import FakeHistory
from tests.monitor.web.scene_tasks import TASKS, SceneControl

TRACEBACK = """Traceback (most recent call last):
  File "/srv/duey/tasks.py", line 48, in deliver_webhook
    answer = webhook.deliver(url, body, message_id=job.id)
  File "/srv/duey/recipes/webhook.py", line 61, in deliver
    answer = http.request("POST", url, body=raw, timeout_s=timeout_s)
  File "/usr/lib/python3.11/http/client.py", line 1303, in request
    self._send_request(method, url, body, headers, encode_chunked)
  File "/usr/lib/python3.11/http/client.py", line 1058, in _send_output
    self.send(msg)
  File "/srv/duey/.venv/lib/python3.11/site-packages/urllib3/connection.py", line 203, in _new_conn
    raise NewConnectionError(self, f"Failed to establish a new connection: {e}") from e
ConnectionRefusedError: [Errno 111] Connection refused
"""


def job_id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def call_of(task: str, rng: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Arguments as such a task would be given."""
    name = rng.choice(["ana", "bob", "ivo", "eva", "jan"])
    if task == "deliver_webhook":
        host = rng.choice(["hooks.example.com", "crm.example.net", "billing.example.org"])
        return [f"https://{host}/in", {"order": rng.randrange(9000, 9999), "total": rng.randrange(100) + 0.5}], {
            "secret": "[redacted]"
        }
    if task == "send_email":
        return [], {
            "to": f"{name}@example.org",
            "subject": f"Invoice {rng.randrange(1000)}",
            "text": "Dear customer, …",
        }
    if task == "import_csv":
        return [f"/srv/in/{name}-2025.csv", "orders"], {"delimiter": ";"}
    if task == "add":
        return [rng.randrange(100), rng.randrange(100)], {}
    return [], {}


def make_past(control: SceneControl, history: FakeHistory, rng: random.Random, now: float) -> None:
    names = [task.qualname for task in TASKS]
    at = now - 20
    for n in range(400, 0, -1):
        at -= rng.expovariate(1 / 40)
        qualname = rng.choices(names, (40, 25, 3, 20, 1, 10))[0]
        task = qualname.rpartition(".")[2]
        bad = {"deliver_webhook": 0.12, "send_email": 0.05, "import_csv": 0.3}.get(task, 0.0)
        drawn = rng.random()
        state = "failed" if drawn < bad else "canceled" if drawn > 0.99 else "expired" if drawn > 0.985 else "done"
        wait, run = rng.expovariate(1 / 40), rng.lognormvariate(4.5, 1.2) * (60 if task == "import_csv" else 1)
        args, kwargs = call_of(task, rng)
        error = Failure("ConnectionRefusedError", "[Errno 111] Connection refused", TRACEBACK)
        if task == "send_email":
            error = Failure("SMTPServerDisconnected", "Connection unexpectedly closed: timed out", TRACEBACK)
        if task == "import_csv":
            error = Failure("Discard", "line 1042: expected 7 fields, found 6", TRACEBACK)
        job = Job(
            id=job_id(rng),
            task=task,
            qualname=qualname,
            queue="default",
            args=args,
            kwargs=kwargs,
            state=state,
            priority=0,
            attempt=3 if state == "failed" else 1,
            retries_left=0,
            crashes=0,
            enqueued_at=at - (wait + run) / 1000 - 24 * (state == "failed"),
            started_at=at - run / 1000,
            finished_at=at,
            wait_ms=wait,
            run_ms=run,
            result={"status": 200, "ms": round(run)} if state == "done" else None,
            error=error if state == "failed" else None,
            worker=str(rng.randrange(1, 5)),
        )
        fingerprint = f"{task:0<16.16}" if state == "failed" else None
        history.rows.append(JobRow(n, job, at, fingerprint))
        if n > 396 or state == "failed":
            _history(history, job)
    history.rows.sort(key=lambda row: -row.n)
    for row in history.rows[:300]:
        if row.job.state != "done":
            control.all[row.job.id] = row.job


def _history(history: FakeHistory, job: Job) -> None:
    assert job.finished_at is not None and job.started_at is not None
    logs = (
        LogLine(job.started_at + 0.01, "INFO", "opening the connection"),
        LogLine(job.started_at + 0.02, "WARNING", "slow answer from 192.0.2.10: 3.1 s"),
    )
    attempts, steps = [], [Step(job.enqueued_at, "enqueued", None)]
    for number in range(1, job.attempt + 1):
        last = number == job.attempt
        back = (job.attempt - number) * 12
        outcome = job.state if last else "retrying"
        attempts.append(
            Attempt(
                number,
                outcome,
                job.worker,
                job.started_at - back,
                job.finished_at - back,
                job.wait_ms,
                job.run_ms,
                job.error if outcome != "done" else None,
                "f" * 16 if job.error else None,
                logs,
            )
        )
        steps.append(Step(job.started_at - back, "started", 1000 * (job.started_at - back - steps[-1].at), job.worker))
        steps.append(Step(job.finished_at - back, outcome, job.run_ms, job.worker, None, job.error))
    history.attempts_of[job.id] = tuple(reversed(attempts))
    history.timeline_of[job.id] = tuple(reversed(steps))


def make_present(control: SceneControl, history: FakeHistory, rng: random.Random, now: float) -> None:
    ids = [job_id(rng) for _ in range(20)]
    running = []
    for n, (task, since) in enumerate((("import_csv", 372.0), ("deliver_webhook", 3.4), ("send_email", 0.6))):
        args, kwargs = call_of(task, rng)
        progress = {"done": 41_200, "total": 64_000, "note": "rows"} if task == "import_csv" else None
        job = Job(
            id=ids[n],
            task=task,
            qualname=f"tasks.{task}",
            queue="default",
            args=args,
            kwargs=kwargs,
            state="running",
            priority=0,
            attempt=0,
            retries_left=3,
            crashes=0,
            enqueued_at=now - since - 1,
            started_at=now - since,
            wait_ms=800.0,
            progress=progress,
            worker="1",
        )
        control.all[job.id] = job
        history.rows.insert(0, JobRow(1000 + n, replace(job, state="queued", started_at=None), now - since))
        running.append(Running(job.id, job.qualname, job.started_at))
    plans = (
        ("queued", "import_csv", "task tasks.import_csv", None),
        ("queued", "import_csv", "task tasks.import_csv", None),
        ("queued", "send_email", None, None),
        ("queued", "deliver_webhook", None, None),
        ("retrying", "deliver_webhook", None, 42.0),
        ("retrying", "send_email", None, 610.0),
        ("scheduled", "send_email", None, 7200.0),
        ("scheduled", "nightly_backup", None, 40_000.0),
        ("queued", "gone", "unknown tasks.gone", None),
    )
    for n, (state, task, reason, due) in enumerate(plans, 3):
        args, kwargs = call_of(task, rng)
        age = 380.0 if state == "queued" else 90.0
        module = "periodic" if task == "nightly_backup" else "tasks"
        job = Job(
            id=ids[n],
            task=task,
            qualname=f"{module}.{task}",
            queue="default",
            args=args,
            kwargs=kwargs,
            state=state,
            priority=0,
            attempt=2 if state == "retrying" else 0,
            retries_left=3,
            crashes=0,
            enqueued_at=now - age,
            eta=now + due if due else None,
            reason=reason,
            error=Failure("TimeoutError", "no answer within 10 s", TRACEBACK) if state == "retrying" else None,
        )
        control.all[job.id] = job
        history.rows.insert(0, JobRow(1100 + n, job, now - age))
    history.rows.sort(key=lambda row: -row.n)
    control.crew = [
        WorkerInfo(
            "1",
            "atlas",
            4121,
            now - 93_000,
            now - 1.2,
            4,
            "thread",
            ("default",),
            True,
            False,
            tuple(running),
            61_300_000,
            "8e02d17",
        ),
        WorkerInfo(
            "2",
            "atlas",
            4122,
            now - 99_000,
            now - 0.8,
            2,
            "process",
            ("default", "slow"),
            True,
            True,
            (),
            48_000_000,
            "31bb9c4",
        ),
    ]
    history.seen = (
        *(
            SeenWorker(w.id, w.host, w.pid, w.started_at, now, w.workers, w.worker_type, w.queues, True, ())
            for w in control.crew
        ),
        SeenWorker(
            "0",
            "atlas",
            3988,
            now - 180_000,
            now - 93_100,
            4,
            "thread",
            ("default",),
            False,
            ((ids[0], "tasks.import_csv", now - 93_400),),
        ),
    )
