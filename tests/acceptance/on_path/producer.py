"""A program that defers jobs of the workload: python producer.py WHAT COUNT.

chord COUNT     one chord of so many members
notes COUNT     so many jobs; prints how long each defer took, in seconds, as a JSON list
"""

import json
import os
import sys
import time

import workload
from huey.api import chord

from duey import huey

what, count = sys.argv[1], int(sys.argv[2])
if what == "chord":
    huey.enqueue(chord([workload.step.s(0, x) for x in range(count)], workload.total.s(0)))
else:
    first = os.getpid() * 100_000
    took = []
    for n in range(count):
        since = time.perf_counter()
        workload.note(first + n)
        took.append(time.perf_counter() - since)
    json.dump(took, sys.stdout)
