"""A small deployment as an admin finds it in the morning, in proportions as they are found."""

from __future__ import annotations

import random

from tests.monitor.web.fake_books import FakeBooks
from tests.monitor.web.scene_figures import make_errors, make_figures
from tests.monitor.web.scene_jobs import make_past, make_present
from tests.monitor.web.scene_schedules import make_schedules
from tests.monitor.web.scene_tasks import SceneControl


def make_morning(control: SceneControl, books: FakeBooks, now: float, seed: int = 7) -> None:
    """Everything that a page can show, in proportions as they are found."""
    rng = random.Random(seed)
    make_past(control, books, rng, now)
    make_present(control, books, rng, now)
    make_figures(books, rng, now)
    make_errors(books, rng, now)
    make_schedules(control.schedules, books.rows[0].job.id, rng, now)  # type: ignore[arg-type]
    books.last_visit = now - 9 * 3600
    control.paused.add("tasks.import_csv")
