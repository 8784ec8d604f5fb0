"""The floor of a latency: what a job at this pace costs where nothing is done for it. RATE_PER_S SECONDS

One process sleeps, appends 20 KB to a file (what a commit of a defer writes), syncs it, and wakes another one through a
pipe; that one tells when it woke. No SQLite, no JSON, no transaction, no claim. Answers the seconds of each.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time

from bench.systems import FOLDER

BYTES = 20 * 1024
AT = struct.Struct("d")


def main(rate: float, seconds: float) -> None:
    bell, ring = os.pipe()
    answer, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(ring)  # so that the end of the parent is the end of this one
        while os.read(bell, 1):
            os.write(tell, AT.pack(time.monotonic()))
        os._exit(0)
    log = os.open(FOLDER / "floor", os.O_WRONLY | os.O_CREAT, 0o600)
    count = int(rate * seconds)
    os.write(log, bytes(BYTES * (count + 1)))  # a log that has its length, as Duey's has
    os.fsync(log)
    taken = []
    for i in range(count):
        time.sleep(1 / rate)
        began = time.monotonic()
        os.pwrite(log, bytes(BYTES), i * BYTES)
        os.fdatasync(log)
        os.write(ring, b"x")
        taken.append(AT.unpack(os.read(answer, AT.size))[0] - began)
    os.close(ring)
    os.waitpid(child, 0)
    print(json.dumps(taken))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
