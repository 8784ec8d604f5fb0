"""A number has one definition: headline, tiles and lists agree, and a link shows exactly what was counted."""

from __future__ import annotations

import re
from html import unescape

from tests.monitor.web.client import Browser
from tests.monitor.web.world import World
from tests.support import rows

TILE = r'<div><dt><a href="([^"]+)">{}</a></dt><dd[^>]*>(\d+)</dd>'
PART = r'<a href="([^"]+)">(\d+) {}</a>'
# (page, what holds the address and the number, how many there are at least)
LEADS_TO_JOBS = (
    ("/", r'<a href="([^"]+)">(\d+) jobs failed', 1),
    *(("/", TILE.format(label), 1) for label in ("Running", "Retrying", "Scheduled", "Failed")),
    ("/", PART.format("queued"), 1), ("/", PART.format("blocked"), 1),
    ("/jobs", r'<a href="([^"]+)"[^>]*>[A-Z]\w+ <span>(\d+)</span></a>', 9),
    ("/jobs?q=task:deliver_webhook", r'<a href="([^"]+)"[^>]*>[A-Z]\w+ <span>(\d+)</span></a>', 9),
    ("/tasks", r'<td class="num wide"><a href="([^"]+)">(\d+)</a>', 3),
    ("/tasks", r'<a class="quiet" href="([^"]+)">(\d+) blocked</a>', 1),
    ("/tasks/deliver_webhook", PART.format(r"\w+"), 3),
    ("/errors/FP", r'<a class="button" href="([^"]+)">(\d+) \w+</a>', 1),
)  # fmt: skip


def jobs_at(admin: Browser, address: str) -> int:
    """How many jobs a list has, all of its pages."""
    found, path, _, query = 0, *address.partition("?")
    cursor = None
    while True:
        answer = admin.get(f"{path}.json?{query}", limit=200, **({"cursor": cursor} if cursor else {})).json
        found, cursor = found + len(answer["jobs"]), answer["next"]
        if cursor is None:
            return found


@rows("page, pattern, least", LEADS_TO_JOBS)
def test_a_number_that_leads_to_jobs_leads_to_so_many(
    world: World, admin: Browser, page: str, pattern: str, least: int
) -> None:
    group = world.history.error_groups("open").groups[0].fingerprint
    found = re.findall(pattern, admin.get("/monitor" + page.replace("FP", group)).text)
    assert len(found) >= least
    assert {address: jobs_at(admin, unescape(address)) for address, _ in found} == {
        address: int(number) for address, number in found
    }


def tile(text: str, label: str) -> int:
    found = re.search(rf"<dt>(?:<a [^>]*>)?{label}(?:</a>)?</dt><dd[^>]*>(\d+)</dd>", text)
    assert found, label
    return int(found[1])


def test_the_same_number_stands_on_each_page_that_has_it(world: World, admin: Browser) -> None:
    """Where a number counts no jobs of a list, it leads to a page on which it stands as well."""
    overview, tasks = admin.get("/monitor/").text, admin.get("/monitor/tasks").text
    all_row = [int(each) for each in re.findall(r"<td[^>]*>(\d+)</td>", tasks.partition("<tfoot>")[2])]
    waiting, running, done, failed = all_row[:4]
    assert waiting == tile(overview, "Waiting") == sum(each.waiting for each in world.control.queues())
    assert running == tile(overview, "Running") and done == tile(overview, "Done")
    busy = re.search(r"(\d+ of \d+) workers busy", overview)
    workers = admin.get("/monitor/workers").words
    assert busy and f"{busy[1]} busy, 2 quiet" in workers
    links = re.findall(r'<a class="bad" href="([^"]+)">(\d+)</a>', tasks)
    assert links and sum(int(number) for _, number in links) == failed
    for address, number in links:
        assert tile(admin.get(unescape(address)).text, "Failed") == int(number), address
    for row in re.findall(r'<tr data-id="\w+">.*?</tr>', admin.get("/monitor/errors").text, re.DOTALL)[:3]:
        numbers = [int(number) for _, number in re.findall(r'<a href="([^"]+/errors/\w+)"[^>]*>(\d+)</a>', row)]
        address = re.search(r'href="([^"]+/errors/\w+)"', row)
        assert address and len(numbers) == 3
        page = admin.get(address[1]).text
        assert [tile(page, f"Last {span}") for span in ("hour", "24 h", "7 days")] == numbers
