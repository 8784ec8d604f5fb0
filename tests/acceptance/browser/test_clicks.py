"""How many clicks fourteen questions of an admin take, counted from the page where they come up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Locator, Page, expect

from duey.control.schedules import ScheduleRequest
from duey.errors import StateConflict
from tests.acceptance.browser.conftest import Service
from tests.support import wait_until

Open = Callable[..., Page]


class Walk:
    """Counts clicks since the last start."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    @contextmanager
    def of(self, most: int, question: str, start: str = "/monitor/") -> Iterator[None]:
        self.page.goto(start)
        self.clicks = 0
        yield
        assert self.clicks <= most, f"{question}: {self.clicks} clicks"

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def link(self, name: str | re.Pattern[str]) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=isinstance(name, str)).first)

    def button(self, name: str | re.Pattern[str]) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=isinstance(name, str)).first)


@pytest.fixture
def eventful(service: Service) -> Iterator[dict[str, str]]:
    """Jobs for the questions: failed ones of one cause, a talking one, a runaway, a chain."""
    ids = {f"failed-{n}": service.enqueue_jobs("flaky", 20 + n, 9, retries=0) for n in range(3)}
    ids["chain"] = service.deployment.tasks.chained(1).id
    control = service.deployment.control
    control.schedules.make("hourly", ScheduleRequest("note", (1,), every_s=3600))
    wait_until(lambda: all(control.job(each).finished_at for each in ids.values()), 20, "they have ended")
    client = service.deployment.client()
    wait_until(lambda: client.get("/api/errors").body["errors"], 20, "the history knows of them")
    ids["talking"] = service.enqueue_jobs("say", 4, 60)
    ids["runaway"] = service.enqueue_jobs("note", 5, 12)  # it never looks whether it is to stop
    both = [ids["talking"], ids["runaway"]]
    wait_until(lambda: all(control.job(each).state == "running" for each in both), 20, "both run")
    yield ids
    for each in both:
        with suppress(StateConflict):
            control.cancel(each)
    wait_until(lambda: all(control.job(each).finished_at for each in both), 30, "they look and end")


def test_fourteen_questions(service: Service, eventful: dict[str, str], open_page: Open) -> None:
    page = open_page()
    walk, heading = Walk(page), page.get_by_role("heading", level=1)
    running, failed = re.compile("^Running$"), re.compile("^Failed$")

    with walk.of(0, "does it keep up"):
        expect(page.get_by_text("Wait for a worker")).to_be_visible()
    with walk.of(2, "why did it fail"):
        walk.link(failed)
        walk.click(page.locator(f'tr[data-id="{eventful["failed-0"]}"]').get_by_role("link"))
        expect(page.get_by_text("not yet").first).to_be_visible()
        expect(page.get_by_text("workload.py").first).to_be_visible()
    with walk.of(2, "what runs now, with its log"):
        walk.link(running)
        walk.click(page.locator(f'tr[data-id="{eventful["talking"]}"]').get_by_role("link"))
        expect(page.get_by_text("job 4 goes on").first).to_be_visible()
    with walk.of(2, "share it", f"/monitor/jobs/{eventful['talking']}"):
        walk.button("Make a link")
        expect(page.locator("pre[data-copy]")).to_contain_text("/monitor/shared/")
    with walk.of(3, "stop a runaway, with a trace of it"):
        walk.link(running)
        walk.click(page.locator(f'tr[data-id="{eventful["runaway"]}"]').get_by_role("link"))
        walk.button("Ask to stop")
        expect(page.get_by_text("asked to stop").first).to_be_visible()
        expect(page.get_by_text("in note").first).to_be_visible()
    with walk.of(1, "follow a chain", f"/monitor/jobs/{eventful['chain']}"):
        walk.click(page.locator("section", has_text="Child jobs").get_by_role("link").first)
        expect(page.get_by_text("Parent", exact=True)).to_be_visible()
    with walk.of(1, "a job by its argument"):
        walk.link("Jobs")
        page.locator("#filter").fill("args.n:22 task:flaky")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
    with walk.of(2, "save this filter by name, and come back to it"):
        page.goto("/monitor/jobs?q=args.n:22+task:flaky")
        page.get_by_placeholder("name of this filter").fill("Client 22")
        walk.button("Save filter")
        page.goto("/monitor/jobs")
        walk.link("Client 22")
        expect(page.locator("#filter")).to_have_value("args.n:22 task:flaky")
        page.get_by_label("Forget the filter Client 22").click()
        expect(page.get_by_role("link", name="Client 22")).to_have_count(0)
    with walk.of(2, "export"):
        walk.link("Jobs")
        with page.expect_download() as download:
            walk.link("CSV")
        assert download.value.suggested_filename == "jobs.csv"
    with walk.of(2, "run by hand with odd types", "/monitor/tasks"):
        walk.link("odd")
        for name, text in (("price", "12345678901234567.890"), ("day", "2030-01-31"), ("free", "no quotes")):
            page.locator(f'[name="p:{name}"]').fill(text)
        page.locator('[name="p:color"]').select_option('"blue"')
        walk.button("Run")
        expect(heading).to_contain_text("odd")
        expect(page.get_by_text("12345678901234567.890").first).to_be_visible()
    with walk.of(3, "a schedule with its next runs in view", "/monitor/schedules"):
        walk.link("New schedule")
        page.locator("#task").select_option(label="note")
        walk.button("Go on")
        page.get_by_label("Name", exact=True).fill("each-night")
        page.get_by_label("Cron").fill("30 3 * * *")
        page.locator('[name="p:n"]').fill("1")
        expect(page.locator("#preview")).to_contain_text("At 03:30 every day: ")
        walk.button("Create schedule")
        expect(page.get_by_role("status").first).to_contain_text("Schedule each-night created; first run")
    with walk.of(4, "retry one cause"):
        walk.click(page.locator(".troubles").get_by_role("link", name=re.compile("OSError")).first)
        walk.button(re.compile("Retry the .+ failed"))
        expect(heading).to_contain_text("Retry")
        walk.button(re.compile(r"^Retry .+ jobs"))
        expect(page.get_by_role("status").first).to_contain_text("queued again")
    with walk.of(1, "what changed"):
        walk.link("What changed since yesterday")
        expect(page.get_by_text("make schedule").first).to_be_visible()
    with walk.of(1, "who did what"):
        walk.link("Audit")
        expect(page.get_by_text("share job").first).to_be_visible()
    with walk.of(1, "what did not run"):
        walk.link("Schedules")
        expect(page.get_by_role("heading", name="Missed, late and failed runs")).to_be_visible()
