"""`ping`: a dead man's switch is told of each run of a schedule, and of nothing else."""

import pytest

from duey import errors
from duey.control.service import Control
from duey.execution.pings import FAIL, START, SUCCESS, Pings, address
from duey.model.job import JobRequest
from tests.contracts.rig import job, run_all
from tests.recipes.http_peer import HttpPeer, answer, raw
from tests.support import rows, wait_until

ID = "01a229fc-2df9-72d7-89f8-13a2d8a5b27e"
HC, CRONITOR, KUMA = (
    "https://hc-ping.com/u-u-i-d",
    "https://cronitor.link/p/key/job",
    "https://kuma.example.org/api/push/x",
)


@rows(
    "url, job_id, expected",
    [
        (HC, ID, (f"{HC}/start?rid={ID}", f"{HC}?rid={ID}", f"{HC}/fail?rid={ID}")),
        (f"{HC}/?create=1", "mine", (f"{HC}/start?create=1", f"{HC}?create=1", f"{HC}/fail?create=1")),
        (CRONITOR, ID, tuple(f"{CRONITOR}?state={state}&series={ID}" for state in ("run", "complete", "fail"))),
        (f"{KUMA}?msg=x", ID, (None, f"{KUMA}?msg=x&status=up", f"{KUMA}?msg=x&status=down")),
    ],
)
def test_each_service_is_told_in_its_own_way(url, job_id, expected):
    assert tuple(address(url, event, job_id) for event in (START, SUCCESS, FAIL)) == expected


def test_runs_of_schedules_are_told_and_other_jobs_are_not(huey):
    with HttpPeer() as peer:
        peer.behave = answer(500)  # what it answers changes nothing for the job

        @huey.task(ping=peer.url(path="/secret"))
        def work(n: int) -> int:
            return 1 // n

        control = Control(huey)
        for n, by in ((1, "schedule:daily"), (0, "schedule:daily"), (1, "cli:ann"), (1, None)):
            control.enqueue([JobRequest("work", [n])], by=by)
        run_all(huey)
        wait_until(lambda: len(peer.received) == 4, 20, "both runs are told")
        assert [each.path.partition("?")[0] for each in peer.received] == [
            "/secret/start", "/secret", "/secret/start", "/secret/fail",
        ]  # fmt: skip
        assert "secret" not in str(control.task("work").options)


def test_what_is_not_taken_is_logged_once_without_the_url_and_a_redirect_leads_nowhere(caplog):
    with HttpPeer() as peer, HttpPeer() as inner:
        run, pings = job("beat", by="schedule:heartbeat"), Pings()

        def ping(behave) -> None:
            peer.behave, before = behave, len(peer.received)
            pings.send(peer.url(path="/secret"), SUCCESS, run)
            wait_until(lambda: len(peer.received) > before, 20, "it is sent")

        def lines() -> list[str]:
            return [each.getMessage() for each in caplog.records if "was not taken" in each.getMessage()]

        ping(answer(302, Location=inner.url()))
        ping(answer(500))
        ping(answer(200))
        ping(raw(b"nonsense"))
        ping(answer(200))
        wait_until(lambda: len(lines()) == 2, 20, "logged again after one was taken")
        assert lines() == [
            "a ping (success) to 127.0.0.1 was not taken: it answered 302",
            "a ping (success) to 127.0.0.1 was not taken: BadStatusLine",
        ]
        assert inner.received == []


@rows("url", ["hc-ping.com/x", "ftp://x/y", "https:///x", "https://user@host/", 7])
def test_a_url_that_is_none_stops_the_start(huey, url):
    with pytest.raises(errors.Misconfigured, match="ping is an http:// or https:// URL"):
        huey.task(ping=url)(lambda: None)
