"""Whether the keys of a queue agree with each other (duey.storage.redis.keys), and the log of a server, to be replayed
change by change."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

ENDS = ("done", "failed", "canceled", "expired")
READ = {
    "string": lambda pipe, key: pipe.get(key),
    "hash": lambda pipe, key: pipe.hgetall(key),
    "set": lambda pipe, key: pipe.smembers(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    "list": lambda pipe, key: pipe.lrange(key, 0, -1),
    "stream": lambda pipe, key: pipe.xrange(key),
}


def keys_of(server: redis.Redis, prefix: str) -> dict[str, Any]:
    """Every key of a queue with its contents, as text. Where it is used meanwhile, they are not of one instant."""
    names = sorted(server.scan_iter(f"{prefix}:*", count=10_000))
    pipe = server.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
    kinds = {name: kind.decode() for name, kind in zip(names, pipe.execute(), strict=True) if kind != b"none"}
    for name, kind in kinds.items():
        READ[kind](pipe, name)
    return {name.decode()[len(prefix) + 1 :]: as_text(value) for name, value in zip(kinds, pipe.execute(), strict=True)}


def as_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {as_text(key): as_text(each) for key, each in value.items()}
    if isinstance(value, (list, set)):
        return type(value)(as_text(each) for each in value)
    return tuple(map(as_text, value)) if isinstance(value, tuple) else value


class Keys:
    """The keys of a queue at one instant."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self.keys = keys
        self.jobs = dict(self.named("job:"))

    def named(self, start: str) -> Iterator[tuple[str, Any]]:
        """What follows this beginning in the names of keys, and their contents."""
        return ((name[len(start) :], value) for name, value in self.keys.items() if name.startswith(start))

    def ids(self, name: str) -> list[str]:
        """The members of a sorted set."""
        return [member for member, _ in self.keys.get(name, [])]

    def places(self) -> dict[str, list[tuple[str, str]]]:
        """For each job id, the places that hold it, and what they say besides."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for queue, members in self.named("ready:"):
            for member, rank in members:
                found[member[16:]].append(("ready", f"{queue} {int(member[:16])} {float(rank):g}"))
        for place in ("scheduled", "retrying"):
            for job_id in self.ids(place):
                found[job_id].append((place, ""))
        for why, members in self.named("blocked:"):
            for job_id, _ in members:
                found[job_id].append(("blocked", why))
        for n, claims in self.named("claimed:"):
            for counter, job_id in claims.items():
                found[job_id].append(("claimed", f"{n}:{counter}"))
        for state in ENDS:
            for job_id in self.ids(f"finished:{state}"):
                found[job_id].append(("ended", state))
        return found

    def problems(self) -> list[str]:
        """What does not agree, one sentence each."""
        return [*self._of_jobs(), *self._of_counts(), *self._of_holders(), *self._of_leftovers()]

    def _of_jobs(self) -> Iterator[str]:
        places = self.places()
        for job_id in places.keys() - self.jobs.keys():
            yield f"{places[job_id]} hold {job_id}, which has no record"
        for job_id, job in self.jobs.items():
            place, found = job["place"], places.get(job_id, [])
            says = {
                "ready": f"{job['queue']} {job['seq']} {float(job['rank']):g}", "blocked": job.get("why", ""),
                "claimed": job.get("token", ""), "ended": job.get("state", ""),
            }.get(place, "")  # fmt: skip
            if found != [(place, says)]:
                yield f"job {job_id} says {place} {says}, and is in {found}"
            if (job_id in self.ids("live")) == (place == "ended"):
                yield f"job {job_id} is {place}, which `live` does not say"
            if (job_id in self.ids("gone")) != (place == "ended"):
                yield f"job {job_id} is {place}, which `gone` does not say"
            if place != "claimed" and job.get("token"):
                yield f"job {job_id} is {place} with token {job['token']}"
            if f"body:{job_id}" not in self.keys:
                yield f"job {job_id} has no body"

    def _of_counts(self) -> Iterator[str]:
        blocked: Counter[str] = Counter()
        for why, members in self.named("blocked:"):
            ids = [job_id for job_id, _ in members]
            blocked.update(self.jobs[job_id]["queue"] for job_id in ids if job_id in self.jobs)
            ordered = [member[16:] for member in self.ids(f"blocked_order:{why}")]
            if why.startswith(("limit ", "rate ")) and sorted(ordered) != sorted(ids):
                yield f"blocked_order:{why} is {ordered}, and blocked:{why} {ids}"
        if blocked != Counter({queue: int(count) for queue, count in self.keys.get("blocked_in", {}).items()}):
            yield f"blocked_in is {self.keys.get('blocked_in')}, and {dict(blocked)} jobs are blocked"
        for index, start in (("block_reasons", "blocked:"), ("queues", "ready:"), ("schedules", "schedule:")):
            if missing := {name for name, _ in self.named(start)} - self.keys.get(index, set()):
                yield f"{index} lacks {missing}"
        for counter, numbers in (
            ("seq", [int(job["seq"]) for job in self.jobs.values()]),
            ("event", [int(number.partition("-")[0]) for number, _ in self.keys.get("outbox", [])]),
            ("worker", [int(n) for n, _ in self.named("worker:")]),
        ):
            if max(numbers, default=0) > int(self.keys.get(counter, 0)):
                yield f"{counter} is {self.keys.get(counter)}, and {max(numbers)} was given"

    def _of_holders(self) -> Iterator[str]:
        for unique, text in self.keys.get("unique_locks", {}).items():
            _, fixed, holder = text.split("|", 2)
            place = self.jobs.get(holder, {}).get("place")
            if fixed == "0" and place in (None, "ended"):
                yield f"unique key {unique} is held by {holder}, which is {place}"
        held = {(task, job_id) for task, ids in self.named("limit_holders:") for job_id in ids}
        claimed = {(job["limit"], job_id) for job_id, job in self.jobs.items() if "limit" in job}
        if held != claimed or any(self.jobs[job_id]["place"] != "claimed" for _, job_id in claimed):
            yield f"{held} hold a limit, and {claimed} say so"
        workers = {n for n, _ in self.named("worker:")}
        if workers != set(self.ids("leases")):
            yield f"workers {workers} are registered, and {self.ids('leases')} have a lease"
        if strays := {n for n, _ in self.named("claimed:")} - workers:
            yield f"workers {strays} hold claims, and are not registered"
        of = {(key, lock.split("|")[0]) for key, lock in self.keys.get("locks", {}).items() if not lock.startswith("|")}
        if of != {(key, n) for n, keys in self.named("locks_of:") for key in keys}:
            yield f"{of} hold a lock, and locks_of says otherwise"
        running = {job["seq"] for job in self.jobs.values() if job["place"] == "claimed"}
        if strays := self.keys.get("cancel_requests", set()) - running:
            yield f"jobs {strays} were asked to stop, and do not run"

    def _of_leftovers(self) -> Iterator[str]:
        for start in ("body:", "result:", "checkpoints:"):
            if strays := {job_id for job_id, _ in self.named(start)} - self.jobs.keys():
                yield f"{start} of {strays}, which have no record"
        for name in ("unique_locks", "kv"):
            if strays := set(self.ids(f"{name}_gone")) - self.keys.get(name, {}).keys():
                yield f"{name}_gone holds {strays}, which are gone"
        for name, slots in self.named("slots:"):
            if slots.keys() != set(self.ids(f"slot_times:{name}")):
                yield f"slots and slot_times of {name} differ"
            waiting = {at for at, text in slots.items() if json.loads(text)[0] == "waiting"}
            if waiting != set(self.ids(f"slots_waiting:{name}")):
                yield f"slots {waiting} of {name} wait, and slots_waiting says otherwise"


def problems(server: redis.Redis, prefix: str) -> list[str]:
    """What does not agree in the keys of this queue, one sentence each."""
    return Keys(keys_of(server, prefix)).problems()


def log_of(folder: Path) -> Path:
    """The append-only file of a server that keeps its files in this folder."""
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    return log


def changes_in(log: Path) -> Iterator[bytes]:
    """The changes in an append-only file, in order: each command, or all between MULTI and EXEC."""
    data, at, begun = log.read_bytes(), 0, None
    while at < len(data):
        start = at
        words, at = read_command(data, at)
        if words[0].upper() == b"MULTI":
            begun = start
        elif begun is None or words[0].upper() == b"EXEC":
            yield data[start if begun is None else begun : at]
            begun = None


def read_command(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The words of the command that begins at `at`, and where the next one begins."""
    end = data.index(b"\r\n", at)
    words = []
    for _ in range(int(data[at + 1 : end])):
        at = end + 2
        end = data.index(b"\r\n", at)
        length = int(data[at + 1 : end])
        words.append(data[end + 2 : end + 2 + length])
        end += 2 + length
    return words, end + 2
