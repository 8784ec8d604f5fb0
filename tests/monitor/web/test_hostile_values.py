"""What others wrote is shown inert on every page: no tag, no attribute, no control character of theirs gets through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import quote

import pytest

from duey.monitor.web.render import FOLDER
from tests.monitor.web.client import Answer
from tests.monitor.web.hostile import HOSTILE, make_hostile
from tests.monitor.web.test_permissions import PAGES
from tests.monitor.web.world import World

OURS = re.compile(
    "html|head|meta|title|link|script|body|a|header|nav|div|label|span|select|option|main|p|h1|h2|h3|footer|form|input|"
    "button|time|kbd|table|thead|tbody|tfoot|tr|th|td|dl|dt|dd|svg|path|text|rect|figure|figcaption|i|b|ul|ol|li|code|pre|"
    "details|summary|section|textarea|fieldset|legend"
)
ATTRIBUTES = re.compile(
    r"id|class|href|src|rel|lang|charset|name|content|defer|title|type|value|action|method|formaction|form|for|hidden|"
    r"tabindex|step|selected|checked|disabled|required|autofocus|placeholder|rows|open|spellcheck|autocomplete|autocapitalize|"
    r"maxlength|role|datetime|scope|colspan|d|x|y|width|height|viewbox|preserveaspectratio|text-anchor|(aria|data)-[a-z-]+"
)
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

SENT = (
    ("/jobs", "q"), ("/jobs", "task"), ("/jobs", "state"), ("/errors", "q"), ("/errors", "task"), ("/tasks", "q"),
    ("/tasks", "sort"), ("/audit", "who"), ("/audit", "action"), ("/login", "next"),
)  # fmt: skip


class Reader(HTMLParser):
    """Reads a page as a browser would, and notes what is not ours."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.foreign: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not OURS.fullmatch(tag):
            self.foreign.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            if not ATTRIBUTES.fullmatch(name):
                self.foreign.append(f"{tag} {name}")
            if name in ("href", "src", "action", "formaction") and not re.match(r"/monitor|#", value or ""):
                self.foreign.append(f"{tag} {name}={value}")


def read(answer: Answer, own: Sequence[str] = ()) -> Reader:
    text = answer.text
    assert not UNSEEN.search(text), UNSEEN.search(text)
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.foreign == [*own]
    return reader


@pytest.fixture
def hostile(world: World) -> World:
    make_hostile(world)
    return world


def test_every_page_is_inert(hostile: World) -> None:
    admin, links, shown = hostile.browser("ana"), hostile.site.services.links, 0
    jobs, tasks = map(links.job, hostile.hostile), (links.task(task.qualname) for task in hostile.control.tasks())
    causes = [links.error(group.fingerprint) for group in hostile.history.error_groups().groups]
    schedules = [links.schedule(each.name) for each in hostile.control.schedules.all()]
    for address in [*(f"/monitor{path}" for path in PAGES), *jobs, *tasks, *causes, *schedules]:
        page = admin.get(address)
        assert page.status == 200, address
        assert read(page).scripts == 1, address
        assert len(page.content) < 100_000, f"a megabyte weighs little: {address}"
        for region in re.findall(r'data-live="(\w+)"', page.text) if address.endswith(tuple(PAGES)) else ():
            assert read(admin.get(f"{address}?fragment={region}")).scripts == 0, address
        shown += any(text in page.words for text in HOSTILE[:3])
    assert shown > 20, "shown, not left out"


def test_an_incident_file_is_inert(hostile: World) -> None:
    admin, links = hostile.browser("ana"), hostile.site.services.links
    files = [links.job(job_id, "incident") for job_id in hostile.hostile]
    files += [links.error(group.fingerprint, "incident") for group in hostile.history.error_groups().groups]
    shown = 0
    for address in files:
        answer = admin.get(address)
        if answer.status == 200:
            assert "attachment" in answer.headers["content-disposition"]
            assert read(answer, ("meta http-equiv", "style")).scripts == 0 and len(answer.content) < 1_000_000, address
            shown += 1
    assert shown > 5


def test_what_a_visitor_sends_is_inert_as_well(empty: World) -> None:
    admin, anonymous = empty.browser("ana"), empty.browser()
    anonymous.get("/monitor/login")
    for n, text in enumerate(HOSTILE):
        sent = text.encode("utf-8", "surrogatepass")
        for path, name in SENT:
            page = admin.get(f"/monitor{path}", **{name: sent})
            assert page.status in (200, 303), (path, name, text)
            read(page)
        for path in ("/jobs/", "/tasks/", "/errors/"):
            read(admin.get(f"/monitor{path}{quote(sent, safe='')}"))
        read(admin.post("/monitor/tasks/add/run", {"p:a": sent, "p:b": sent, "after": sent}))
        if n < 9:  # then it would have to wait
            read(anonymous.post("/monitor/login", {"username": sent, "password": sent, "next": sent}))


def test_raw_output_is_of_our_own_making() -> None:
    """`{{!...}}` may hold nothing but words that return Html, and markup that is written out in the template."""
    ours = re.compile(
        r"(?:when|running|state|progress_of)\(.*\)"  # words of render.py and formats.py
        r"|(?:when|running)\(.*\) if .* else (?:duration\(.*\)|'–')"
        r"|base|described_by|from_theme|since|because\[1\]|\w+_chart|chart|strip|row\['(?:spark|strip|last_at|next_at)'\]"
        r"|'[^']*'(?: if .* else ?'[^']*'| if .* else ' aria-sort=\"ascending\"' if here else '')?"
        r"|f' <span>\{many\}</span>' if many else ''"  # a count
    )
    for file in FOLDER.glob("*.html"):
        for raw in re.findall(r"\{\{!(.*?)\}\}", file.read_text(encoding="utf-8")):
            assert ours.fullmatch(raw.strip()), f"{file.name}: {raw}"


def test_no_template_hides_a_word_that_the_layout_needs() -> None:
    """Names that a page's template binds are seen by the layout around it."""
    needed = {"frame", "visit", "root", "nav", "assets", "link", "base", "exact"}
    for file in FOLDER.glob("*.html"):
        for line in file.read_text(encoding="utf-8").splitlines():
            code = line.strip()
            if code.startswith("% for "):
                bound = set(re.findall(r"\w+", code[6:].partition(" in ")[0]))
            elif code.startswith("% ") and (match := re.match(r"% ([\w, ]+) = ", code)):
                bound = set(re.findall(r"\w+", match[1]))
            else:
                continue
            assert not bound & needed, f"{file.name}: {code}"


def test_no_line_of_a_template_ends_where_bottle_does_not_join_it_and_none_names_another_host() -> None:
    r"""`\\` at the end of a line joins it with the next one only if that one is code."""
    for file in FOLDER.glob("*.html"):
        text = file.read_text(encoding="utf-8")
        for line, after in pairwise([*text.splitlines(), ""]):
            joined = line.endswith("\\\\") and after.strip().startswith("%")
            assert joined or not line.endswith("\\"), f"{file.name}: {line}"
        for forbidden in ("style=", "<style", "onclick", "javascript:", "http://", "https://"):
            own_style = (file.stem, forbidden) == ("incident_file", "<style")  # it has no other file
            assert forbidden not in text or own_style, f"{file.name}: {forbidden}"
    for file in FOLDER.parent.glob("static/*"):
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text(encoding="utf-8"))
        assert set(found) <= {"http://www.w3.org"}, file.name
