"""What a body used is measured, and what is too short is not."""

from __future__ import annotations

from duey.execution.body import usage
from duey.execution.body.usage import LEAST_S, SHORT_BODIES, Meter, ProcessMeter


def test_bodies_that_are_always_short_are_soon_not_measured_any_more():
    meter = Meter()
    for _ in range(SHORT_BODIES):
        began = meter.begin("tasks.a")
        assert began is not None and meter.end("tasks.a", began, LEAST_S / 2) is None
    assert meter.begin("tasks.a") is None and meter.begin("tasks.b") is not None
    assert meter.end("tasks.a", None, LEAST_S) is None  # a long one: from the next one on they are measured again
    began = meter.begin("tasks.a")
    assert began is not None
    used = meter.end("tasks.a", began, LEAST_S)
    assert used is not None and used.cpu_ms >= 0 and used.peak_bytes is None


def test_where_the_peak_cannot_begin_anew_it_is_known_only_if_it_grew(monkeypatch):
    highest = iter((100, 100, 300, 300))
    monkeypatch.setattr(usage, "highest_bytes", lambda: next(highest))
    monkeypatch.setattr(usage, "begin_anew", lambda: False)
    meter = ProcessMeter()
    used = [meter.end("tasks.a", meter.begin("tasks.a"), LEAST_S) for _ in range(3)]
    assert [each and each.peak_bytes for each in used] == [None, 300, None]
