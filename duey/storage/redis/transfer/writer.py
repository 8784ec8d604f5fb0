"""Writes the items of a move to Redis: each method the commands that store one item, in a pipeline of the caller."""

from __future__ import annotations

import json
from typing import Any

from duey import clock
from duey.model.event import OutboxOwner
from duey.model.job import ENDED
from duey.storage.redis import codec
from duey.storage.redis.enqueue import KEPT_S
from duey.storage.redis.keys import idempotency_key
from duey.storage.transfer import EventItem, JobItem

LIMIT = ("places", "token_s", "burst", "tokens", "at")


class ItemWriter:
    """For the keys of one service. A method for each section: put_SECTION."""

    def __init__(self, start: str) -> None:
        self._start = start

    def key(self, name: str) -> str:
        return f"{self._start}{name}"

    def put_jobs(self, pipe: Any, each: JobItem) -> None:
        job, seq = each.job, str(each.seq)
        words: codec.Words = []
        codec.job_words(words, job, 0.0)
        _, body, m, rank, queue, task, _, _, chord, sequel = words
        if job.sequel is None:  # stored by a version that did not know it, and says so by leaving it out
            head, _, payload = body.partition(b"\n")
            body = b"%b\n%b" % (codec.compact(json.loads(b"[" + head)[:-2])[1:].encode(), payload)
        fields: dict[str, Any] = {
            "seq": seq, "queue": queue, "task": task, "rank": rank, "m": m, "place": each.place, "token": "",
        }  # fmt: skip
        optional = {"chord": chord, "sequel": sequel, "trees": job.tree_deaths, "why": each.why}
        fields |= {name: value for name, value in optional.items() if value}
        if job.unique_key is not None:
            fields["hold"], _, key = codec.unique_word(job).partition("=")
            fields["unique"] = f"={key}"
        member = seq.zfill(16) + job.id
        if each.place == "finished":
            ended = codec.event_json((each.worker or 0) << 32, each.finished_at, each.started_at, each.attempts or 0)
            fields |= {"place": "ended", "state": each.state, "end": ended, "ev": 0}
            pipe.zadd(self.key(f"finished:{each.state}"), {job.id: seq})
            if each.gone_at is not None:
                pipe.zadd(self.key("gone"), {job.id: each.gone_at})
            if each.result is not None:
                pipe.set(self.key(f"result:{job.id}"), each.result)
        else:
            pipe.zadd(self.key("live"), {job.id: seq})
        if each.place == "ready":
            pipe.zadd(self.key(f"ready:{queue}"), {member: rank})
            pipe.sadd(self.key("queues"), queue)
        elif each.place == "scheduled":
            fields["place"] = "retrying" if job.attempt else "scheduled"
            pipe.zadd(self.key(fields["place"]), {job.id: job.eta})
        elif each.place == "blocked":
            pipe.zadd(self.key(f"blocked:{each.why}"), {job.id: seq})
            pipe.sadd(self.key("block_reasons"), str(each.why))
            pipe.hincrby(self.key("blocked_in"), queue, 1)
            if str(each.why).startswith(("limit ", "rate ")):
                pipe.zadd(self.key(f"blocked_order:{each.why}"), {member: rank})
            if each.blocked_at is not None:
                pipe.zadd(self.key("unknown"), {job.id: each.blocked_at})
        pipe.hset(self.key(f"job:{job.id}"), mapping=fields)
        pipe.set(self.key(f"body:{job.id}"), body)
        if each.progress is not None:
            pipe.hset(self.key("progress"), seq, each.progress)
        if each.checkpoints:
            pipe.hset(self.key(f"checkpoints:{job.id}"), mapping=dict(each.checkpoints))

    def put_events(self, pipe: Any, event: EventItem) -> None:
        fields = {
            "j": event.job_id, "s": event.seq or "", "k": event.kind,
            "e": codec.event_json(event.token, event.at, event.started_at, event.attempt),
        }  # fmt: skip
        if event.detail is not None:
            fields["d"] = event.detail
        pipe.xadd(self.key("outbox"), fields, id=f"{event.number}-0")
        if event.kind in ENDED:  # a job is removed once this event was read
            pipe.hset(self.key(f"job:{event.job_id}"), "ev", event.number)

    def put_parts(self, pipe: Any, item: tuple[Any, ...]) -> None:
        cid, index, value = item
        pipe.hset(self.key(f"chord:{cid}"), index, value)

    def put_unique(self, pipe: Any, item: tuple[Any, ...]) -> None:
        key, job_id, until, fixed = item
        pipe.hset(self.key("unique_locks"), f"={key}", f"{'' if until is None else until}|{fixed}|{job_id}")
        if until is not None:
            pipe.zadd(self.key("unique_locks_gone"), {f"={key}": until})

    def put_limits(self, pipe: Any, item: tuple[Any, ...]) -> None:
        name, *values, opens_at = item
        texts = ["" if value is None else value for value in values]
        pipe.hset(self.key(f"limit:{name}"), mapping=dict(zip(LIMIT, texts, strict=True)))
        if opens_at is not None:
            pipe.zadd(self.key("limits_due"), {name: opens_at})

    def put_pauses(self, pipe: Any, item: tuple[Any, ...]) -> None:
        pipe.sadd(self.key("pauses"), " ".join(item))

    def put_schedules(self, pipe: Any, item: tuple[Any, ...]) -> None:
        name, source, spec, paused, last, since = item
        fields = {"source": source, "spec": spec, "paused": int(paused), "last": float(last), "since": float(since)}
        pipe.hset(self.key(f"schedule:{name}"), mapping=fields)
        pipe.sadd(self.key("schedules"), name)

    def put_slots(self, pipe: Any, item: tuple[Any, ...]) -> None:
        name, at, outcome, job_id, reason, noted_at = item
        text = json.dumps([outcome, job_id or "", reason or "", str(noted_at)])
        pipe.hset(self.key(f"slots:{name}"), str(at), text)
        pipe.zadd(self.key(f"slot_times:{name}"), {str(at): at})
        if outcome == "waiting":
            pipe.zadd(self.key(f"slots_waiting:{name}"), {str(at): at})

    def put_values(self, pipe: Any, item: tuple[Any, ...]) -> None:
        key, value, expires_at = item
        pipe.hset(self.key("kv"), key, value)
        if expires_at is not None:
            pipe.zadd(self.key("kv_gone"), {key: expires_at})

    def put_revocations(self, pipe: Any, item: tuple[Any, ...]) -> None:
        pipe.hset(self.key("revocations"), *item)

    def put_locks(self, pipe: Any, item: tuple[Any, ...]) -> None:
        key, value, expires_at = item
        text = f"|{'' if expires_at is None else expires_at}|".encode() + value
        pipe.hset(self.key("locks"), key, text)

    def put_counters(self, pipe: Any, item: tuple[Any, ...]) -> None:
        pipe.hset(self.key("counters"), *item)

    def put_idempotency(self, pipe: Any, item: tuple[Any, ...]) -> None:
        token, key, fingerprint, ids, at = item
        text = json.dumps([fingerprint, str(at), list(ids)])
        left_s = max(1, int(at + KEPT_S - clock.now()))
        pipe.set(self.key(idempotency_key(token, key)), text, ex=left_s)

    def put_scheduler(self, pipe: Any, item: tuple[Any, ...]) -> None:
        key, value = item
        if key == "scheduler":
            pipe.hset(self.key("meta"), "scheduler", value)
        elif key == "outbox_owner":
            pipe.hset(self.key("outbox_owner"), mapping=OutboxOwner(*value)._asdict())
        else:
            texts = [json.dumps([str(since), str(until), why]) for since, until, why in value]
            pipe.delete(self.key("gaps"))
            pipe.rpush(self.key("gaps"), *texts)
