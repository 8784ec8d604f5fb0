"""A deployment that attackers have filled: whatever a page shows is meant to break it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from duey import clock
from duey.alerts.incidents import Change
from duey.alerts.rules.finding import Finding
from duey.model.schedule import MISSED, SKIPPED, OccurrenceRow, ScheduleRow, Tick
from duey.monitor.access import VIEWER
from duey.monitor.access.schema import ACCOUNTS, TOKENS
from tests.contracts.rig import job, payload_of
from tests.monitor.history.conftest import Queue, Story, traceback
from tests.monitor.web.world import World, tell_all

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}%>{{!x}}",
    "\u202egnp.exe\u202c \u200f\u2066",
    "\x1b[31mred\x1b[0m\x07\x00",
    "</textarea></title><svg onload=alert(1)>",
    "\ud800 half",
    "javascript:alert(1)",
    "a" * 3000,
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 mixed 123",
)

BIG = "<b>big</b>" * 100_000  # 1 MB
LONG = ("W" * 3000, "long names of many words, " * 120)  # what breaks nowhere, and what breaks everywhere


def utf8(text: str) -> str:
    """Without the half of a surrogate pair, which is refused where it would be stored."""
    return text.encode("utf-8", "replace").decode()


def make_hostile(world: World, texts: Sequence[str] = HOSTILE) -> None:
    """Hostile text in every place that holds text of others."""
    _history(world, texts)
    ids = _queue(world, texts)
    _schedules(world, texts)
    for n, text in enumerate(texts):
        # Neither can have such a name, unless somebody has written into the file.
        sent = utf8(text)
        world.access.accounts.create(f"x{n}", VIEWER)
        world.access.tokens.create(f"x{n}", ("read", "enqueue", "admin"), 86400)
        with world.access._database.writing() as db:
            for table in (ACCOUNTS, TOKENS):
                table.update(name=sent).where(table.c.name == f"x{n}").execute(db)
        world.access.audit.record(sent, "api", sent, sent, sent, 1, sent)
        finding = Finding(sent[:40], f"x {n}", sent, (sent, sent), ((sent, sent), ("error", sent)), sent, 1)
        tell_all(world, Change("open", None, finding))
    world.hostile = [*ids, *(f"{kind} {utf8(text)[:200]}" for kind in ("past", "lost") for text in texts)]


def _history(world: World, texts: Sequence[str]) -> None:
    story = Story(clock.now() - 100)
    for text in texts:
        past, lost = (f"{kind} {utf8(text)[:200]}" for kind in ("past", "lost"))
        given: dict[str, Any] = {"task": f"m.{text}", "queue": text}
        detail = {"context": {text: text}, "by": text, "parent": text}
        story.enqueue(past, 0, args=[text, {text: text}], kwargs={text: text}, detail=detail, **given)
        story.done(past, 1, 2, result=text, detail={"logs": [[clock.now(), text, text]]}, **given)
        story.enqueue(lost, 3, kwargs={"big": BIG if text == texts[0] else text}, **given)
        lines = traceback(f"/srv/{text}.py:{text}", type_and_message=f"{text}: {text}")
        more = {"logs": [[clock.now(), text, text]], "progress": {"done": 1, "total": 2, "note": text}}
        story.failed(lost, 4, 5, error=(text, text * 3, lines), detail=more, **given)
        story.tell("blocked", lost, 6, detail={"reason": text}, **given)
    recorder = world.history.recorder(Queue(story.events))
    recorder.record()
    recorder.close()


def _queue(world: World, texts: Sequence[str]) -> list[str]:
    """Tasks, workers, and jobs that run, wait, failed and are set aside."""

    def evil(x: Any = texts[0], *rest: Any, **more: Any) -> None:
        raise RuntimeError(f"{x}")

    storage = world.huey.storage
    for n, text in enumerate(texts[:6]):
        evil.__doc__, evil.__module__ = text, "evil"
        try:
            world.huey.task(name=text, retries=n)(evil)
        except Exception:  # this name is refused
            continue
    world.huey.task(name="evil")(evil)
    for n, text in enumerate(texts):
        sent = utf8(text)
        world.enqueue("evil.evil", f"failed {n}", sent, {sent: sent}, kwargs={sent: sent}, retries=0, priority=99)
        world.finish(world.begin())
    world.enqueue("evil.evil", "runs", *texts[:3], priority=99)
    world.begin()
    note = json.dumps({"done": 1, "total": 2, "note": texts[0]})
    storage.put_progress(world.running["runs"].claim.job.seq, note)
    ids = [f"failed {n}" for n in range(len(texts))]
    for n, text in enumerate(texts):
        sent = utf8(text)
        ids.append(f"waiting {sent}"[:200])
        payload = payload_of(ids[-1], f"m.{sent}", (sent, {sent: sent}, BIG if n == 5 else 1))
        storage.enqueue_jobs([job(ids[-1], task=f"m.{sent}", queue=sent, by=sent, parent=sent, payload=payload)])
    for n, text in enumerate(texts[:2]):
        world.hire(text, 4000 + n, utf8(text)[:50], code=text)
    world.record()
    return [*ids, "runs"]


def _schedules(world: World, texts: Sequence[str]) -> None:
    store, now = world.huey.storage.schedule_store, clock.now()
    for n, text in enumerate(texts):
        sent = utf8(text)
        spec = {"task": f"m.{sent}", "call": sent, "cron": sent, "tz": sent} if n % 2 else {
            "text": sent, "words": sent, "tz": sent,
        }  # fmt: skip
        row = ScheduleRow(sent[:200], "made" if n % 2 else "code", json.dumps(spec), False, now - 60, now - 60)
        assert store.add(row)
        slots = [
            OccurrenceRow(row.name, now - 30 + m, outcome, None, sent, now)
            for m, outcome in enumerate((MISSED, SKIPPED, sent[:20]))
        ]
        assert store.fire([Tick(row, now, slots, [])])
