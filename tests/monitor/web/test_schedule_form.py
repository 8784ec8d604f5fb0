"""The form of a schedule shows all that it saves, and saves what it showed; on both storages, with nothing made up."""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duey import clock, errors
from duey.cli import main as manage
from duey.control import schedule_views
from duey.control.schedules import ScheduleRequest
from duey.model.schedule import OccurrenceRow, ScheduleRow, Tick
from duey.monitor.web.forms.filters import length_s
from duey.monitor.web.forms.when import length_text
from duey.scheduling.timetable import LONGEST_S, every
from tests.contracts.rig import job
from tests.monitor.web.client import Browser
from tests.support import rounds
from tests.support.whole_service import WholeService, whole_service

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc).timestamp()
TWICE = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc).timestamp()  # 02:30 in Zagreb; so is an hour later


class Form(HTMLParser):
    """What a browser would send of the page's main form, as it stands."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = self._textarea = ""
        self.feed(page.partition("<main")[2].partition("</main>")[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input":
            text = re.sub(r"[\r\n]", "", given.get("value", ""))
            if given.get("type") == "datetime-local":
                # A browser drops what is no time, and seconds that are none.
                whole = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?", text)
                text = re.sub(r"(?<=:\d\d):00$", "", text) if whole else ""
            self.fields[given["name"]] = text
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and ("selected" in given or self._select not in self.fields):
            self.fields[self._select] = given["value"]
        elif tag == "textarea":
            self._textarea = given["name"]
            self.fields[self._textarea] = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            text = self.fields[self._textarea].removeprefix("\n")
            self.fields[self._textarea] = text.replace("\n", "\r\n")
            self._textarea = ""


@contextmanager
def served(**settings: str) -> Iterator[WholeService]:
    with tempfile.TemporaryDirectory() as folder, whole_service(Path(folder), **settings) as made:

        @made.huey.task(name="work")
        def work(a: int, text: str = "", flag: bool = False, data: Any = None, *more: Any, **rest: Any) -> None: ...

        clock.set_source(lambda: NOW)
        yield made
        clock.set_source(None)


@pytest.fixture(params=["sqlite", "redis"])
def service(request: pytest.FixtureRequest) -> Iterator[WholeService]:
    keys = {"storage_backend": request.param}
    if request.param == "redis":
        keys["storage_url"] = request.getfixturevalue("redis_server").url
        keys["storage_name"] = f"t{uuid.uuid4().hex[:12]}"
    with served(**keys) as made:
        yield made


@pytest.fixture
def local(cheap_passwords: None) -> Iterator[WholeService]:
    """For what is the same on both storages."""
    with served() as made:
        yield made


def row_of(service: WholeService, name: str) -> ScheduleRow:
    return next(row for row in service.huey.storage.schedule_store.schedules() if row.name == name)


def fields_of(browser: Browser, name: str) -> dict[str, str]:
    page = browser.get(f"/monitor/schedules/{name}/edit")
    assert page.status == 200, page.words
    return Form(page.text).fields


odd_text = st.text() | st.sampled_from(
    ["", " x ", "a\nb\r\n", "\r", "\u202e", "\"<&'", "\\u0041", "[redacted]", "\x00\x7f", "3"]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | odd_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=6,
)
typed = st.sampled_from(
    [
        (1, "x"), {1, 2}, b"bytes", Decimal("1.10"), datetime(2026, 1, 1, tzinfo=timezone.utc), {1: 2},
        {"password": "s3cret!"},
    ]
)  # fmt: skip
lengths = (
    st.floats(1, LONGEST_S) | st.integers(1, int(LONGEST_S)).map(float) | st.sampled_from([1_209_600.0, 1e6, 1 / 3 + 1])
)
whens = st.one_of(
    st.sampled_from(["0 3 * * mon-fri", "  */5  * * * * ", "@Daily", "0 0 L * *", "0 9 * * mon#1"]).map(
        lambda x: {"cron": x}
    ),
    lengths.map(lambda x: {"every_s": x}),
    (st.floats(NOW + 1, 2e11) | st.sampled_from([TWICE, TWICE + 3600, TWICE + 3600.25])).map(lambda x: {"at": x}),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "tz": st.sampled_from(["UTC", "Europe/Zagreb", "Asia/Kathmandu"]),
        "catch_up": st.sampled_from(["skip", "once", "all"]),
        "overlap": st.sampled_from(["skip", "queue", "allow"]),
        "window_s": st.just(0.0) | st.floats(0, LONGEST_S),
    },
)
calls = st.fixed_dictionaries(
    {"a": st.integers()},
    optional={
        "text": odd_text, "flag": st.booleans(), "data": plain | typed, "token": st.just("s3cret!"),
        "long": st.just("x" * 30_000), 'k"<\u202e': plain,
    },
)  # fmt: skip


def test_saving_what_is_shown_changes_nothing(service: WholeService) -> None:
    browser = service.browser()

    @settings(max_examples=rounds(12, soak=3000))
    @given(whens, options, calls, st.lists(plain, max_size=2))
    def check(when: dict[str, Any], given: dict[str, Any], call: dict[str, Any], more: list[Any]) -> None:
        args = (
            [call.pop("a"), call.pop("text", ""), call.pop("flag", True), call.pop("data", None), *more] if more else []
        )
        service.control.schedules.make("s", ScheduleRequest("work", args, call, **when, **given))
        try:
            before = row_of(service, "s")
            answer = browser.post("/monitor/schedules/s/change", fields_of(browser, "s"))
            assert answer.status == 303, answer.words
            after = row_of(service, "s")
            assert json.loads(after.spec) == json.loads(before.spec)
            assert after == before._replace(spec=after.spec)
        finally:
            service.control.schedules.remove("s")

    check()


@given(lengths)
def test_a_length_is_read_as_it_is_shown(seconds: float) -> None:
    assert length_s(length_text(seconds)) == seconds


def test_what_is_typed_is_saved_and_all_else_stays(local: WholeService) -> None:
    browser, schedules = local.browser(), local.control.schedules
    make = {"task": "work", "name": "s", "p:a": "1", "p:**": '{"token": "s3cret!"}', "at": "2030-01-31T14:00"}
    created = browser.follow(browser.post("/monitor/schedules", {**make, "tz": "Asia/Tokyo", "window": "2h"}))
    assert "Schedule s created; first run 2030-01-31 14:00 JST." in created.words
    at = datetime(2030, 1, 31, 5, tzinfo=timezone.utc).timestamp()
    assert schedules.get("s").given == {"at": at, "tz": "Asia/Tokyo", "window_s": 7200.0}
    steps: list[tuple[dict[str, str], dict[str, Any]]] = [
        (
            {"tz": "Europe/Zagreb"},
            {"at": at + 8 * 3600, "tz": "Europe/Zagreb", "window_s": 7200.0},
        ),  # the time it shows
        ({"at": "", "every": "90"}, {"every": 90.0, "tz": "Europe/Zagreb", "window_s": 7200.0}),
        ({"tz": "", "window": "", "overlap": "queue"}, {"every": 90.0, "overlap": "queue"}),
        ({"every": "", "cron": "@daily", "catch_up": "all"}, {"cron": "@daily", "catch_up": "all", "overlap": "queue"}),
    ]
    for change, kept in steps:
        assert browser.post("/monitor/schedules/s/change", {**fields_of(browser, "s"), **change}).status == 303
        assert schedules.get("s").given == kept
    assert browser.post("/monitor/schedules/s/change", {**fields_of(browser, "s"), "k:a": "5"}).status == 303
    trail = local.access.audit.about("s", ("make schedule", "change schedule"), 10)
    assert [each.detail.partition(" -> ")[::2] for each in trail][:2] == [
        (f'work({a}, token="[redacted]"): {when}', f'work({b}, token="[redacted]"): {then}')
        for a, b, when, then in (
            ("a=1", "a=5", *["@daily UTC, catch_up all, overlap queue"] * 2),
            ("a=1", "a=1", "every 90 s UTC, overlap queue", "@daily UTC, catch_up all, overlap queue"),
        )
    ]
    stored = json.loads(row_of(local, "s").spec)["call"]
    assert "s3cret!" in stored and schedules.get("s").kwargs == {"a": 5, "token": "[redacted]"}


def test_the_next_runs_are_shown_while_a_schedule_is_typed(local: WholeService) -> None:
    browser = local.browser()
    for query, said in (
        ("cron=0 3 * * *&tz=Asia/Tokyo", r"At 03:00 every day: (\d\d \w+ )?03:00(, [\w: ]+){4} \(Asia/Tokyo\)"),
        ("every=90s", r"Every 1 minute 30 seconds: [\d:]+(, [\d:]+){4} \(UTC\)"), ("", ""), ("tz=UTC", ""),
        ("cron=61 * * * *", "cron: .*expected as minute .*"), ("every=soon", "expected a length .*"),
        ("cron=@daily&tz=Nowhere", ".*Nowhere.*"), ("at=2030-01-31T14:00", r"Once.*: 2030-01-31 14:00 \(UTC\)"),
        ("cron=@daily&every=5s", "expected one of .*"),
    ):  # fmt: skip
        found = browser.get(f"/monitor/schedules/preview.json?{query}".replace(" ", "+")).json["sentence"]
        assert re.fullmatch(said, found), (query, found)


def test_a_task_runs_with_odd_types_as_they_are_typed(local: WholeService) -> None:
    @local.huey.task(name="odd")
    def odd(day: date, price: Decimal, free: Any = None, color: Literal["red", "blue"] = "red") -> None: ...

    browser = local.browser()
    page = browser.get("/monitor/tasks/odd")
    assert re.search(r'name="p:day" value=""[^>]*type="date"', page.text) and '<select id="field-3"' in page.text
    typed = {"p:day": "2030-01-31", "p:price": "12345678901234567.890", "p:free": "no quotes", "p:color": '"blue"'}
    job_id = browser.post("/monitor/tasks/odd/run", typed).headers["location"].rpartition("/")[2]
    shown = {"day": "2030-01-31", "price": "12345678901234567.890", "free": "no quotes", "color": "blue"}
    assert local.control.job(job_id).kwargs == shown
    refused = browser.post("/monitor/tasks/odd/run", {**typed, "p:price": "much", "p:day": "31.1.2030"})
    assert refused.status == 422 and "args[" not in refused.words and "kwargs" not in refused.words
    for n, text in ((0, "31.1.2030"), (1, "much")):
        problem = re.search(rf'<p class="problem" id="field-{n}-help">([^<]*)</p>', refused.text)
        assert problem and text in problem[1], n
    assert 'value="much"' in refused.text and "no quotes</textarea>" in refused.text


def test_what_is_wrong_is_said_and_nothing_is_kept(local: WholeService) -> None:
    browser, good = local.browser(), {"task": "work", "name": "s", "p:a": "1"}
    for form, said in (
        ({}, "expected one of a cron expression"),
        ({"cron": "@daily", "every": "5s"}, "expected one of a cron expression"),
        ({"every": "soon"}, "expected a length"),
        ({"every": "0.5s"}, "from 1 up to ten years"),
        ({"cron": "61 * * * *"}, "expected as minute"),
        ({"cron": "@daily", "tz": "Europe/Zagrb"}, "did you mean Europe/Zagreb?"),
        ({"at": "2030-01-31T14:00", "tz": "Europe/Zagrb"}, "did you mean Europe/Zagreb?"),
        ({"at": "soon"}, "expected a time such as"),
        ({"at": "2020-01-31T14:00"}, "expected a future time"),
        ({"cron": "@daily", "window": "long"}, "expected a length"),
        ({"cron": "@daily", "window": "999999999w"}, "up to ten years"),
        ({"cron": "@daily", "p:a": "x"}, "expected JSON for int"),
        ({"cron": "@daily", "name": "no name"}, "expected 1 to 80"),
    ):  # fmt: skip
        answer = browser.post("/monitor/schedules", {**good, **form})
        assert answer.status == 422 and said in answer.words, (form, answer.words)
        typed = {name: text for name, text in {**good, **form}.items() if name != "task" and text != "soon"}
        assert typed.items() <= Form(answer.text).fields.items(), "what was typed stays"
    assert local.control.schedules.all() == []
    taken = {**good, "cron": "@daily"}
    assert browser.post("/monitor/schedules", taken).status == 303
    assert "exists" in browser.post("/monitor/schedules", taken).words


def test_what_was_changed_meanwhile_is_not_overwritten(service: WholeService) -> None:
    """By a form, by the API, and by who saves between the look and the change of another."""
    browser, schedules = service.browser(), service.control.schedules
    schedules.make("s", ScheduleRequest("work", (1,), every_s=60))
    form, seen = fields_of(browser, "s"), schedules.get("s").version
    schedules.change("s", ScheduleRequest("work", (2,), every_s=90, version=seen))
    refused = browser.post("/monitor/schedules/s/change", form)
    assert refused.status == 409 and "was changed or run meanwhile" in refused.words
    with pytest.raises(errors.ScheduleChanged):
        schedules.change("s", ScheduleRequest("work", (1,), every_s=60, version=seen))
    store, look = service.huey.storage.schedule_store, schedules._spec

    def slow(*args: Any) -> str:
        row = row_of(service, "s")
        assert store.replace(row, row.spec.replace("90", "95"), row.last)
        return look(*args)

    schedules._spec = slow
    with pytest.raises(errors.ScheduleChanged):
        schedules.change("s", ScheduleRequest("work", (3,), every_s=60))
    schedules._spec = look
    assert (schedules.get("s").args, schedules.get("s").given["every"]) == ([2], 95)
    assert browser.post("/monitor/schedules/s/change", fields_of(browser, "s")).status == 303


def test_one_whose_time_has_passed_keeps_it(local: WholeService) -> None:
    browser, schedules = local.browser(), local.control.schedules
    schedules.make("s", ScheduleRequest("work", (1,), at=NOW + 60))
    clock.set_source(lambda: NOW + 3600)
    assert browser.post("/monitor/schedules/s/change", {**fields_of(browser, "s"), "overlap": "allow"}).status == 303
    assert schedules.get("s").given == {"at": NOW + 60, "overlap": "allow"}
    earlier = {**fields_of(browser, "s"), "at": "2026-06-01T00:00:30"}
    assert "expected a future time" in browser.post("/monitor/schedules/s/change", earlier).words


def test_each_row_says_what_can_be_done_and_what_comes(
    service: WholeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overdue, over, gone, broken, asked each minute: page, API, command and recorder go on, and tell it."""
    # None of these functions hangs, but to ask one for each minute ahead may take longer than usual on a busy core.
    monkeypatch.setattr(schedule_views, "PATIENCE_S", 60.0)
    huey, schedules, browser = service.huey, service.control.schedules, service.browser()
    schedule_store = huey.storage.schedule_store

    @huey.periodic_task(lambda moment: moment.year == 2040, name="asked")
    def asked() -> None: ...

    @huey.periodic_task(every(60), name="beat")
    def beat() -> None: ...

    def fails(moment: datetime) -> bool:
        raise RuntimeError("no minute")

    @huey.periodic_task(fails, name="fails")
    def failing() -> None: ...

    schedules.make("over", ScheduleRequest("work", (1,), at=NOW + 60))
    schedules.make("gone", ScheduleRequest("work", (1,), every_s=60.0))
    schedules.make("paused", ScheduleRequest("work", (1,), cron="0 3 * * *", tz="Europe/Zagreb"))
    for name, change in (
        ("over", {"last": NOW + 60}),
        ("gone", {"spec": row_of(service, "gone").spec.replace(".work", ".lost")}),
    ):
        row = row_of(service, name)
        assert schedule_store.replace(row, change.get("spec", row.spec), change.get("last", row.last))
    schedules.make("overdue", ScheduleRequest("work", (1,), at=NOW + 60))
    schedule_store.add(
        ScheduleRow("old.code", "code", '{"text": "@daily", "words": "Daily", "tz": "UTC"}', False, NOW, NOW)
    )
    far = json.dumps({**json.loads(row_of(service, "gone").spec), "every": None, "at": 3e11})
    schedule_store.add(
        ScheduleRow("far", "made", far, False, NOW, NOW)
    )  # as an older version took it: in the year 11476
    schedules.pause("paused")
    clock.set_source(lambda: NOW + 120)
    page = browser.get("/monitor/schedules").text
    rows = {name.rpartition(".")[2]: row for name, row in re.findall(r'<tr data-id="([^"]*)">(.*?)</tr>', page, re.S)}
    words = {name: " ".join(re.sub(r"<[^>]*>", " ", row).split()) for name, row in rows.items()}
    offered = {
        name: {
            said
            for said in ("Run now", "Pause", "Resume", "Edit", "Remove")
            if re.search(rf">{said}</(a|button)>", row)
        }
        for name, row in rows.items()
    }
    code, made = {"Run now", "Pause"}, {"Run now", "Pause", "Edit", "Remove"}
    for each in schedules.all():
        assert browser.get(f"/monitor/schedules/{each.name}").status == 200, each.name
    assert offered == {
        "asked": code, "beat": code, "fails": code, "over": made, "overdue": made, "gone": {"Pause", "Remove"},
        "far": {"Pause", "Remove"},
        "code": {"Pause", "Remove"}, "paused": {"Run now", "Resume", "Edit", "Remove"},
    }  # fmt: skip
    assert {name for name in words if "never again" in words[name]} == {"over"}
    assert "1 min ago" in words["overdue"]
    assert "broken" in words["fails"] and "no minute" in words["fails"] and "no minute" not in words["beat"]
    assert "broken" in words["far"] and "before the year 10000" in words["far"]
    assert browser.get("/monitor/").status == 200
    service.recorder.turn()
    assert service.recorder.status.problem is None
    options = manage.parsed(["schedule", "list"])
    options.run(SimpleNamespace(control=service.control), options)
    listed = {
        line.split("\t")[0].rpartition(".")[2]: line.split("\t")[4] for line in capsys.readouterr().out.splitlines()
    }
    assert listed["over"] == "never again" and listed["asked"] == "next when its function says so"
    assert listed["paused"] == "paused" and listed["beat"].startswith("next 2026-06-01 00:0")
    assert {name for name in listed if listed[name].startswith("broken: ")} == {"fails", "far", "gone", "code"}
    assert "broken no task " in words["gone"] and "broken no task old.code is known" in words["code"]
    assert browser.post("/monitor/schedules/gone/remove").status == 200, "it asks first"
    assert browser.post("/monitor/schedules/gone/remove", {"sure": "1"}).status == 303
    assert browser.post("/monitor/schedules/old.code/remove", {"sure": "1"}).status == 303
    assert browser.post(f"/monitor/schedules/{beat.task_class.__module__}.beat/remove", {"sure": "1"}).status == 409
    shown = {each["name"].rpartition(".")[2]: each for each in service.client().get("/api/schedules").json["schedules"]}
    assert shown.keys() == words.keys() - {"gone", "code"}
    assert "no minute" in shown["fails"]["problem"] and shown["beat"]["problem"] is None
    schedules.resume("paused")
    slots = [OccurrenceRow("paused", NOW - 100, "deferred", "j", None, NOW)]
    slots += [OccurrenceRow("paused", NOW - 90 + n, "skipped", None, "it was paused", NOW) for n in range(70)]
    assert schedule_store.fire([Tick(row_of(service, "paused"), NOW, slots, [job("j")])])
    assert schedules.get("paused").last_at == NOW - 100, "also where all that is shown was skipped"
    row = browser.get("/monitor/schedules").text.partition('data-id="paused"')[2].partition("</tr>")[0]
    assert re.search(r"then (\d\d Jun 03:00(, )?){4} \(Europe/Zagreb\)", row), "by its own clock, and it says which"
    assert re.search(r'title="2026-06-01 03:00:00 CEST"', row)
