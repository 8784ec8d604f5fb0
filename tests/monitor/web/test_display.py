"""The small words: times, figures, filters, calls, tracebacks, and why a job is not running."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from datetime import timezone
from zoneinfo import ZoneInfo

from duey.control.health import Stranded
from duey.model.job import Counts, Job, Running, WorkerInfo
from duey.monitor.history import Count
from duey.monitor.web.answer import to_json
from duey.monitor.web.display import calls, formats
from duey.monitor.web.display.frames import read_traceback
from duey.monitor.web.display.healthy import Situation, judge
from duey.monitor.web.display.text import clip, inert, one_line
from duey.monitor.web.display.why import why_not_running
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.forms.filters import length_s, read_filter
from tests.support import rows

TRACEBACK = """Traceback (most recent call last):
  File "/srv/duey/tasks.py", line 48, in deliver_webhook
    answer = webhook.deliver(url, body, message_id=job.id)
  File "/srv/duey/recipes/webhook.py", line 61, in deliver
    answer = http.request("POST", url, body=raw, timeout_s=timeout_s)
  File "/usr/lib/python3.11/http/client.py", line 1303, in request
    self._send_request(method, url, body, headers, encode_chunked)
  File "/usr/lib/python3.11/http/client.py", line 1058, in _send_output
    self.send(msg)
  File "/srv/duey/.venv/lib/python3.11/site-packages/urllib3/connection.py", line 203, in _new_conn
    raise NewConnectionError(self, f"Failed to establish a new connection: {e}") from e
ConnectionRefusedError: [Errno 111] Connection refused
"""
NOW = 1_800_000_000.0
JOB = Job("j", "add", "tasks.add", "default", [], {}, "queued", 0, 0, 0, 0, NOW)
WORKER = WorkerInfo("1", "atlas", 1, NOW, NOW, 1, "thread", ("default",), True, False, ())
BUSY = replace(WORKER, running=(Running("x", "tasks.add", NOW - 360),))
NONE = Counts(0, 0, 0, 0, 0, None, 0)


@rows(
    ("seconds", "said"),
    [(0.4, "now"), (-0.9, "now"), (12, "12 s ago"), (200, "3 min ago"), (-7300, "in 2 h"), (86400 * 3, "3 d ago")],
)
def test_how_long_ago(seconds: float, said: str) -> None:
    assert formats.ago(seconds) == said


@rows(
    ("ms", "said"),
    [(None, "–"), (0, "0 ms"), (0.42, "0.4 ms"), (85, "85 ms"), (999.9, "1000 ms"), (3210, "3.2 s"), (42_000, "42 s"),
     (240_000, "4 min"), (9_000_000, "2.5 h"), (3 * 86_400_000, "3.0 d")],
)  # fmt: skip
def test_how_long_it_took(ms: float | None, said: str) -> None:
    assert formats.duration(ms) == said


def test_a_time_has_its_zone_and_one_that_no_calendar_holds_breaks_nothing() -> None:
    told = formats.Times(NOW, timezone.utc)
    assert told.when(NOW - 60) == (
        '<time datetime="2027-01-15T07:59:00Z" title="2027-01-15 07:59:00 UTC" data-clock="07:59">1 min ago</time>'
    )
    assert told.running(NOW - 60) == (
        '<time datetime="2027-01-15T07:59:00Z" title="2027-01-15 07:59:00 UTC" data-kind="run">1 min</time>'
    )
    zagreb = formats.Times(NOW, ZoneInfo("Europe/Zagreb"))
    assert 'data-clock="14 Jan 22:59"' in zagreb.when(NOW - 36_060) and "14 Jan 21:59" in told.when(NOW - 36_060)
    assert (zagreb.zone_name, zagreb.zone_end) == ("Europe/Zagreb", "CET")
    for at in (1e18, -1e18, float("inf"), float("nan")):
        assert told.when(at) == formats.NO_CALENDAR
    assert told.when(None) == "–"


def test_figures() -> None:
    assert formats.number(1234567) == "1\u202f234\u202f567"
    assert formats.count(Count(10_000, True)) == "10k+"
    assert formats.count(Count(7)) == "7"
    assert [formats.size(each) for each in (0, 999, 48_300_000, 2.1e10)] == ["0 B", "999 B", "48.3 MB", "21.0 GB"]
    assert [formats.percent(*each) for each in ((0, 5), (1, 100_000), (1, 40))] == ["0 %", "<0.1 %", "2.5 %"]


def test_values_of_people_are_plain_json() -> None:
    given = {"args": [math.inf, math.nan], "kwargs": {"due_at": 12}, "x_at": 0.0, "far_at": 1e30, "ms": math.inf}
    shown = {"args": ["inf", "nan"], "kwargs": {"due_at": 12}, "x_at": "1970-01-01T00:00:00.000Z", "far_at": None}
    assert json.loads(to_json(given)) == {**shown, "ms": "inf"}


def test_inert_text() -> None:
    assert inert("<a href='x'>&") == "&lt;a href=&#39;x&#39;&gt;&amp;"
    assert inert("\x1b[1m\u202e\r\ud800\n\t") == "\\x1b[1m\\u202e\\r\\ud800\n\t"
    assert clip("abcdef", 4) == "abc…" and one_line("a\n  b", 10) == "a b"
    assert len(one_line("x" * 10**6, 50)) == 50


def test_a_filter_survives_its_own_box() -> None:
    box = "two 'with space' task:a.b error:E args.to:bob@ \"it's\""
    first = read_filter(Fields([("q", box)]), NOW)
    again = read_filter(Fields([("q", first.box)]), NOW)
    assert first.wanted == again.wanted
    assert first.wanted.text == "two with space it's"
    assert (first.wanted.task, first.wanted.error_type, first.wanted.args) == ("a.b", "E", (("to", "bob@"),))


@rows(
    ("text", "since"),
    [("2h", NOW - 7200), ("15min", NOW - 900), ("3d", NOW - 259_200), ("2027-01-15T07:00Z", NOW - 3600),
     ("x", None), ("1e9d", None)],
)  # fmt: skip
def test_since(text: str, since: float | None) -> None:
    asked = read_filter(Fields([("q", f"since:{text}")]), NOW)
    assert asked.wanted.since == since
    assert bool(asked.problems) == (since is None)


def test_odd_boxes_are_text() -> None:
    for box in ("'", '"a', "http://x", "a:b", "args.:x", "task:", ":", "\\"):
        assert read_filter(Fields([("q", box)]), NOW).problems == ()
    assert length_s("1.5h") == 5400 and length_s("90") == 90 and length_s("-1s") is None


def test_a_command_gives_back_its_arguments() -> None:
    job = replace(JOB, args=[1, "true", "a b", "$(rm)", "x=1", None], kwargs={"k": {"q": "'\n"}})
    words = shlex.split(calls.as_command(job))[3:]

    def value_of(text: str) -> object:
        try:
            return json.loads(text)
        except ValueError:
            return text

    assert [value_of(word) for word in words[:-1]] == job.args
    assert json.loads(words[-1].partition("=")[2]) == job.kwargs["k"]


def test_the_call_in_python_is_python() -> None:
    job = replace(JOB, args=["x" * 90, {"a": [1, None]}], kwargs={"b": True, "not a name": 1})
    source = calls.as_python(job)
    seen: list[tuple[object, object]] = []
    exec(source.partition("\n")[2], {"add": lambda *args, **kwargs: seen.append((args, kwargs))})
    assert seen == [(tuple(job.args), job.kwargs)]
    assert calls.as_python(replace(JOB, qualname="os; import evil")).startswith("#")


def test_a_preview_is_short_however_large_the_call() -> None:
    huge = {"a": ["x" * 10**6] * 1000, "b": {str(n): n for n in range(10_000)}}
    assert len(calls.preview([huge, huge], huge)) <= 96


def test_tracebacks() -> None:
    read = read_traceback(TRACEBACK)
    assert [(frame.file, frame.line) for frame in read.own] == [
        ("/srv/duey/tasks.py", 48), ("/srv/duey/recipes/webhook.py", 61),
    ]  # fmt: skip
    assert read.frames == 5 and read.own[1].code.startswith("answer = http.request")
    chained = (
        TRACEBACK
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + ('Traceback (most recent call last):\n  File "/srv/a.py", line 3, in f\n    g()\nKeyError: 1\n')
    )
    assert [frame.file for frame in read_traceback(chained).own] == ["/srv/a.py"]
    assert read_traceback("no traceback").own == ()
    assert len(read_traceback("x" * 10**6).text) < 21_000


@rows(
    ("job", "workers", "said"),
    [
        (replace(JOB, state="running"), [], None),
        (replace(JOB, state="done"), [], None),
        (replace(JOB, state="scheduled", eta=NOW + 60), [WORKER], "Due "),
        (replace(JOB, state="retrying", eta=NOW + 60), [], "The last attempt failed; the next one is due "),
        (replace(JOB, reason="task tasks.add"), [WORKER], "The task add is paused"),
        (replace(JOB, reason="queue slow"), [WORKER], "The queue slow is paused"),
        (replace(JOB, reason="limit tasks.add"), [WORKER], "Waiting for the limit of add"),
        (
            replace(JOB, reason="limit tasks.add"),
            [replace(WORKER, running=(Running("a", "tasks.add", NOW),))],
            "Waiting for the limit of add (1 running)",
        ),
        (replace(JOB, reason="unknown tasks.add"), [WORKER], "No consumer knows the task add"),
        (
            replace(JOB, state="retrying", eta=NOW + 2, reason="lock a.b"),
            [WORKER],
            "The lock a.b is held; the next attempt is due ",
        ),
        (JOB, [], "No consumer is running"),
        (JOB, [replace(WORKER, alive=False)], "No consumer is running"),
        (JOB, [replace(WORKER, worker_type="alone")], "No consumer is running"),
        (JOB, [replace(WORKER, quiet=True)], "All consumers are quiet"),
        (replace(JOB, queue="slow"), [WORKER], "No consumer serves the queue slow"),
        (JOB, [BUSY], "The only worker is busy, the longest for "),
        (JOB, [BUSY, WORKER], "A worker will take it in a moment"),
    ],
)
def test_why_it_is_not_running(job: Job, workers: list[WorkerInfo], said: str | None) -> None:
    because = why_not_running(job, workers)
    assert because is None if said is None else because is not None and because.text.startswith(said)


@rows(
    ("situation", "level", "said"),
    [
        (Situation(NOW, NONE, [replace(WORKER, workers=4)]), "good", "All well: 4 workers, nothing waiting."),
        (Situation(NOW, NONE), "bad", "No consumer is running."),
        (Situation(NOW, replace(NONE, queued=3)), "bad", "No consumer is running: 3 jobs wait."),
        (
            Situation(NOW, NONE, [WORKER], failed=Count(2), since_visit=True),
            "bad", "2 jobs failed since your last visit.",
        ),
        (
            Situation(NOW, replace(NONE, queued=1, oldest_queued_at=NOW - 360), [BUSY]),
            "note", "The oldest job waits 6 min: the only worker is busy.",
        ),
        (
            Situation(NOW, replace(NONE, queued=2, oldest_queued_at=NOW - 5), [WORKER]),
            "good", "All well: 1 worker, 2 jobs waiting.",
        ),
        (
            Situation(NOW, NONE, [WORKER], failed=Count(1), schedules_since="13:40"),
            "bad",
            "No consumer runs schedules since 13:40; 1 job failed in the last 24 h.",
        ),
        (
            Situation(
                NOW, replace(NONE, queued=2, oldest_queued_at=NOW - 3480), [WORKER],
                stranded=[Stranded("queue", ("slow",), 1), Stranded("task", ("shop.a", "shop.b"), 2)],
            ),
            "bad",
            "No consumer serves the queue slow: 1 job waits; no consumer knows the tasks shop.a, shop.b: 2 jobs wait; "
            "the oldest job waits 58 min.",
        ),
        (Situation(NOW, NONE, schedules_since="13:40"), "bad", "No consumer is running."),
        (Situation(NOW, None, problems=("locked",)), "bad", "The queue's storage cannot be used."),
    ],
)  # fmt: skip
def test_health_in_one_sentence(situation: Situation, level: str, said: str) -> None:
    health = judge(situation)
    assert (health.level, health.text(NOW)) == (level, said)
