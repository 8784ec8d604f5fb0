"""The figures of a scene: tasks, minutes, days, waits, slots and error groups."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

from duey.monitor.history import Distribution, ErrorGroup, Interval, Outcomes, TaskFigures, TaskHistory, TaskStep, Waits
from duey.monitor.history.values import BUCKETS, Count
from tests.monitor.web.fake_history import FakeHistory


@functools.cache
def distribution(count: int, centre: int) -> Distribution:
    """So many run times around one bucket."""
    normal = NormalDist(centre, 1.6)
    edges = [0.0, *(normal.cdf(n + 0.5) for n in range(BUCKETS - 1)), 1.0]
    buckets = tuple(round(count * (high - low)) for low, high in pairwise(edges))
    p50 = 2.0**centre / 10
    return Distribution(sum(buckets), p50 * count * 1.3, p50 * 22, p50, p50 * 4, buckets)


def make_figures(history: FakeHistory, rng: random.Random, now: float) -> None:
    plan = (
        ("tasks.deliver_webhook", 8412, 214, 96, 10),
        ("tasks.send_email", 3120, 31, 40, 11),
        ("tasks.import_csv", 96, 12, 0, 18),
        ("tasks.add", 12_904, 0, 0, 3),
        ("periodic.heartbeat", 288, 0, 0, 8),
        ("periodic.nightly_backup", 1, 0, 0, 15),
    )
    for qualname, done, failed, retried, centre in plan:
        run, wait = distribution(done + failed, centre), distribution(done + failed, 5)
        outcomes = Outcomes(done + failed + 3, done, failed, retried, 2, 1, 0)
        line = tuple(max(0, round(rng.gauss(done / 30, done / 90))) for _ in range(30))
        bad = tuple(min(all_, round(rng.expovariate(30 / failed))) if failed else 0 for all_ in line)
        figures = TaskFigures(
            qualname.rpartition(".")[2],
            qualname,
            86400.0,
            outcomes,
            (done + failed) / 86400,
            run,
            wait,
            run.sum_ms,
            line,
            bad,
            now - rng.randrange(3000),
        )
        history.figures.append(figures)
        steps = tuple(
            TaskStep(
                now - 86400 + n * 1800,
                Outcomes(done=done // 48, failed=failed // 48),
                distribution(done // 48, centre),
            )
            for n in range(48)
        )
        for name in (figures.task, qualname):
            history.histories[name] = TaskHistory(figures, 1800.0, steps)
    history.figures.sort(key=lambda each: -each.total_run_ms)
    minute = now // 60 * 60
    history.past_minutes = tuple(
        Interval(
            minute - n * 60,
            Outcomes(
                done=max(0, round(rng.gauss(17, 6))), failed=int(rng.expovariate(1.6)) if n not in range(20, 26) else 4
            ),
            n > 0,
        )
        for n in range(59, -1, -1)
    )
    history.past_days = tuple(
        Interval(minute - n * 86400, Outcomes(done=rng.randrange(15_000, 27_000), failed=rng.randrange(90, 700)), n > 0)
        for n in range(29, -1, -1)
    )
    history.past_waits = tuple(
        Waits(minute - n * 60, 17, rng.lognormvariate(3, 0.5), rng.lognormvariate(5, 0.7), rng.lognormvariate(6, 0.7))
        for n in range(59, -1, -1)
    )


def make_errors(history: FakeHistory, rng: random.Random, now: float) -> None:
    plan: Sequence[tuple[str, str, str, int, str, float, float | None]] = (
        ("ConnectionRefusedError", "[Errno 111] Connection refused", "deliver_webhook", 214, "open", 60.0, None),
        (
            "SMTPServerDisconnected",
            "Connection unexpectedly closed: timed out",
            "send_email",
            31,
            "open",
            1300.0,
            now - 4000,
        ),
        ("Discard", "line 1042: expected 7 fields, found 6", "import_csv", 12, "open", 7000.0, None),
        ("TimeoutError", "no answer within 10 s", "deliver_webhook", 96, "muted", 42.0, None),
        ("DatabaseError", "file is not a database", "import_csv", 3, "fixed", 180_000.0, None),
    )
    for n, (kind, message, task, count, state, ago, regressed) in enumerate(plan):
        spark = tuple(int(rng.expovariate(20 / count)) for _ in range(28))
        first = now - (3 * 3600 if n == 0 else 6 * 86400)
        history.groups.append(
            ErrorGroup(
                f"{task:0<16.16}" if n < 3 else f"{n:016x}",
                kind,
                message,
                task,
                f"tasks.{task}",
                (f"tasks.py:{task}", "duey/recipes/webhook.py:deliver"),
                state,
                count,
                first,
                now - ago,
                history.rows[0].job.id,
                Count(count // 20),
                count // 3,
                count,
                spark,
                regressed,
            )
        )
