"""The health of the service in one sentence, the worst problem first.

    All well: 4 workers, nothing waiting.
    2 jobs failed since your last visit; the oldest job waits 6 min: all 4 workers are busy.
    No consumer is running since 13:40: 12 jobs wait.

Less important facts, such as a pause or a warning of a storage, are lines below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from duey.control.health import Stranded
from duey.model.job import Counts, QueueInfo, TaskInfo, WorkerInfo
from duey.monitor.history import Count, ErrorGroup, HistoryHealth, SeenWorker, SlotGroup
from duey.monitor.web.display.formats import count, number, plural, span
from duey.monitor.web.display.text import one_line

GOOD, NOTE, BAD = "good", "note", "bad"
LONG_WAIT_S = 60.0
MANY_EVENTS = 1000
TITLE_CHARS = 80


@dataclass(frozen=True)
class Clause:
    """A part of the sentence: text, a duration from `since`, and `tail`. `about` names the page that it links to."""

    text: str
    since: float | None = None
    tail: str = ""
    about: str = ""


@dataclass
class Situation:
    """The known facts. None means that one is not available now."""

    now: float
    counts: Counts | None
    workers: Sequence[WorkerInfo] = ()
    tasks: Sequence[TaskInfo] = ()
    queues: Sequence[QueueInfo] = ()
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    history: HistoryHealth = field(default_factory=lambda: HistoryHealth(True))
    failed: Count = field(default_factory=lambda: Count(0))
    since_visit: bool = False  # `failed` counts since the last visit, else in 24 h
    failed_after: float = 0.0  # the time from which on `failed` counts
    seen: Sequence[SeenWorker] = ()
    missed: Sequence[SlotGroup] = ()  # slots of schedules, newest first
    troubles: Sequence[ErrorGroup] = ()  # open groups, as far as they are listed
    incidents: Sequence[str] = ()  # titles of the open ones, newest first
    stranded: Sequence[Stranded] = ()  # jobs that no consumer will run
    schedules_since: str = ""  # since when no consumer runs schedules, as shown text

    @property
    def serving(self) -> list[WorkerInfo]:
        return [each for each in self.workers if each.alive and each.worker_type != "alone"]

    @property
    def hands(self) -> int:
        return hands(self.workers)

    @property
    def busy(self) -> int:
        return busy(self.workers)


def hands(workers: Sequence[WorkerInfo]) -> int:
    """Return how many workers take jobs: those of consumers that are alive and not quiet."""
    return sum(each.workers for each in workers if _takes_jobs(each))


def busy(workers: Sequence[WorkerInfo]) -> int:
    """Return how many of them run a job."""
    return sum(len(each.running) for each in workers if _takes_jobs(each))


def _takes_jobs(worker: WorkerInfo) -> bool:
    return worker.alive and not worker.quiet and worker.worker_type != "alone"


@dataclass(frozen=True)
class Health:
    """The sentence in clauses, the worst level, and the lines below it."""

    level: str
    clauses: tuple[Clause, ...]
    lines: tuple[str, ...]

    def text(self, now: float) -> str:
        """The sentence without markup, for JSON."""
        clauses = [c.text + (span(now - c.since) if c.since else "") + c.tail for c in self.clauses]
        return "; ".join(clauses) + "."


def judge(now: Situation) -> Health:
    """Return the health of a situation."""
    if now.counts is None:
        return Health(BAD, (Clause("The queue's storage cannot be used"),), (*now.problems, *_lines(now)))
    bad, notes = _bad(now, now.counts), _notes(now, now.counts)
    if bad or notes:
        clauses = (*bad, *notes)
        first = replace(clauses[0], text=clauses[0].text[:1].upper() + clauses[0].text[1:])
        return Health(BAD if bad else NOTE, (first, *clauses[1:]), _lines(now))
    return Health(GOOD, (Clause(f"All well: {plural(now.hands, 'worker')}, {_waiting(now.counts)}"),), _lines(now))


def _waiting(counts: Counts) -> str:
    waiting = counts.queued + counts.blocked
    blocked = f", {number(counts.blocked)} of them blocked" if counts.blocked else ""
    return f"{plural(waiting, 'job')} waiting{blocked}" if waiting else "nothing waiting"


def _bad(now: Situation, counts: Counts) -> list[Clause]:
    found = []
    waiting_jobs = counts.queued + counts.blocked
    if not now.serving:
        waiting = f": {plural(waiting_jobs, 'job')} wait" if waiting_jobs else ""
        last = max((each.seen_at for each in now.seen), default=None)
        found.append(
            Clause("no consumer is running for ", last, waiting, "workers")
            if last
            else Clause(f"no consumer is running{waiting}", about="workers")
        )
    elif not now.hands:
        text = f"all workers are quiet and take no jobs ({plural(waiting_jobs, 'job')} waiting)"
        found.append(Clause(text, about="workers"))
    found += [Clause(one_line(each, 3 * TITLE_CHARS)) for each in now.problems]
    for each in now.stranded:
        about = "workers" if each.kind == "queue" else "blocked"
        found.append(Clause(one_line(str(each), 3 * TITLE_CHARS), about=about))
    found += [Clause(one_line(each, 3 * TITLE_CHARS)) for each in now.history.problems]
    if now.serving and now.schedules_since:
        found.append(Clause(f"no consumer runs schedules since {now.schedules_since}", about="missed"))
    if now.incidents:
        found.append(Clause(_open_incidents(now.incidents), about="incidents"))
    if now.failed.number:
        jobs = "job" if now.failed.number == 1 else "jobs"
        when = "since your last visit" if now.since_visit else "in the last 24 h"
        found.append(Clause(f"{count(now.failed)} {jobs} failed {when}", about="failed"))
    if now.missed:
        missed = sum(each.count for each in now.missed)
        found.append(Clause(f"{plural(missed, 'scheduled run')} missed", about="missed"))
    return found


def _open_incidents(titles: Sequence[str]) -> str:
    newest = one_line(titles[0], TITLE_CHARS)
    return f"{len(titles)} open incidents, the newest: {newest}" if len(titles) > 1 else f"open incident: {newest}"


def _notes(now: Situation, counts: Counts) -> list[Clause]:
    oldest, notes = counts.oldest_queued_at, []
    if now.serving and now.hands and oldest is not None and now.now - oldest > LONG_WAIT_S:
        why = f": all {now.hands} workers are busy" if now.hands > 1 else ": the only worker is busy"
        notes.append(Clause("the oldest job waits ", oldest, why if now.busy >= now.hands else "", "waiting"))
    if now.history.elsewhere:
        notes.append(Clause("what has ended is recorded on another host"))
    return notes


def _lines(now: Situation) -> tuple[str, ...]:
    lines = [*(now.history.problems if now.counts is None else ()), *now.history.warnings, *now.warnings]
    paused = [task.name for task in now.tasks if task.paused] + [f"the queue {q.name}" for q in now.queues if q.paused]
    if paused:
        lines.append(f"Paused: {', '.join(paused)}.")
    if now.counts is not None and now.counts.events > MANY_EVENTS and now.history.ok:
        lines.append(f"{plural(now.counts.events, 'event')} are not in the history yet: lists lag behind.")
    return tuple(lines)
