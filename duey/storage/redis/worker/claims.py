"""Reads the claims that scripts hand over."""

from __future__ import annotations

import logging
import re

from duey.model.job import Claim
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server
from duey.storage.values import called

logger = logging.getLogger("duey.redis")
# Trees, sequel, counter and seq (lib_claim.lua).
BEGINNING = re.compile(rb'\[\d+,(?:null|"(?:[^"\\]|\\.)*"),(\d+),(\d+),')


def claim_of(server: Server, n: int, handed_over: bytes) -> Claim:
    """The claim that a script handed over to worker n. If somebody has changed the job's keys so that they cannot be
    read, it has a payload that cannot be read either: so this job fails, and those that came with it run."""
    try:
        return codec.claim_of(n, handed_over)
    except (ValueError, TypeError, LookupError) as exc:
        found = BEGINNING.match(handed_over)
        if found is None:
            raise
        counter, seq = int(found[1]), int(found[2])
        job_id = server.command(b"HGET", server.key(f"claimed:{n}"), counter).decode()
        task, queue = server.command(b"HMGET", server.key(f"job:{job_id}"), "task", "queue")
        logger.error("what Redis holds of job %s cannot be read (%s): it was changed from outside", job_id, exc)
        job = called(job_id, task.decode(), queue.decode(), None, None, b"")
        return Claim((n << 32) | counter, job._replace(seq=seq))
