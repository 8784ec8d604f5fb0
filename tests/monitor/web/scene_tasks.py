"""The registered tasks of a scene, and a control over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from duey.errors import UnknownWorker
from duey.model.job import Counts, Parameter, TaskInfo, WorkerInfo
from tests.monitor.web.fake_control import FakeControl
from tests.monitor.web.scene_schedules import SceneSchedules

TASKS = (
    TaskInfo(
        "deliver_webhook",
        "tasks.deliver_webhook",
        "POST a JSON body to a URL, with the headers of Standard Webhooks 1.0.0.\n\n"
        "url: http or https; its host must be in [webhook] allow_hosts or, where that is empty, public.\n"
        "body: the JSON to send.\nsecret: signs the delivery with HMAC-SHA256.\nheaders: more headers to send.",
        (
            Parameter("url", "str", True),
            Parameter("body", "dict[str, Any] | list[Any]", True),
            Parameter("secret", "str | None", False, None),
            Parameter("headers", "dict[str, str] | None", False, None),
        ),
        {"retries": 5, "retry_delay": 2, "retry_backoff": 5},
        False,
        False,
    ),
    TaskInfo(
        "send_email",
        "tasks.send_email",
        "Send one e-mail through the server of [smtp], to all recipients or to none.",
        (
            Parameter("to", "str | list[str]", True),
            Parameter("subject", "str", True),
            Parameter("text", "str", True),
            Parameter("html", "str | None", False, None),
        ),
        {"retries": 5, "retry_delay": 30},
        False,
        False,
    ),
    TaskInfo(
        "import_csv",
        "tasks.import_csv",
        "Import a CSV file into a SQLite table.",
        (
            Parameter("path", "str", True),
            Parameter("table", "str", True),
            Parameter("delimiter", "str", False, ","),
            Parameter("dry_run", "bool", False, False),
            Parameter("limit", "int | None", False, None),
        ),
        {"retries": 3},
        True,
        False,
    ),
    TaskInfo(
        "add",
        "tasks.add",
        "Add two whole numbers.",
        (Parameter("a", "int", True), Parameter("b", "int", True)),
        {},
        False,
        False,
    ),
    TaskInfo(
        "nightly_backup",
        "periodic.nightly_backup",
        "Copy the databases of this service.",
        (),
        {"retries": 3},
        False,
        True,
    ),
    TaskInfo(
        "heartbeat", "periodic.heartbeat", "GET [periodic] heartbeat_url: a dead man's switch.", (), {}, False, True
    ),
)


class SceneControl(FakeControl):
    """A control whose workers and waiting jobs a scene sets."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.registered = {task.qualname: task for task in TASKS}
        self.crew: list[WorkerInfo] = []
        self.schedules = SceneSchedules(clock)  # type: ignore[assignment]

    def workers(self) -> list[WorkerInfo]:
        self._reach()
        return list(self.crew)

    def _ask(self, worker_id: str, what: str) -> None:
        if worker_id not in [each.id for each in self.crew if each.alive]:
            raise UnknownWorker(worker_id)
        self.asked.append((worker_id, what))

    def tasks(self) -> list[TaskInfo]:
        self._reach()
        return [replace(task, paused=task.qualname in self.paused) for task in self.registered.values()]

    def counts(self) -> Counts:
        counts = super().counts()
        blocked = sum(job.reason is not None for job in self.all.values())
        return replace(counts, blocked=blocked, events=0)
