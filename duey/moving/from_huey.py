"""Takes the messages of a plain Huey queue over as jobs, under their own ids.

Each batch is stored here first and then removed there. If the process dies in between, the next import stores nothing
twice, because a job with the same id is known, and removes them then. What cannot be taken stays where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from huey.registry import Message

from duey import errors
from duey.model.job import JobRecord
from duey.moving.huey_queue import SCHEDULED, WAITING, HueyQueue, Stored
from duey.moving.sandbox import Sandbox
from duey.storage.huey_adapter import kind_of
from duey.tasks.registry import KnownTasks

STEP = 200
Tell = Callable[[str, str], None]


@dataclass
class Imported:
    """What was taken, and what was left, by task or reason."""

    taken: dict[str, Counter[str]] = field(default_factory=lambda: {WAITING: Counter(), SCHEDULED: Counter()})
    left: Counter[str] = field(default_factory=Counter)
    results: int = 0
    taken_by_others: int = 0  # while they were imported: a consumer of the old queue runs


class HueyImport:
    """One import. `known`: the tasks here. With `dry_run` nothing is changed."""

    def __init__(self, source: HueyQueue, huey: Any, sandbox: Sandbox, by: str, tell: Tell, dry_run: bool) -> None:
        self._source, self._huey, self._sandbox = source, huey, sandbox
        self._known = KnownTasks(huey)
        self._by, self._tell, self._dry_run = by, tell, dry_run
        self.done = Imported()

    def run(self) -> Imported:
        """Take everything that can be taken."""
        for place in (WAITING, SCHEDULED):
            skip = 0
            while True:
                with self._source.exclusively():
                    found = self._source.read(place, skip, STEP)
                    removed = self._take(place, found)
                skip += len(found) - removed  # what was left stands before the rest
                self._tell("", f"{sum(self.done.taken[place].values()):,} {place}")
                if not found:
                    break
        for key, data in self._source.values():
            self._take_value(key, data)
        return self.done

    def _take(self, place: str, found: list[Stored]) -> int:
        """Store those that can be taken, and remove them there. Returns how many are gone."""
        good: list[tuple[Stored, JobRecord]] = []
        for each in found:
            try:
                job = self._job_of(self._sandbox.value(each.data))
            except errors.DueyError as exc:
                self.done.left[str(exc)[:200]] += 1
                continue
            good.append((each, job))
            self.done.taken[place][job.task] += 1
        if self._dry_run or not good:
            return 0
        self._store([job for _, job in good])
        removed = self._source.remove(place, [each for each, _ in good])
        self.done.taken_by_others += len(good) - removed
        return len(good)

    def _job_of(self, message: Any) -> JobRecord:
        """The job of a message. Raises UndecodableError, UnknownTask, BadRequest for one that cannot be taken."""
        if not isinstance(message, Message):
            raise errors.UndecodableError(f"a {type(message).__name__} instead of a message of Huey")
        message = self._renamed(message)
        tail = message
        while tail.on_complete is not None:
            tail = tail.on_complete
        for each in (message, tail):
            if each.chord_config is not None and self._source.has_counter(f"chord:{each.chord_config[0]}"):
                raise errors.UndecodableError("a member of a chord of which other members have ended")
        try:
            task = self._huey._registry.create_task(message)
            if (arity := getattr(type(task), "arity", None)) is not None:
                arity.check(message.name, task.args, task.kwargs)
            # As what follows another job: Huey knew no unique keys, so none of these is a duplicate.
            job: JobRecord = self._huey.new_job(task, by=self._by, follows=True)
        except (TypeError, ValueError, AttributeError) as exc:
            raise errors.UndecodableError(f"a call of {message.name} that is not valid here ({exc})") from None
        return job

    def _renamed(self, message: Message) -> Message:
        """The message with the names of tasks here: the same, or that of the only task of this short name."""
        try:
            name = self._known.qualname(message.name)
        except errors.UnknownTask:
            try:
                name = self._known.qualname(message.name.rpartition(".")[2])
            except (errors.UnknownTask, errors.AmbiguousTask):
                raise errors.UndecodableError(f"unknown task {message.name}") from None
        changes: dict[str, Any] = {"name": name}
        for step in ("on_complete", "on_error"):
            if (following := getattr(message, step)) is not None:
                changes[step] = self._renamed(following)
        if message.chord_config is not None:
            *others, callback = message.chord_config
            changes["chord_config"] = (*others, self._renamed(callback))
        return message._replace(**changes)

    def _store(self, jobs: list[JobRecord]) -> None:
        try:
            self._huey.lifecycle.enqueue_jobs(jobs, None, 0)
        except errors.Conflict:  # one of them has ended already: an import before this one has stored it
            for job in jobs:
                with suppress(errors.DuplicateJob):
                    self._huey.lifecycle.enqueue_jobs([job], None, 0)

    def _take_value(self, key: str, data: bytes) -> None:
        """Copy a result or a revocation. Locks and parts of chords have no use here."""
        if key.startswith("chord:") or ".lock." in key:
            self.done.left["locks and parts of chords"] += 1
            return
        try:
            value = self._sandbox.value(data)
        except errors.DueyError as exc:
            self.done.left[f"results: {exc}"[:200]] += 1
            return
        self.done.results += 1
        if not self._dry_run and (kind_of(key) == "revocations" or not self._huey.storage.has_data_for_key(key)):
            self._huey.put(key, value)
