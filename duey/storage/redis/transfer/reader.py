"""Reads what a move copies from Redis, as items that are the same for every storage.

Nobody changes the keys meanwhile, so they are read by plain commands, many in one round trip.
"""

from __future__ import annotations

import itertools
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from duey.model.event import OutboxOwner
from duey.model.job import ENDED, JobRecord
from duey.storage.redis import codec
from duey.storage.redis.connection.preflight import literally
from duey.storage.redis.outbox import OLD_KINDS
from duey.storage.redis.transfer.writer import LIMIT
from duey.storage.transfer import BYTES, EVENTS, HOLD, JOBS, EventItem, JobItem, key_of, number, plain
from duey.storage.values import worker_of

JOBS_BY_SEQ = ("live", *(f"finished:{state}" for state in sorted(ENDED)))


class ItemReader:
    """For the keys of one service. `redis`: a client whose answers are bytes."""

    def __init__(self, redis: Any, start: str) -> None:
        self._redis, self._start = redis, start
        self._lists: dict[str, list[tuple[Any, ...]]] = {}  # the section that is read as a whole

    def key(self, name: str) -> str:
        return f"{self._start}{name}"

    def ask(self, keys: Sequence[Any], *commands: Callable[[Any, Any], Any]) -> list[list[Any]]:
        """For each key the answers to these commands, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            for command in commands:
                command(pipe, key)
        answers = pipe.execute()
        return [answers[i : i + len(commands)] for i in range(0, len(answers), len(commands))]

    def names(self, beginning: str) -> list[str]:
        """The rest of each key that begins like this."""
        pattern = literally(self.key(beginning)) + b"*"
        cut = len(self.key(beginning).encode())
        return sorted(key[cut:].decode() for key in self._redis.scan_iter(match=pattern, count=1000))

    def read(self, section: str, after: Any, limit: int) -> Sequence[tuple[Any, ...]]:
        """Up to `limit` items behind the key `after`."""
        if section == JOBS:
            return self._jobs(after or 0, limit)
        if section == EVENTS:
            return self._events(after or 0, limit)
        if after is None or section not in self._lists:
            found = getattr(self, f"_{section}")()
            self._lists = {section: sorted(found, key=lambda item: key_of(section, item))}
        items = self._lists[section]
        at = 0 if after is None else bisect_right(items, after, key=lambda item: key_of(section, item))
        return items[at : at + limit]

    def _jobs(self, after: int, limit: int) -> list[JobItem]:
        found = self.ask(
            JOBS_BY_SEQ,
            lambda pipe, name: pipe.zrangebyscore(self.key(name), f"({after}", "+inf", 0, limit, withscores=True),
        )
        ids = [job_id.decode() for job_id, _ in sorted((p for (some,) in found for p in some), key=lambda p: p[1])]
        answers = self.ask(
            self._first(ids[:limit]),
            lambda pipe, job_id: pipe.hgetall(self.key(f"job:{job_id}")),
            lambda pipe, job_id: pipe.get(self.key(f"body:{job_id}")),
            lambda pipe, job_id: pipe.get(self.key(f"result:{job_id}")),
            lambda pipe, job_id: pipe.hgetall(self.key(f"checkpoints:{job_id}")),
            lambda pipe, job_id: pipe.zscore(self.key("unknown"), job_id),
            lambda pipe, job_id: pipe.zscore(self.key("gone"), job_id),
        )
        progress = self.ask([a[0][b"seq"] for a in answers], lambda pipe, seq: pipe.hget(self.key("progress"), seq))
        return [item_of(answer, reported) for answer, (reported,) in zip(answers, progress, strict=True)]

    def _first(self, ids: list[str]) -> list[str]:
        """As many of these jobs as may be read at once."""
        sizes = self.ask(
            ids,
            lambda pipe, job_id: pipe.strlen(self.key(f"body:{job_id}")),
            lambda pipe, job_id: pipe.strlen(self.key(f"result:{job_id}")),
        )
        total = list(itertools.accumulate(body + result for body, result in sizes))
        return ids[: max(1, bisect_right(total, BYTES))]

    def _events(self, after: int, limit: int) -> list[EventItem]:
        """The next events whose jobs were not removed."""
        while some := self._redis.xrange(self.key("outbox"), f"{after + 1}-0", "+", limit):
            found = [event_of(number_bytes, fields) for number_bytes, fields in some]
            seqs = self.ask(found, lambda pipe, event: pipe.hget(self.key(f"job:{event.job_id}"), "seq"))
            kept = [
                event for event, (seq,) in zip(found, seqs, strict=True)
                if not event.job_id or (seq and int(seq) == event.seq)
            ]  # fmt: skip
            if kept:
                return kept
            after = found[-1].number
        return []

    def _parts(self) -> list[tuple[Any, ...]]:
        names = self.names("chord:")
        found = self.ask(names, lambda pipe, cid: pipe.hgetall(self.key(f"chord:{cid}")))
        return [(cid, int(i), value) for cid, (parts,) in zip(names, found, strict=True) for i, value in parts.items()]

    def _unique(self) -> list[tuple[Any, ...]]:
        found = []
        for name, text in self._hash("unique_locks"):
            bound, fixed, job_id = text.decode().split("|", 2)
            found.append((name.removeprefix("="), job_id, float(bound) if bound else None, int(fixed)))
        there = self.ask([row[1] for row in found], lambda pipe, job_id: pipe.exists(self.key(f"job:{job_id}")))
        return [row for row, (exists,) in zip(found, there, strict=True) if exists]

    def _limits(self) -> list[tuple[Any, ...]]:
        names = self.names("limit:")
        found = self.ask(
            names,
            lambda pipe, name: pipe.hmget(self.key(f"limit:{name}"), LIMIT),
            lambda pipe, name: pipe.zscore(self.key("limits_due"), name),
        )
        rows: list[tuple[Any, ...]] = []
        for name, ((places, *amounts), opens_at) in zip(names, found, strict=True):
            token_s, *others = (float(amount) if amount else None for amount in amounts)
            rows.append((name, int(places) if places else None, token_s, *(each or 0.0 for each in others), opens_at))
        return rows

    def _pauses(self) -> list[tuple[Any, ...]]:
        found = (why.decode().split(" ", 1) for why in self._redis.smembers(self.key("pauses")))
        return [tuple(pair) for pair in found if tuple(pair) != HOLD]

    def _schedules(self) -> list[tuple[Any, ...]]:
        names = [name.decode() for name in self._redis.smembers(self.key("schedules"))]
        fields = ("source", "spec", "paused", "last", "since")
        found = self.ask(names, lambda pipe, name: pipe.hmget(self.key(f"schedule:{name}"), fields))
        return [
            (name, source.decode(), spec.decode(), int(paused), float(last), float(since))
            for name, ((source, spec, paused, last, since),) in zip(names, found, strict=True) if source
        ]  # fmt: skip

    def _slots(self) -> list[tuple[Any, ...]]:
        found = []
        for name in [row[0] for row in self._schedules()]:
            for at, text in self._hash(f"slots:{name}"):
                outcome, job_id, reason, noted_at = json.loads(text)
                found.append((name, float(at), outcome, job_id or None, reason or None, float(noted_at)))
        return found

    def _values(self) -> list[tuple[Any, ...]]:
        gone: dict[bytes, float] = dict(self._redis.zrange(self.key("kv_gone"), 0, -1, withscores=True))
        return [(name, value, gone.get(name.encode())) for name, value in self._hash("kv")]

    def _revocations(self) -> list[tuple[Any, ...]]:
        return list(self._hash("revocations"))

    def _locks(self) -> list[tuple[Any, ...]]:
        found = []
        for name, text in self._hash("locks"):
            worker, end, value = text.split(b"|", 2)
            if not worker:  # those of a worker end with it
                found.append((name, value, float(end) if end else None))
        return found

    def _counters(self) -> list[tuple[Any, ...]]:
        return [(name, int(count)) for name, count in self._hash("counters")]

    def _idempotency(self) -> list[tuple[Any, ...]]:
        names = self.names("idem:")
        found = []
        for name, (text,) in zip(names, self.ask(names, lambda pipe, n: pipe.get(self.key(f"idem:{n}"))), strict=True):
            length, _, rest = name.partition(":")
            token, key = rest[: int(length)], rest[int(length) + 1 :]
            if text:  # it may have expired in between
                fingerprint, at, ids = json.loads(text)
                found.append((token, key, fingerprint, tuple(ids), float(at)))
        return found

    def _scheduler(self) -> list[tuple[Any, ...]]:
        alive = self._redis.hget(self.key("meta"), "scheduler")
        gaps = [json.loads(text) for text in self._redis.lrange(self.key("gaps"), 0, -1)]
        history, where, term, at = self._redis.hmget(self.key("outbox_owner"), OutboxOwner._fields)
        found: list[tuple[Any, ...]] = []
        if gaps:
            found.append(("gaps", tuple((float(a), float(b), why) for a, b, why in gaps)))
        if history:
            found.append(("outbox_owner", (history.decode(), where.decode(), int(term), float(at))))
        return [*found, ("scheduler", float(alive))] if alive else found

    def _hash(self, name: str) -> Iterator[tuple[str, bytes]]:
        return ((field.decode(), value) for field, value in self._redis.hgetall(self.key(name)).items())


def item_of(answers: Sequence[Any], progress: bytes | None) -> JobItem:
    """A job, from what Redis holds of it."""
    fields, body, result, kept, unknown_at, gone_at = answers
    job = record_of(fields, body)
    place, why = fields[b"place"].decode(), fields.get(b"why", b"").decode()
    checkpoints = tuple(sorted((key.decode(), data) for key, data in kept.items()))
    item = JobItem(
        job.seq, job, place, result=result, progress=None if progress is None else progress.decode(),
        checkpoints=checkpoints,
    )  # fmt: skip
    if place == "ended":
        token, finished_at, started_at, attempts = json.loads(fields[b"end"])
        worker = worker_of(codec.token_of(token))
        return item._replace(
            place="finished", state=fields[b"state"].decode(), attempts=attempts, started_at=number(started_at),
            finished_at=number(finished_at), worker=worker, gone_at=gone_at,
        )  # fmt: skip
    if place in ("scheduled", "retrying"):
        return item._replace(place="scheduled", why=why or None)
    return item._replace(why=why, blocked_at=unknown_at) if place == "blocked" else item


def record_of(fields: dict[bytes, bytes], body: bytes) -> JobRecord:
    """The record of a job, complete: also how long it may hold its unique key."""
    head, _, payload = body.partition(b"\n")
    sequel = fields.get(b"sequel")
    known = [int(fields.get(b"trees", 0)), sequel and sequel.decode(), 0, int(fields[b"seq"])]
    job = codec.record_of([*known, *codec.fields_of(fields[b"m"], head)], payload)
    seconds = fields.get(b"hold", b"").decode().lstrip("strx")
    return plain(job._replace(unique_s=float(seconds) if seconds else None))


def event_of(number_bytes: bytes, fields: dict[bytes, bytes]) -> EventItem:
    """An event, from an entry of the stream."""
    token, at, started_at, attempt = json.loads(fields[b"e"])
    kind = OLD_KINDS.get(fields[b"k"]) or fields[b"k"].decode()
    detail = fields.get(b"d")
    return EventItem(
        int(number_bytes.partition(b"-")[0]), fields[b"j"].decode(), int(fields[b"s"] or 0), kind,
        codec.token_of(token), float(at), number(started_at), attempt, None if detail is None else detail.decode(),
    )  # fmt: skip
