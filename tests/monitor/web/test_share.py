"""A link for a person who waits for a job: what it shows, to whom, and for how long."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.monitor.conftest import Clock
from tests.monitor.web.client import Browser
from tests.monitor.web.world import World


def link_of(admin: Browser, job_id: str, lifetime: str = "1h") -> str:
    """The path of a new link, as its page shows it."""
    made = admin.post(f"/monitor/jobs/{job_id}/share", {"for": lifetime})
    found = re.search(r"<pre data-copy>(http://duey\.localhost/monitor/shared/[\w.=-]+)</pre>", made.text)
    assert found, made.words
    return urlsplit(found[1]).path


def test_a_stranger_sees_the_progress_and_nothing_else(world: World, admin: Browser, anonymous: Browser) -> None:
    admin.get("/monitor/jobs/running-0")
    path = link_of(admin, "running-0")
    page = anonymous.get(path)
    assert page.status == 200 and "nightly_backup running" in page.words and "64 %" in page.words
    assert page.headers["x-robots-tag"] == "noindex, nofollow" and 'id="live"' in page.text
    assert anonymous.get(f"{path}?fragment=state").status == 200
    shown = anonymous.get(f"{path}.json").json
    assert {*shown} == {"job", "expires_at"} and {*shown["job"]} == {
        "task", "state", "enqueued_at", "eta", "started_at", "finished_at", "progress"
    }  # fmt: skip
    world.finish("running-0")
    assert "nightly_backup done" in anonymous.get(path).words and "64 %" not in anonymous.get(path).words
    for secret in ("JSONDecodeError", "hooks.example.com", "Expecting property"):
        assert secret not in anonymous.get(link_of(admin, "failed-0")).text
    assert anonymous.get("/monitor/jobs/running-0").status == 303, "nothing else opens by it"


def test_a_link_expires_and_cannot_be_changed_or_made(
    world: World, admin: Browser, viewer: Browser, anonymous: Browser, clock: Clock
) -> None:
    path, other = link_of(admin, "failed-0"), link_of(admin, "failed-1", "7d")
    expires, job_id, mark = path.rpartition("/")[2].split(".")
    for forged in (
        f"{int(expires) + 9}.{job_id}.{mark}", f"{expires}.{other.split('.')[1]}.{mark}", f"{expires}.{job_id}.",
        "x", f"{expires}.{job_id}.ž", f"{expires}..{mark}",
    ):  # fmt: skip
        assert anonymous.get(f"/monitor/shared/{forged}").status in (404, 303), forged
    assert anonymous.get(path).status == 200
    clock.now += 3601
    assert anonymous.get(path).status == 410 and anonymous.get(other).status == 200
    assert viewer.post("/monitor/jobs/failed-0/share").status == 403
    assert admin.post("/monitor/jobs/failed-0/share", {"for": "1y"}).status == 422
    assert admin.post("/monitor/jobs/none/share").status == 404
    trail = world.access.audit.page(limit=2)
    assert [(each.action, each.target) for each in trail] == [("share job", "failed-1"), ("share job", "failed-0")]
    world.history.forget("failed-1")
    world.control.forget("failed-1")
    assert "no longer kept" in anonymous.get(other).words
