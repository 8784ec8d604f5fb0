"""What a body logs and prints is seen while it runs, kept with its attempt, and kept when its worker dies."""

from __future__ import annotations

from functools import partial

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed
from tests.support import wait_until


def texts(deployment: Deployment, job_id: str, after: int = 0) -> list[str]:
    answer = deployment.client().get(f"/api/jobs/{job_id}/log?after={after}")
    assert answer.status == 200, answer
    return [line["text"] for line in answer.body["lines"]]


def says(deployment: Deployment, job_id: str, text: str) -> bool:
    return text in texts(deployment, job_id)


@crossed
def test_a_running_job_is_heard(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, talking_tasks"}})
    tasks, gate, fatal = deployment.load("talking_tasks"), deployment.folder / "gate", deployment.folder / "fatal"
    deployment.app("--web")
    deployment.consumer(2, kind)
    job = tasks.talks(1200, str(gate), password="hunter2hunter2")
    dying = tasks.dies_talking(str(fatal))
    wait_until(partial(says, deployment, job.id, "printed with [redacted] and more"), 30, "its lines are there")
    live = texts(deployment, job.id)
    assert [live[0], live[499], live[500], live[501]] == ["line 0", "line 499", "201 lines left out", "line 701"]
    wait_until(partial(says, deployment, dying.id, "its last words"), 30, "so are those of the other")
    follow = deployment.start("manage.py", "logs", job.id, "--follow")
    follow.says("printed with")
    position = deployment.client().get(f"/api/jobs/{job.id}/log").body["next"]
    assert texts(deployment, job.id, position) == []
    gate.touch()
    assert follow.wait(30) == 0, follow.err
    lines = follow.out.splitlines()
    assert [line.split("\t", 1)[1] for line in lines[-2:]] == ["WARNING\tafter the gate", "PRINT\twithout an end"]
    assert texts(deployment, job.id, position) == ["after the gate", "without an end"]
    assert "hunter2" not in follow.out
    fatal.touch()
    assert deployment.wait_ended([dying])[0].error.type == "WorkerDied"
    wait_until(partial(says, deployment, dying.id, "its last words"), 30, "they outlive their process")
    assert texts(deployment, dying.id) == ["its last words"]
