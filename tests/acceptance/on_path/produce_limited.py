"""Defer jobs of tests.acceptance.on_path.limited_tasks from a process of its own, and say the id of each.

python -m produce_limited NAME COUNT SEED
"""

import random
import sys
import time

from duey import load_tasks

load_tasks()

import limited_tasks  # noqa: E402  # the tasks must be registered by its own name

name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(f"{name} {seed}")
for i in range(count):
    seconds = rng.choice((0.0, 0.005, 0.03))
    if i % 2:
        handle = limited_tasks.narrow(f"{name}-{i}", seconds)
    else:
        handle = limited_tasks.single(rng.choice("abcde"), f"{name}-{i}", seconds)
    print(handle.id, flush=True)
    time.sleep(rng.uniform(0, 0.06))
