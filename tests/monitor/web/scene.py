"""A small deployment as an admin finds it in the morning, in proportions as they are found."""

from __future__ import annotations

import random

from tests.monitor.web.fake_history import FakeHistory
from tests.monitor.web.scene_figures import make_errors, make_figures
from tests.monitor.web.scene_jobs import make_past, make_present
from tests.monitor.web.scene_schedules import make_schedules
from tests.monitor.web.scene_tasks import SceneControl


def make_morning(control: SceneControl, history: FakeHistory, now: float, seed: int = 7) -> None:
    """Everything that a page can show, in proportions as they are found."""
    rng = random.Random(seed)
    make_past(control, history, rng, now)
    make_present(control, history, rng, now)
    make_figures(history, rng, now)
    make_errors(history, rng, now)
    make_schedules(control.schedules, history.rows[0].job.id, rng, now)  # type: ignore[arg-type]
    history.last_visit = now - 9 * 3600
    control.paused.add("tasks.import_csv")
