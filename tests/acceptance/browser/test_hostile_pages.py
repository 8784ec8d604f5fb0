"""Pages full of what attackers wrote, in a real browser: nothing of it runs, loads, moves or turns round."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import waitress
from playwright.sync_api import Browser, Page

from tests.acceptance.browser.conftest import PHONE
from tests.monitor.web.hostile import make_hostile
from tests.monitor.web.test_doors import PAGES
from tests.monitor.web.world import PASSWORDS, World, make_world

# What a page of ours never has, and what would show that a tag or an attribute of theirs became one.
FOREIGN = """() => [...document.querySelectorAll('script:not([src]), img, iframe, object, svg[onload], b[onclick]')]
    .concat([...document.querySelectorAll('*')].filter(each => [...each.attributes].some(a => a.name.startsWith('on'))))
    .map(each => each.outerHTML.slice(0, 200))"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNSEEN = "() => /[\\u0000-\\u0008\\u001b\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]/.test(document.body.innerText)"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """A monitor over the hostile deployment, and where it is served."""
    world = make_world(tmp_path_factory.mktemp("hostile"), time.time)
    make_hostile(world.control, world.books, world.access, time.time())
    server = waitress.create_server(world.site, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    yield world, f"http://127.0.0.1:{server.effective_port}"
    server.close()
    world.access.close()


@pytest.fixture
def page(browser: Browser, hostile: tuple[World, str]) -> Iterator[Page]:
    """A page of an admin. Whatever asks, fails, complains or leaves the host is an error of the test."""
    _, base = hostile
    context = browser.new_context(base_url=base, viewport=PHONE)
    page, wrong = context.new_page(), []
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: wrong.append(f"script {error}"))
    page.on("console", lambda said: wrong.append(f"console {said.text}") if said.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith(f"{base}/monitor/") else wrong.append(asked.url))
    page.goto("/monitor/login")
    page.get_by_label("Name", exact=True).fill("ana")
    page.get_by_label("Password").fill(PASSWORDS["ana"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/monitor/")
    yield page
    context.close()
    assert wrong == []


def test_nothing_of_it_comes_to_life(page: Page, hostile: tuple[World, str]) -> None:
    world, _ = hostile
    links = world.site.house.links
    jobs = [links.job(row.job.id) for row in world.books.rows[:12]]
    tasks = [links.task(task.qualname) for task in world.control.tasks() if task.qualname.startswith("evil.")]
    for address in [*(f"/monitor{path}" for path in PAGES), *jobs, *tasks]:
        answer = page.goto(address)
        assert answer is not None and answer.status == 200, address
        assert page.evaluate(FOREIGN) == [], address
        assert page.evaluate("document.scripts.length") == 1, address
        assert not page.evaluate(UNSEEN), address
        assert page.evaluate(SIDEWAYS) <= 0, address
        # A region that the script puts in is as inert as the page.
        page.evaluate(
            """async () => { for (const node of document.querySelectorAll('[data-live]')) {
                const address = new URL(location.href);
                address.searchParams.set('fragment', node.dataset.live);
                node.innerHTML = await (await fetch(address)).text();
            } }"""
        )
        assert page.evaluate(FOREIGN) == [], address
