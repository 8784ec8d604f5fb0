"""axe-core finds nothing on any page, light and dark, wide and narrow; nothing scrolls sideways on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.acceptance.browser.conftest import PHONE, WIDE, Service
from tests.acceptance.variants import pairs
from tests.support import wait_until

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def places(service: Service) -> list[str]:
    """Every page, with something on it."""
    client = service.deployment.client()
    job_id = service.enqueue_jobs("fail", 1, retries=0)
    service.enqueue_jobs("note", 1)
    service.enqueue_jobs("note", 1, delay=3600)
    wait_until(lambda: service.deployment.control.job(job_id).state == "failed", 15, "the job failed")
    wait_until(lambda: client.get("/api/errors").body["errors"], 15, "the history knows of it")
    pages = ["", "jobs", "jobs?state=failed", f"jobs/{job_id}", "errors", "tasks", "tasks/note", "schedules", "workers"]
    pages += ["schedules/new", "schedules/new?task=note", "audit", "account", "jobs/nobody"]
    pages += ["access", "access/new-account", "access/new-token"]
    return [f"/monitor/{place}" for place in pages]


@pytest.mark.soak
@pytest.mark.parametrize(("viewport", "scheme"), pairs((WIDE, PHONE), ("light", "dark")))
def test_every_page(places: list[str], open_page: Open, scheme: str, viewport: dict[str, int]) -> None:
    page = open_page(color_scheme=scheme, viewport=viewport)
    found = {}
    for place in places:
        page.goto(place)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{place} is {wide} px wider than the window"
        results = Axe().run(page)
        if results.violations_count:
            found[place] = results.generate_report()
    assert not found, "\n".join(f"{place}: {report}" for place, report in found.items())


def test_the_log_in(open_page: Open) -> None:
    page = open_page(log_in=False)
    page.goto("/monitor/login")
    assert Axe().run(page).violations_count == 0
