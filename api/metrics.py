"""Metrics: what the storage holds now, as Prometheus text.

The figures are read when they are asked for, so nothing is counted twice and nothing has to be kept. With the
storage away the page still answers, with `dewey_up 0` alone: a scrape that fails says less.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from api.answer import say_bytes
from api.endpoint import Answer, Endpoint
from api.gate import Turnstile
from engine.control import Control
from engine.errors import StorageUnavailable


class LiveCollector(Collector):
    """Gives the present figures of the storage at each scrape."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("dewey_up", "1 when the storage can be read")
        try:
            figures = [*self._jobs(), *self._queues(), *self._consumers()]
        except StorageUnavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from figures

    def _jobs(self) -> Iterator[GaugeMetricFamily]:
        counts = self._control.counts()
        jobs = GaugeMetricFamily("dewey_jobs", "Unfinished jobs by state", labels=["state"])
        for state in ("scheduled", "queued", "running", "retrying"):
            jobs.add_metric([state], getattr(counts, state))
        yield jobs
        yield GaugeMetricFamily("dewey_jobs_parked", "Jobs set aside until they may run", counts.parked)
        yield GaugeMetricFamily("dewey_events_unrecorded", "Events that are not in the books yet", counts.events)
        oldest = counts.oldest_queued_at
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield GaugeMetricFamily("dewey_oldest_queued_age_seconds", "Age of the oldest queued job", age)

    def _queues(self) -> Iterator[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("dewey_queue_waiting", "Jobs waiting in a queue", labels=["queue"])
        oldest = GaugeMetricFamily("dewey_queue_oldest_age_seconds", "Age of its oldest job", labels=["queue"])
        paused = GaugeMetricFamily("dewey_queue_paused", "1 while a queue is paused", labels=["queue"])
        for queue in self._control.queues():
            waiting.add_metric([queue.name], queue.waiting)
            oldest.add_metric([queue.name], queue.oldest_age_s or 0.0)
            paused.add_metric([queue.name], queue.paused)
        yield from (waiting, oldest, paused)

    def _consumers(self) -> Iterator[GaugeMetricFamily]:
        consumers = [each for each in self._control.workers() if each.alive]
        workers = sum(each.workers for each in consumers)
        busy = sum(len(each.running) for each in consumers)
        yield GaugeMetricFamily("dewey_consumers", "Live consumer processes", len(consumers))
        yield GaugeMetricFamily("dewey_workers", "Workers of live consumers", workers)
        yield GaugeMetricFamily("dewey_workers_busy", "Workers that run a job now", busy)


class Metrics:
    """The endpoint /metrics, open unless `[auth] metrics_token` is set."""

    def __init__(self, control: Control, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        # A registry of our own: the default one shows this process's figures, and those of other libraries.
        self._registry = CollectorRegistry()
        self._registry.register(LiveCollector(control))

    def show(self, environ: Mapping[str, Any], token: None) -> bytes:
        self._turnstile.admit(environ)
        page = generate_latest(self._registry)
        say_bytes(200, CONTENT_TYPE_PLAIN_0_0_4)
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
            ),
        ]
