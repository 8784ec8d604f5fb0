"""Enqueue jobs from a process that runs none, and print their ids: python enqueue.py MODULE '[["task", 1], ...]'."""

import importlib
import json
import sys

import duey

duey.load_tasks()
module = importlib.import_module(sys.argv[1])
for task, *arguments in json.loads(sys.argv[2]):
    if sys.argv[1] == "fault_tasks":
        print(duey.huey.enqueue(module.made(task, *arguments)).id)
    else:
        print(getattr(module, task)(*arguments).id)
