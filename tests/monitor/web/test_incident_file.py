"""The incident file of a job and of an error: all that a ticket needs, in one file."""

from __future__ import annotations

import re

from tests.monitor.web.client import Browser
from tests.monitor.web.world import World


def test_a_file_holds_all_that_is_known_of_a_failed_job(world: World, viewer: Browser) -> None:
    with world.history.database.writing() as db:
        db.execute_sql("DELETE FROM deploys")
        db.execute_sql("INSERT INTO deploys VALUES ('31bb9c4f77aa', 1)")
    page = viewer.get("/monitor/jobs/failed-0")
    assert 'href="/monitor/jobs/failed-0/incident"' in page.text
    answer = viewer.get("/monitor/jobs/failed-0/incident")
    assert answer.headers["content-disposition"] == 'attachment; filename="incident-failed-0.html"'
    for text in (
        "JSONDecodeError", "https://hooks.example.com/0", "[redacted]", "Traceback (most recent call last)",
        "31bb9c4f77aa", "Timeline", "failed attempts since", "Around that time", "failed-1",
        "Hidden values stay hidden",
    ):  # fmt: skip
        assert text in answer.text, text
    loads = re.findall(r"(?:src|href)=|url\(|<script|@import", answer.text)
    assert loads == [], "it needs no other file"


def test_a_file_of_an_error_has_its_last_failure(world: World, viewer: Browser) -> None:
    group = world.history.error_groups("open").groups[0]
    address = f"/monitor/errors/{group.fingerprint}"
    assert f'href="{address}/incident"' in viewer.get(address).text
    answer = viewer.get(f"{address}/incident")
    assert group.last_job_id in answer.text and "Traceback" in answer.text
    for row in world.history.failed_jobs(group.fingerprint, 50):
        if row.job.state == "failed":
            world.history.forget(row.job.id)
    assert viewer.get(f"{address}/incident").status == 200, "its jobs may be gone"
    for gone in ("jobs/none", "errors/none"):
        assert viewer.get(f"/monitor/{gone}/incident").status == 404, gone
