"""axe-core finds nothing on any page, light and dark, wide and narrow; nothing scrolls sideways on a phone."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from duey.model.job import STATES
from tests.acceptance.browser.conftest import PHONE, WIDE, Service
from tests.acceptance.variants import SOAK
from tests.support import wait_until

Open = Callable[..., Page]
LOG_IN = "/monitor/login"


@pytest.fixture(scope="module")
def places(service: Service) -> list[str]:
    """Every page, with something on it."""
    client = service.deployment.client()
    job_id = service.enqueue_jobs("flaky", 1, 3, retries=0)
    service.enqueue_jobs("note", 1)
    service.enqueue_jobs("note", 1, delay=3600)
    running = service.enqueue_jobs("talks", 300, "/nowhere")  # it waits there for a minute
    wait_until(lambda: client.get(f"/api/jobs/{running}/log").body["lines"], 30, "its log is seen")
    wait_until(lambda: service.deployment.control.job(job_id).state == "failed", 30, "the job failed")
    client.post("/api/schedules", {"name": "monthly", "task": "note", "args": [1], "cron": "0 3 1 * *"})
    wait_until(lambda: client.get("/api/errors").body["errors"], 30, "the history knows of it")
    cause = client.get("/api/errors").body["errors"][0]["fingerprint"]
    pages = ["", "jobs?state=failed", f"jobs/{job_id}", f"jobs/{running}", "errors", f"errors/{cause}", "changes"]
    pages += ["tasks", "tasks/note", "schedules", "schedules/monthly", "workers"]
    pages += ["alerts", "schedules/new?task=note", "audit", "account", "jobs/nobody"]
    pages += ["access", "access/new-account", "access/new-token", "account/second-factor"]
    pages += ["changes"]
    if SOAK:  # these have less on them, or much the same as others
        pages += ["jobs", "schedules/new", "tasks?window=30d&sort=failed", "errors?state=muted", "schedules/mail/edit"]
        pages += [f"jobs?state={state}" for state in STATES] + ["jobs?q=nothing", "jobs?q=state:none+sku:A7"]
        pages += ["account/no", f"jobs/{service.enqueue_jobs('note', 1)}"]
        made = client.post("/api/schedules", {"name": "mail", "task": "note", "args": [1], "cron": "@daily"})
        assert made.status == 201, made
    return [f"/monitor/{place}" for place in pages]


# What colors and widths decide: these are tried again where another pass has tried all rules.
ALL = {"resultTypes": ["violations"]}
OF_LOOKS = {**ALL, "runOnly": ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]}
LOOKS = list(itertools.product((PHONE, WIDE), ("light", "dark"))) if SOAK else [(PHONE, "dark"), (WIDE, "light")]


@pytest.mark.soak
def test_every_page(places: list[str], open_page: Open) -> None:
    page, found = open_page(), {}
    page.add_init_script(Axe().axe_script)
    for place in [*places, LOG_IN]:
        page.set_viewport_size(PHONE)
        if place == LOG_IN:
            page.context.clear_cookies()
        page.goto(place)
        for viewport, scheme in LOOKS:
            page.set_viewport_size(viewport)
            page.emulate_media(color_scheme=scheme)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{place} is {wide} px wider than the window of {viewport['width']} px"
            options = ALL if SOAK or viewport is PHONE else OF_LOOKS
            results = AxeResults(page.evaluate("options => axe.run(options)", options))
            if results.violations_count:
                found[place, scheme] = results.generate_report()
    assert not found, "\n".join(f"{place}: {report}" for place, report in found.items())
