"""Changes of one job by hand, and what a resume queues again. A script applies each change of a job if the job has not
changed since it was read.

`retry` and `forget` read the job themselves, and start again if it has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from duey import clock, errors
from duey.model.job import ENDED
from duey.model.limits import NO_LIMIT, Limit
from duey.model.outcome import Outcome, Ttl
from duey.storage.contract import Commands
from duey.storage.redis import codec, queries
from duey.storage.redis.connection.client import Server
from duey.storage.values import TRIES, StoredJob, busy, found_as, found_to_queue

logger = logging.getLogger("duey.redis")
STEP = 500  # jobs that one script moves: limits how long other clients wait


class RedisCommands(Commands):
    """A part of RedisStorage."""

    server: Server
    ttl: Ttl
    limits: Mapping[str, Limit]

    def look(self, job_id: str) -> StoredJob | None:
        return queries.read_job(self.server, job_id)

    def end(self, seen: StoredJob, outcome: Outcome) -> bool:
        return self._apply("finish", seen, *end_words(self.server, outcome, self.ttl)) == 1

    def ask_to_stop(self, seen: StoredJob) -> bool:
        return self._apply("stop", seen) == 1

    def retry(self, job_id: str, payload: bytes | None, retries: int | None, was: str | None = None) -> None:
        for _ in range(TRIES):
            seen = found_to_queue(self.look(job_id), job_id, retries, was)
            left = seen.job.retries if retries is None else retries
            job = seen.job._replace(eta=None, expires_at=None, crashes=0, retries=left, failures=0, failed_at=None)
            done = self._apply("retry", seen, codec.changing(job), payload or b"", job.attempt)
            if done == 1:
                return
            if isinstance(done, bytes):
                raise errors.UniqueConflict(job.unique_key or "", done.decode())
        raise busy(job_id)

    def forget(self, job_id: str, was: str | None = None) -> None:
        for _ in range(TRIES):
            if self._apply("forget", found_as(self.look(job_id), job_id, "delete", ENDED, was)) == 1:
                return
        raise busy(job_id)

    def _apply(self, verb: str, seen: StoredJob, *words: Any) -> Any:
        """Apply a change if the job is still as it was read. 1: done; 0: it has changed; or the id of the job that
        holds its unique key."""
        return self.server.run("verb", verb, seen.job.id, *seen.version, clock.now(), *words, durable=True)

    def pause(self, kind: str, name: str) -> None:
        self.server.command(b"SADD", self.server.key("pauses"), f"{kind} {name}", durable=True)

    def resume(self, kind: str, name: str) -> int:
        self.server.command(b"SREM", self.server.key("pauses"), f"{kind} {name}", durable=True)
        return unblock(self.server, f"{kind} {name}")

    def unblock_tasks(self, known: Sequence[str]) -> int:
        held = {why.decode() for why in self.server.command(b"SMEMBERS", self.server.key("block_reasons"))}
        count = sum(unblock(self.server, why) for why in sorted(held & {f"unknown {task}" for task in known}))
        if any(why.startswith(("limit ", "rate ")) for why in held):
            # What has a former name was blocked before the task was renamed.
            own = {task: limit for task, limit in self.limits.items() if not limit.of}
            now_limits = {task: own.get(task, NO_LIMIT) for task in known}
            count += int(self.server.run("recheck", clock.now(), codec.limits_text(now_limits)))
        return count


def unblock(server: Server, why: str) -> int:
    """Queue again what was set aside for this reason. Returns the number of jobs."""
    count = 0
    while moved := int(server.run("unblock", why, clock.now(), STEP)):
        count += moved
    return count


def unblock_unpaused(server: Server) -> None:
    """Queue again what waits for the end of a pause that has ended. A resume is several scripts, because there may be
    many jobs: the process may have died between them, or Redis may have lost the last ones."""
    for why in server.command(b"SDIFF", server.key("block_reasons"), server.key("pauses")):
        if why.startswith((b"queue ", b"task ")) and (count := unblock(server, why.decode())):
            logger.warning(
                "%s is not paused, but %d jobs waited for its end: they are queued again", why.decode(), count
            )


def end_words(server: Server, outcome: Outcome, ttl: Ttl) -> codec.Words:
    """How a waiting job ends, under a token that belongs to no worker."""
    token = -int(server.command(b"INCR", server.key("manual")))
    words: codec.Words = [codec.token_text(token)]
    codec.outcome_words(words, outcome._replace(claim=outcome.claim._replace(token=token)), ttl)
    return words
