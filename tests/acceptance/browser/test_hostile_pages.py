"""Pages full of what attackers wrote, in a real browser: nothing of it runs, loads, moves or turns round.

Nor is any page wider than its window, whatever stands on it and whatever the fonts are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import waitress
from playwright.sync_api import Browser, Page

from duey.monitor.access.login import passwords
from tests.acceptance.browser.conftest import PHONE, enter
from tests.acceptance.variants import SOAK
from tests.monitor.web.hostile import HOSTILE, LONG, make_hostile
from tests.monitor.web.scene import morning
from tests.monitor.web.test_permissions import PAGES
from tests.monitor.web.world import PASSWORDS, World
from tests.support import rounds

# What a page of ours never has, and what would show that a tag or an attribute of theirs became one.
FOREIGN = """() => [...document.querySelectorAll('script:not([src]), img, iframe, object, svg[onload], b[onclick]')]
    .concat([...document.querySelectorAll('*')].filter(each => [...each.attributes].some(a => a.name.startsWith('on'))))
    .map(each => each.outerHTML.slice(0, 200))"""
UNSEEN = "() => /[\\u0000-\\u0008\\u001b\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]/.test(document.body.innerText)"


# As wide as people's windows; 640 is a window of 1280 at 200 %, and 320 one at 400 %.
WIDTHS = (320, 360, 390, 640, 768, 1280) if SOAK else (320, 640, 1280)
# Whatever is installed: much narrower and much wider than any (WCAG 1.4.12 asks pages to bear a spacing of .12em).
FONTS = {
    "narrow": "* { font-family: sans-serif !important; letter-spacing: -.06em !important }",
    "wide": "* { font-family: serif !important; letter-spacing: .25em !important; word-spacing: .3em !important }",
}
# A page within a page, whose width is changed without asking for it again; how much wider than its window it is, by
# font and width. `fields`: what is posted to the address, with the proof of the page that was there before.
MEASURE = """async ([address, fields, fonts, widths]) => {
    let frame = document.querySelector('iframe'), body = null;
    if (fields) {
        const proof = frame.contentDocument.querySelector('input[name=proof]').value;
        body = new URLSearchParams({proof, ...fields});
    }
    const answer = await fetch(address, {method: body ? 'POST' : 'GET', body});
    if (answer.redirected) return {[`it led to ${answer.url}`]: 0};
    if (!frame) document.body.innerHTML = '<iframe height="844">';
    frame = document.querySelector('iframe');
    const loaded = new Promise(resolve => frame.onload = resolve);
    frame.srcdoc = await answer.text();
    await loaded;
    const page = frame.contentDocument, found = {};
    for (const each of page.querySelectorAll('details')) each.open = true;
    for (const [font, css] of Object.entries(fonts)) {
        const sheet = page.createElement('style');
        sheet.textContent = css;
        page.head.append(sheet);
        for (const width of widths) {
            frame.style.width = `${width}px`;
            const over = page.documentElement.scrollWidth - page.documentElement.clientWidth;
            if (over > 0) found[`${font} font at ${width} px`] = over;
            for (const box of page.querySelectorAll('.scroll')) {
                const reached = box.querySelector('a, button, input') || box.tabIndex >= 0;
                const key = `what no key scrolls, ${font} font at ${width} px`;
                if (!reached && box.scrollWidth > box.clientWidth) found[key] = box.innerText.slice(0, 80);
            }
        }
        sheet.remove();
    }
    return found;
}"""


@contextmanager
def served(folder: Path, texts: tuple[str, ...]) -> Iterator[tuple[World, str]]:
    """A monitor over a deployment full of these texts, and where it is served."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", passwords.Cost(n=2, r=1, p=1))
        world = morning(folder, time.time)
        make_hostile(world, texts)
    server = waitress.create_server(world.site, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    yield world, f"http://127.0.0.1:{server.effective_port}"
    server.close()
    world.close()


@contextmanager
def opened(browser: Browser, base: str, **options: Any) -> Iterator[Page]:
    """A page of an admin. Whatever asks, fails, complains or leaves the host is an error of the test."""
    context = browser.new_context(base_url=base, viewport=PHONE, **options)
    page, wrong = context.new_page(), []
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: wrong.append(f"script {error}"))
    page.on("console", lambda said: wrong.append(f"console {said.text}") if said.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith(f"{base}/monitor/") else wrong.append(asked.url))
    enter(page, "ana", PASSWORDS["ana"])
    yield page
    context.close()
    assert [each for each in wrong if "status of 4" not in each] == []  # the console notes each refusal


def test_nothing_of_it_comes_to_life(browser: Browser, tmp_path: Path) -> None:
    """On each page, and with each text that might, in a job; tests.monitor.web shows that all are text."""
    with served(tmp_path, HOSTILE) as (world, base), opened(browser, base) as page:
        links, alive = world.site.services.links, ("<script", "<img", "onmouseover", "<svg", "javascript:")
        ids = [job_id for job_id in reversed(world.hostile) if any(word in job_id for word in alive)]
        jobs = [links.job(job_id) for job_id in ids[: rounds(5, soak=len(HOSTILE))]]
        evil = [task.qualname for task in world.control.tasks() if task.qualname.startswith("evil.")]
        tasks = [links.task(name) for name in evil[: rounds(2, soak=len(HOSTILE))]]
        for address in [*(f"/monitor{path}" for path in PAGES), *jobs, *tasks]:
            answer = page.goto(address)
            assert answer is not None and answer.status == 200, address
            assert page.evaluate(FOREIGN) == [], address
            assert page.evaluate("document.scripts.length") == 1, address
            assert not page.evaluate(UNSEEN), address
            # A region that the script puts in is as inert as the page.
            page.evaluate(
                """async () => { for (const node of document.querySelectorAll('[data-live]')) {
                    const address = new URL(location.href);
                    address.searchParams.set('fragment', node.dataset.live);
                    node.innerHTML = await (await fetch(address)).text();
                } }"""
            )
            assert page.evaluate(FOREIGN) == [], address


def test_no_page_is_wider_than_its_window(browser: Browser, tmp_path: Path) -> None:
    """At every width, with fonts of every width, and with words that no line holds."""
    # The policy forbids frames, and styles of others: it is held by the test above.
    with served(tmp_path, LONG) as (world, base), opened(browser, base, bypass_csp=True) as page:
        links, wide = world.site.services.links, {}

        def look(address: str, fields: Mapping[str, str] | None = None) -> None:
            if found := page.evaluate(MEASURE, [address, fields, FONTS, WIDTHS]):
                wide[address[:80], fields is None] = found

        states = {job.state: job.id for job in world.control.jobs(limit=500).jobs}
        tasks = [task.qualname for task in world.control.tasks()]
        places = [*PAGES, *(f"/jobs/{job_id}" for job_id in states.values()), "/jobs/none", "/jobs?state=failed"]
        places += [f"/jobs?q={'w' * 300}+state:nonsense", "/audit?who=nobody", "/workers"]
        addresses = [f"/monitor{place}" for place in places] + [links.task(name) for name in (tasks[0], tasks[-1])]
        addresses += [links.error(each.fingerprint) for each in world.history.error_groups("open").groups[:2]]
        addresses += [links.schedule(each.name) for each in world.control.schedules.all() if "W" in each.name]
        for address in addresses:
            look(address)
        made = next(each.name for each in world.control.schedules.all() if each.source == "made")
        worker = str(world.presences[-1].n)
        account, _ = world.access.accounts.create("W" * 64, "admin")
        token, _ = world.access.tokens.create("W" * 64, ("read", "enqueue", "admin"))
        for path, fields in {
            "/monitor/jobs": {"verb": "retry", "every": "1"},
            links.schedule(made, "remove"): {},
            links.schedule("monday-report", "change"): {"cron": "W" * 400, "every": "W" * 400, "tz": "W" * 400},
            links.task("tasks.add", "run"): {"p:a": "W" * 400, "after": "W" * 400},
            links.worker(worker, "stop"): {},
            links.account(account.name, "remove"): {"seen": account.version},
            links.token(token.name, "revoke"): {"seen": token.version},
            "/monitor/tokens": {"name": "M" * 64, "scope": "read", "days": ""},
            links.job(world.hostile[0], "share"): {"for": "1h"},
        }.items():
            look(path, fields)
        shared = page.frame_locator("iframe").locator("pre[data-copy]").inner_text()
        page.context.clear_cookies()
        for address in (shared.removeprefix(base), "/monitor/login"):
            look(address)
        assert not wide, "\n".join(f"{place}: {found}" for place, found in wide.items())
