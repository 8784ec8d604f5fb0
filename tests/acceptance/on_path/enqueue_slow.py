"""Enqueue jobs of slow_tasks, and print their ids by name: python enqueue_slow.py THREADS PROCESSES, two queues.

The schedules of the code are put on record as of two minutes ago, so that a function of a minute is asked at once.
"""

import json
import sys
import time
from collections import defaultdict
from typing import Any

from huey.api import chord

import duey
from duey.scheduling import edits
from duey.scheduling.isolation import Aside

duey.load_tasks()
import slow_tasks  # noqa: E402

made: dict[str, list[str]] = defaultdict(list)
threads, processes = sys.argv[1:]
CARGO = slow_tasks.Cargo("secret")


def job(name: str, queue: str, *arguments: Any, **options: Any) -> Any:
    task = getattr(slow_tasks, name).s(*arguments, **options)
    task.queue = queue
    made[arguments[0] if name == "work" else name].append(task.id)
    return task


edits.sync(duey.huey, (), time.time() - 120, print, Aside(), 1.0)
for queue in (threads, processes):
    callback = job("together", queue)
    waits = job("work", queue, "waits", CARGO, delay=3600)
    duey.huey.enqueue(chord([job("work", queue, "constructor", CARGO), waits], callback))
    duey.huey.enqueue_jobs([job("work", queue, place) for place in ("encoder", "pre_execute", "backoff")])
for place in ("post_execute", "complete", "on_failed", "str"):
    duey.huey.enqueue(job("work", threads, place, retries=0))
duey.huey.enqueue_jobs([job(name, processes, CARGO) for name in ("overdue", "overdue", "overdue", "dies")])
print(json.dumps(made))
