"""A running service, and a Chromium that looks at it. No request may leave the host, and no script may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.acceptance.deployment import Deployment, made_accounts

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--in-process-gpu",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


SETTINGS = {
    "service": {"name": "Night watch"}, "tasks": {"modules": "workload, talking_tasks"},
    "consumer": {"workers": 4},  # some are busy for a test
}  # fmt: skip


class Service:
    """A deployment, once its app is ready. `session`: the cookies of an admin who has logged in."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.session = deployment, None
        deployment.app()
        self.base = f"http://127.0.0.1:{deployment.port}"

    def enqueue_jobs(self, task: str, *args: Any, **fields: Any) -> str:
        """Defer a job over HTTP; its id."""
        answer = self.deployment.client().post("/api/jobs", {"task": task, "args": args, **fields})
        assert answer.status == 202, answer
        return str(answer.body["id"])


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    deployment = Deployment(tmp_path_factory.mktemp("browser") / "d", settings=SETTINGS)
    try:
        yield Service(deployment)
    finally:
        deployment.close()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=15_000)  # a busy core shows a page's next state late
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def window(browser: Browser, service: Service) -> Iterator[BrowserContext]:
    """The one window that most pages open in: to open a window takes Chromium about a second of processor time."""
    context = browser.new_context(base_url=service.base)
    context.new_page()  # else it closes with the page of each test
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Browser, service: Service, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Open a page of the monitor, in the one session of the admin unless `log_in` is false. With options of a context,
    or where the module has a service of its own, it has a window of its own."""
    opened: list[Page | BrowserContext] = []
    elsewhere: list[str] = []
    broken: list[str] = []

    def look(request: Any) -> None:
        if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(service.base):
            elsewhere.append(request.url)

    def build(log_in: bool = True, **options: Any) -> Page:
        if options:
            context = browser.new_context(base_url=service.base, viewport=WIDE, **options)
            opened.append(context)
        else:
            context = request.getfixturevalue("window")
            context.clear_cookies()
        if log_in and service.session:
            context.add_cookies(service.session["cookies"])
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.set_viewport_size(WIDE)
        if not options:
            opened.append(page)
        page.on("request", look)
        page.on("pageerror", lambda error: broken.append(str(error)))
        if log_in and service.session:
            page.goto("/monitor/")
        elif log_in:
            enter(page)
            service.session = context.storage_state()
        return page

    yield build
    for each in opened:
        if isinstance(each, Page):
            each.goto("about:blank")  # a page may not close amid a request
        each.close()
    assert elsewhere == [], "a page asked another host"
    assert broken == [], "a script failed"


def enter(page: Page, name: str = "", password: str = "") -> None:
    """Log in through the form, as the first admin unless somebody is named."""
    first = made_accounts()[1]
    page.goto("/monitor/login")
    page.get_by_label("Name", exact=True).fill(name or first.account)
    page.get_by_label("Password").fill(password or first.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/monitor/")
