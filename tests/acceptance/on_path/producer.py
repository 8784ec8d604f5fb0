"""A program that defers jobs of the workload: python producer.py WHAT COUNT.

chord COUNT     one chord of so many members
chords COUNT    such chords, one after another, until it is killed
notes COUNT     so many jobs; prints how long each defer took, in seconds, as a JSON list
"""

import json
import os
import sys
import time

import workload
from huey.api import chord

from duey import huey


def defer_chord(n: int, count: int) -> None:
    huey.enqueue(chord([workload.step.s(n, x) for x in range(count)], workload.total.s(n)))


what, count = sys.argv[1], int(sys.argv[2])
if what == "chord":
    defer_chord(0, count)
elif what == "chords":
    n = os.getpid() * 100_000
    while True:
        defer_chord(n, count)
        n += 1
else:
    first = os.getpid() * 100_000
    took = []
    for n in range(count):
        since = time.perf_counter()
        workload.note(first + n)
        took.append(time.perf_counter() - since)
    json.dump(took, sys.stdout)
