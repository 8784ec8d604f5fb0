"""The page Alerts: incidents, what is done about them, channels and rules."""

from __future__ import annotations

import re
import threading

from duey.alerts.incidents import Change, Incident
from duey.alerts.rules.finding import Finding
from duey.alerts.store import Store
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Browser
from tests.monitor.web.world import FakeChannel, World, count_past, tell_all
from tests.support import rows, wait_until

SLOW = "Queue slow: jobs wait longer than 10 min"


def incident(world: World, title: str) -> Incident:
    found = world.site.services.alerts.incidents("open").rows
    return next(each.incident for each in found if each.incident.title == title)


def test_open_incidents_come_first_and_say_who_was_told(world: World, admin: Browser) -> None:
    page, data = admin.get("/monitor/alerts"), admin.get("/monitor/alerts.json").json
    assert page.words.index(SLOW) < page.words.index("History") < page.words.index("Channels")
    first = data["open"][0]
    assert (first["title"], first["rule"], first["state"], first["count"]) == (
        SLOW, "queue_age", "open", 1,
    )  # fmt: skip
    assert [(each["channel"], each["state"], each["attempts"]) for each in first["notifications"]] == [
        ("pager", "sent", 1)
    ]
    failed = data["open"][2]
    assert {each["channel"]: each["state"] for each in failed["notifications"]} == {"pager": "sent", "team": "waiting"}
    one = admin.get(f"/monitor/alerts?incident={failed['id']}")
    assert "look whether the receiver has changed its answer" in one.words and "answered 404: 'no_team'" in one.words
    assert f'href="/monitor/{failed["link"]}"' in one.text
    assert "next attempt" in one.words, "of the channel that is quiet at night"
    assert "No incident has the id gone any more" in admin.get("/monitor/alerts?incident=gone").words


def test_the_overview_names_them(world: World, admin: Browser) -> None:
    head = admin.get("/monitor/").text.partition("</h1>")[0]
    assert f'<a href="/monitor/alerts">3 open incidents, the newest: {SLOW}</a>' in head


def test_the_overview_names_one_and_no_drill(empty: World) -> None:
    ana = empty.browser("ana")
    assert "incident" not in ana.get("/monitor/").words
    tell_all(empty, Change("open", None, Finding("backup", "backup", "No backup <b>", link="schedules")))
    assert "open incident: No backup &lt;b&gt;" in ana.get("/monitor/").text
    tell_all(empty, Change("open", None, Finding("drill", "drill", "A drill")))
    assert "open incident: No backup" in ana.get("/monitor/").words, "a drill is not wrong"


def test_the_history_is_paged_and_loses_nothing_while_incidents_close(world: World, admin: Browser) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        data = admin.get(f"/monitor/alerts.json?cursor={cursor}").json
        seen += [each["opened_at"] for each in data["closed"]]
        cursor = data["next"]
        store = Store(world.history.database)
        tell_all(world, *(Change("close", each) for each in list(store.open().values())[:1]))
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == len(seen) == 12
    assert "Older" in admin.get("/monitor/alerts").words
    page = admin.get("/monitor/alerts?rule=no_consumer")
    assert "of no_consumer" in page.words and "Queue default: jobs" not in page.words
    assert admin.get("/monitor/alerts?cursor=x").status == 400


def test_a_flood_of_open_incidents_is_paged(empty: World) -> None:
    findings = [Finding("error_new", f"error {n}", f"task{n}: failed", link="errors") for n in range(120)]
    tell_all(empty, *(Change("open", None, each) for each in findings))
    ana, seen, address = empty.browser("ana"), list[str](), "/monitor/alerts"
    while address:
        page = ana.get(address)
        assert "Open 120" in page.words
        seen += re.findall(r">(task\d+): failed</a>", page.text)
        address = next(iter(re.findall(r'href="(/monitor/alerts\?open=[^"]*)" rel="next"', page.text)), "")
    assert len(seen) == len(set(seen)) == 120
    assert ana.get("/monitor/alerts?open=x").status == 400
    assert "No older one is open any more" in ana.get("/monitor/alerts?open=1").words


def test_acknowledge(world: World, admin: Browser) -> None:
    id = incident(world, SLOW).id
    assert "Acknowledged" in admin.follow(admin.post(f"/monitor/alerts/{id}/ack")).words
    found = incident(world, SLOW)
    assert (found.acked_by, found.acked_at) == ("ana", 1_800_000_000.0)
    assert "Acknowledged by ana" in admin.follow(admin.post(f"/monitor/alerts/{id}/ack")).words
    assert "acknowledged by ana" in admin.get("/monitor/alerts").words
    assert admin.post("/monitor/alerts/gone/ack").status == 404
    assert world.access.audit.page(limit=1)[0].action == "acknowledge incident"


@rows(
    ("form", "until", "words"),
    [
        ({"for": "1h"}, 3600, "Muted until"), ({"for": "7d"}, 7 * 86400, "Muted until"),
        ({"until": "2027-01-15T09:30"}, 5400, "Muted until 09:30 UTC"), ({"for": "off"}, None, "No longer muted"),
        ({"until": "2027-01-15T07:00"}, 422, "expected a time within the next year"),
        ({"until": "2029-01-15T07:00"}, 422, "expected a time within the next year"),
        ({"until": "soon"}, 422, "expected a time such as"), ({}, 422, "expected a time such as"),
    ],
)  # fmt: skip
def test_mute(world: World, admin: Browser, clock: Clock, form: dict[str, str], until: int | None, words: str) -> None:
    clock.now = 1_800_000_000.0
    id = incident(world, SLOW).id
    before = incident(world, SLOW).muted_until
    answer = admin.post(f"/monitor/alerts/{id}/mute", form)
    assert words in (answer if until == 422 else admin.follow(answer)).words
    expected = before if until == 422 else until and clock.now + until
    assert incident(world, SLOW).muted_until == expected
    if until and until != 422:
        assert "muted until" in admin.get("/monitor/alerts").words
        clock.now += until + 1
        assert "muted until" not in admin.get("/monitor/alerts").words


def test_a_test_of_a_channel_shows_what_its_server_answered(world: World, admin: Browser, clock: Clock) -> None:
    clock.now += 60
    assert (
        "pager took the test: answered 200 in 31 ms"
        in admin.follow(admin.post("/monitor/alerts/channels/pager/test")).words
    )
    page = admin.follow(admin.post("/monitor/alerts/channels/team/test"))
    assert "team did not take the test: https://hooks.slack.com answered 404: 'no_team'" in page.words
    pager, team = admin.get("/monitor/alerts.json").json["channels"]
    assert (pager["sent_at"], pager["answer"], pager["error_at"]) == (
        "2027-01-15T08:01:00.000Z", "answered 200 in 31 ms", None,
    )  # fmt: skip
    assert (team["sent_at"], team["error_at"]) == (None, "2027-01-15T08:01:00.000Z")
    words = admin.get("/monitor/alerts").words
    assert "failing" in words and "quiet 22:00-07:00 UTC" in words
    answer = admin.post("/monitor/alerts/channels/pagr/test")
    assert answer.status == 404 and "did you mean pager?" in answer.words


def test_one_test_of_a_channel_runs_at_a_time(world: World, admin: Browser) -> None:
    over, begun = threading.Event(), threading.Event()
    pager = world.site.services.alerts.channels["pager"]
    assert isinstance(pager, FakeChannel)
    pager.send = lambda message, timeout_s: begun.set() or str(over.wait(30))  # type: ignore[method-assign]
    thread = threading.Thread(target=world.site.services.alerts.test, args=("pager",))
    thread.start()
    wait_until(begun.is_set, 10, "the first test runs")
    page = admin.follow(admin.post("/monitor/alerts/channels/pager/test"))
    over.set()
    thread.join()
    assert "another test of this channel is under way" in page.words


def test_rules_say_what_they_told_and_would_have(world: World, admin: Browser) -> None:
    assert "not counted yet" in admin.get("/monitor/alerts").words
    count_past(world)
    with world.history.database.writing() as db:
        db.execute_sql("INSERT INTO marks VALUES ('readings_since', ?)", (world.site.services.clock(),))
    rules = {each["name"]: each for each in admin.get("/monitor/alerts.json").json["rules"]}
    assert (rules["queue_age"]["incidents"], rules["queue_age"]["would"]) == (5, 0)
    assert (rules["schedule_missed"]["incidents"], rules["schedule_missed"]["would"]) == (4, 1), (
        "three in a row are one"
    )
    assert rules["job_failed"]["incidents"] == 1 and rules["job_failed"]["would"] > 3
    assert rules["schedule_late"]["threshold"] == "late_s = 300" and rules["schedule_late"]["is_on"]
    assert (rules["backup"]["threshold"], rules["backup"]["is_on"]) == ("backup_hours = not set", False)
    assert (rules["backup"]["would"], rules["backup"]["why"]) == (None, "not set")
    page = admin.get("/monitor/alerts")
    assert 'href="/monitor/alerts?rule=queue_age">5</a>' in page.text
    assert "are counted since" in page.words and "–" not in page.words


def test_an_empty_page_says_how_to_begin(empty: World) -> None:
    page = empty.browser("ana").get("/monitor/alerts")
    assert "Nobody would be told of it: name a channel in [alerts]" in page.words


def test_a_viewer_gets_no_buttons(viewer: Browser) -> None:
    text = viewer.get("/monitor/alerts").text
    assert not re.search("formaction", text) and SLOW in text


def test_a_fire_drill_is_followed_on_the_page(world: World, admin: Browser, clock: Clock) -> None:
    assert "Alerts were never proven" in admin.get("/monitor/alerts").words
    assert "Alerts proven" not in admin.get("/monitor/").words
    begun = admin.post("/monitor/alerts/drill")
    job_id = begun.headers["location"].partition("drill=")[2].partition("#")[0]
    page = admin.get(f"/monitor/alerts?drill={job_id}")
    assert "worker: not yet the job is queued" in page.words and "channel pager: not yet" in page.words
    assert world.begin() == job_id
    world.finish(job_id)
    world.record()
    finding = Finding("drill", f"drill {job_id}", "Fire drill")
    tell_all(world, Change("open", None, finding))
    page = admin.get(f"/monitor/alerts?drill={job_id}")
    assert "rule: done" in page.words and "channel pager: done answered 200" in page.words
    assert "channel team: not yet https://hooks.slack.com answered 404" in page.words
    team = world.site.services.alerts.channels["team"]
    assert isinstance(team, FakeChannel)
    clock.now += 60
    words = admin.get("/monitor/").words
    assert "The last fire drill failed 1 min ago: channel team: https://hooks.slack.com answered 404" in words
    team.fails, clock.now = "", clock.now + 3600
    tell_all(world)
    assert "Alerts proven 1 min ago." in (clock.advance(60) or admin.get("/monitor/").words)
