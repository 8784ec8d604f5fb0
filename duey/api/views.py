"""Views: the engine's values as the JSON of CONTRACT.md.

Times are RFC 3339 in UTC with milliseconds and a Z. Durations are in milliseconds where the name says so. Each view
is a plain dict, written field by field for speed: POST /api/jobs makes one for each job.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from duey.model.job import Job, QueueInfo, TaskInfo, WorkerInfo
from duey.monitor.access import Token
from duey.monitor.access.tokens import READ

_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]+").fullmatch


def rfc3339(at: float | None) -> str | None:
    """Convert epoch seconds to the form 2030-01-01T00:00:00.000Z."""
    if at is None:
        return None
    try:
        second, ms = divmod(round(at * 1000), 1000)
        return f"{_to_the_second(second)}.{ms:03d}Z"
    except (ValueError, OverflowError, OSError):  # outside of the calendar's range; Python code can enqueue such a job
        return None


@lru_cache(maxsize=1024)  # consecutive views mostly have the same seconds
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).isoformat()[:19]


class Views:
    """Makes views. Knows the base URL of the service, for the `url` of a job."""

    def __init__(self, public_url: str = "", url_prefix: str = "") -> None:
        self.base = public_url.rstrip("/") + url_prefix.rstrip("/")
        self._jobs = f"{self.base}/api/jobs/"

    def job_url(self, job_id: str) -> str:
        return self._jobs + (job_id if _PLAIN_ID(job_id) else quote(job_id, safe=""))

    def job(self, job: Job) -> dict[str, Any]:
        """Return a job with all fields of the contract and more."""
        error = job.error
        return {
            "id": job.id,
            "task": job.task,
            "by": job.by,
            "qualname": job.qualname,
            "queue": job.queue,
            "args": job.args,
            "kwargs": job.kwargs,
            "state": job.state,
            "priority": job.priority,
            "attempt": job.attempt,
            "retries_left": job.retries_left,
            "crashes": job.crashes,
            "enqueued_at": rfc3339(job.enqueued_at),
            "eta": rfc3339(job.eta),
            "expires_at": rfc3339(job.expires_at),
            "started_at": rfc3339(job.started_at),
            "finished_at": rfc3339(job.finished_at),
            "wait_ms": job.wait_ms,
            "run_ms": job.run_ms,
            "progress": job.progress,
            "result": job.result,
            "result_stored": job.result_stored,
            "error": None if error is None else {"type": error.type, "message": error.message},
            "reason": job.reason,
            "context": job.context,
            "worker": job.worker,
            "parent": job.parent,
            "url": self.job_url(job.id),
        }

    def answer_to(self, token: Token, job: Job) -> dict[str, Any]:
        """Return the whole job if the token may read, else a receipt: id, state and URL."""
        if token.allows(READ):
            return self.job(job)
        return {"id": job.id, "state": job.state, "url": self.job_url(job.id)}

    def task(self, task: TaskInfo) -> dict[str, Any]:
        parameters = [
            {
                "name": each.name,
                "type": each.type,
                "default": each.default,
                "required": each.required,
                "kind": each.kind,
                "schema": each.schema,
            }
            for each in task.parameters
        ]
        return {
            "name": task.name,
            "qualname": task.qualname,
            "doc": task.doc,
            "parameters": parameters,
            "options": task.options,
            "paused": task.paused,
            "periodic": task.periodic,
        }

    def queue(self, queue: QueueInfo) -> dict[str, Any]:
        return {
            "name": queue.name,
            "waiting": queue.waiting,
            "oldest_age_s": queue.oldest_age_s,
            "paused": queue.paused,
        }

    def worker(self, consumer: WorkerInfo) -> dict[str, Any]:
        running = [
            {
                "job": each.job_id,
                "task": each.task,
                "started": rfc3339(each.started_at),
                "url": self.job_url(each.job_id),
            }
            for each in consumer.running
        ]
        return {
            "id": consumer.id,
            "host": consumer.host,
            "pid": consumer.pid,
            "started": rfc3339(consumer.started_at),
            "heartbeat": rfc3339(consumer.heartbeat_at),
            "workers": consumer.workers,
            "worker_type": consumer.worker_type,
            "queues": list(consumer.queues),
            "alive": consumer.alive,
            "quiet": consumer.quiet,
            "running": running,
            "rss_bytes": consumer.rss_bytes,
            "code": consumer.code,
        }
