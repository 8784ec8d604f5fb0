"""Health and metrics.

`/healthz` says that the web process answers, `/readyz` that jobs can be accepted and will run. Both are open, so that a
load balancer needs no token. Without a token the answer only names the part that fails: messages that name files and
addresses are shown only to a token with the scope `read`.

`/metrics` has the present state of the storage and the counts of the history in the Prometheus text format. The
figures are read at each scrape, so that no counters have to be kept. If the storage is unavailable, the page still
answers, with `duey_up 0` alone, which says more than a failed scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from duey import clock
from duey.api import views
from duey.api.answer import Refusal, respond, respond_bytes
from duey.api.auth import MetricsAuth, TokenAuth
from duey.api.openapi import Answer, Endpoint
from duey.control.service import Control
from duey.errors import StorageUnavailable
from duey.monitor.access import AccessUnavailable
from duey.monitor.history.tallies import BOUNDS_MS

RETRY_AFTER = {"Retry-After": "5"}
WARNED = "there are warnings: ask with a token that has the scope read to see them"


class Health:
    """The endpoints /healthz and /readyz. `check_accounts` raises AccessUnavailable."""

    def __init__(
        self, control: Control, auth: TokenAuth, history: Any = None, check_accounts: Callable[[], None] | None = None
    ) -> None:
        self._control, self._auth, self._history, self._check_accounts = control, auth, history, check_accounts

    def alive(self, environ: Mapping[str, Any], token: None) -> bytes:
        # What the proxy's headers make of the visitor: `duey doctor` compares it with what is true.
        seen = {
            "address": environ.get("REMOTE_ADDR", ""), "scheme": environ["wsgi.url_scheme"],
            "host": environ.get("HTTP_HOST", "")[:300],
        }  # fmt: skip
        return respond(200, {"status": "ok", "seen": seen})

    def ready(self, environ: Mapping[str, Any], token: None) -> bytes:
        with self._control.storage.read_ahead(self._control.health, self._unrecorded_since):
            return self._ready(environ)

    def _ready(self, environ: Mapping[str, Any]) -> bytes:
        health = self._control.health()
        problems, warnings, missing = list(health.problems), list(health.warnings), []
        if not health.usable:
            missing.append("the storage of the queue cannot be used")
        elif not health.ok:
            missing.append("no consumer is running" if health.schedules_since is None else "no consumer runs schedules")
        if self._history is not None:
            history = self._history.health(self._unrecorded_since())
            problems, warnings = [*problems, *history.problems], [*warnings, *history.warnings]
            if history.problems:
                missing.append("the history cannot be read or recorded")
            if history.elsewhere:  # a load balancer must not send anybody here: what has ended is missing
                problems.append(history.elsewhere)
                missing.append("another host records the history of this queue")
        try:
            if self._check_accounts is not None:
                self._check_accounts()
        except AccessUnavailable as exc:  # another web may reach their server: let the balancer ask that one
            problems.append(str(exc))
            missing.append("accounts and tokens cannot be checked")
        if not self._may_read(environ):
            problems, warnings = missing, [WARNED] if warnings else []
        if missing:
            raise Refusal("not-ready", "; ".join(problems), headers=RETRY_AFTER, problems=problems, warnings=warnings)
        return respond(200, {"status": "ready", "warnings": warnings})

    def _unrecorded_since(self) -> float | None:
        try:
            return self._control.unrecorded_since()
        except StorageUnavailable:
            return None

    def _may_read(self, environ: Mapping[str, Any]) -> bool:
        try:
            return self._auth.known(environ).allows("read")
        except (Refusal, AccessUnavailable):
            return False

    def endpoints(self) -> list[Endpoint]:
        text = {"type": "string"}
        seen = views.object_of(address=text, scheme=text, host=text)
        ready = views.object_of(status=text, warnings={"type": "array", "items": text})
        return [
            Endpoint(
                "GET",
                "/healthz",
                self.alive,
                "Check that the web process is alive",
                None,
                {200: Answer("alive", views.object_of(status=text, seen=seen))},
            ),
            Endpoint(
                "GET",
                "/readyz",
                self.ready,
                "Check that jobs are accepted and will run",
                None,
                {200: Answer("ready", ready)},
                (503,),
            ),
        ]


def with_up(name: str, description: str, figures: Callable[[], Iterable[Metric]]) -> Iterator[Metric]:
    """Figures after a gauge that says whether they could be read; only that one if not."""
    up = GaugeMetricFamily(name, description)
    try:
        found = list(figures())
    except StorageUnavailable:
        found = None
    up.add_metric([], int(found is not None))
    yield up
    yield from found or ()


class LiveCollector(Collector):
    """Reads the present figures from the storage at each scrape."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterator[Metric]:
        return with_up("duey_up", "1 when the storage can be read", self._figures)

    def _figures(self) -> list[Metric]:
        control = self._control
        with control.storage.read_ahead(control.counts, control.queues, control.health):
            return [*self._jobs(), *self._queues(), *self._consumers()]

    def _jobs(self) -> Iterator[GaugeMetricFamily]:
        counts = self._control.counts()
        jobs = GaugeMetricFamily("duey_jobs", "Unfinished jobs by state", labels=["state"])
        for state in ("scheduled", "queued", "blocked", "running", "retrying"):
            jobs.add_metric([state], getattr(counts, state))
        yield jobs
        yield GaugeMetricFamily("duey_events_unrecorded", "Events that are not in the history yet", counts.events)
        oldest = counts.oldest_queued_at
        age = 0.0 if oldest is None else max(0.0, clock.now() - oldest)
        yield GaugeMetricFamily("duey_oldest_queued_age_seconds", "Age of the oldest queued job", age)

    def _queues(self) -> Iterator[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("duey_queue_waiting", "Jobs waiting in a queue", labels=["queue"])
        oldest = GaugeMetricFamily("duey_queue_oldest_age_seconds", "Age of its oldest job", labels=["queue"])
        paused = GaugeMetricFamily("duey_queue_paused", "1 while a queue is paused", labels=["queue"])
        for queue in self._control.queues():
            waiting.add_metric([queue.name], queue.waiting)
            oldest.add_metric([queue.name], queue.oldest_age_s or 0.0)
            paused.add_metric([queue.name], queue.paused)
        yield from (waiting, oldest, paused)

    def _consumers(self) -> Iterator[GaugeMetricFamily]:
        consumers = [each for each in self._control.workers() if each.alive]
        workers = sum(each.workers for each in consumers)
        busy = sum(len(each.running) for each in consumers)
        yield GaugeMetricFamily("duey_consumers", "Live consumer processes", len(consumers))
        yield GaugeMetricFamily("duey_workers", "Workers of live consumers", workers)
        yield GaugeMetricFamily("duey_workers_busy", "Workers that run a job now", busy)
        since = self._control.health().schedules_since
        stopped_s = 0.0 if since is None else max(0.0, clock.now() - since)
        description = "How long no consumer has run schedules; 0 while one does"
        yield GaugeMetricFamily("duey_schedules_standing_seconds", description, stopped_s)


YEAR_S = 366 * 86400.0
OUTCOMES = ("done", "failed", "retried", "canceled", "expired", "rescued")


class HistoryCollector(Collector):
    """Reads the counts from the history, over the last year, so that counters increase."""

    def __init__(self, history: Any) -> None:
        self._history = history

    def collect(self) -> Iterator[Metric]:
        return with_up("duey_history_up", "1 when the history can be read", self._figures)

    def _figures(self) -> Iterator[Metric]:
        tasks, kept = self._history.tasks(YEAR_S), self._history.kept()
        ended = CounterMetricFamily(
            "duey_jobs_ended", "Ended jobs and failed attempts by task", labels=["task", "outcome"]
        )
        run = HistogramMetricFamily("duey_job_run_seconds", "How long attempts ran", labels=["task"])
        wait = HistogramMetricFamily("duey_job_wait_seconds", "How long attempts waited for a worker", labels=["task"])
        for task in tasks:
            for outcome in OUTCOMES:
                ended.add_metric([task.qualname, outcome], getattr(task.outcomes, outcome))
            for family, found in ((run, task.run), (wait, task.wait)):
                family.add_metric([task.qualname], cumulative(found.buckets), found.sum_ms / 1000)
        yield from (ended, run, wait)
        yield GaugeMetricFamily("duey_history_jobs", "Jobs that the history holds", kept.jobs)
        size = kept.file_bytes + kept.wal_bytes
        yield GaugeMetricFamily("duey_history_bytes", "Size of the history file and its write-ahead log", size)
        if kept.disk_free_bytes is not None:
            free = kept.disk_free_bytes
            yield GaugeMetricFamily("duey_disk_free_bytes", "Free space on the disk of the history", free)


def cumulative(buckets: Sequence[int]) -> list[tuple[str, float]]:
    """Convert geometric buckets to Prometheus pairs: upper bound in seconds, number of values up to this bound."""
    total, found = 0, []
    for bound_ms, count in zip(BOUNDS_MS, buckets, strict=True):
        total += count
        found.append((floatToGoString(bound_ms / 1000), float(total)))
    return found


class Metrics:
    """The endpoint /metrics, open unless `[auth] metrics_token` is set."""

    def __init__(self, control: Control, turnstile: MetricsAuth, history: Any = None) -> None:
        self._turnstile = turnstile
        # Our own registry: the default one adds figures of this process and of other libraries.
        self._registry = CollectorRegistry()
        self._registry.register(LiveCollector(control))
        if history is not None:
            self._registry.register(HistoryCollector(history))

    def show(self, environ: Mapping[str, Any], token: None) -> bytes:
        self._turnstile.admit(environ)
        page = generate_latest(self._registry)
        respond_bytes(200, CONTENT_TYPE_PLAIN_0_0_4)
        return page

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/metrics",
                self.show,
                "Figures for Prometheus",
                None,
                {200: Answer("text", {"type": "string"}, content_type="text/plain")},
                (401,),
            )
        ]
