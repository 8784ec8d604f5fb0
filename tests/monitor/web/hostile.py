"""A deployment that attackers have filled: whatever a page shows is meant to break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from duey.model.job import Failure, Parameter, TaskInfo
from duey.monitor.access import VIEWER, Access
from duey.monitor.access.schema import ACCOUNTS, TOKENS
from duey.monitor.history import LogLine
from tests.monitor.web.fake_history import FakeHistory
from tests.monitor.web.scene import make_morning
from tests.monitor.web.scene_tasks import SceneControl

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


def make_hostile(
    control: SceneControl, history: FakeHistory, access: Access, now: float, texts: Sequence[str] = HOSTILE
) -> None:
    """The morning, with hostile text in every place that holds text of others."""
    make_morning(control, history, now)
    for n, row in enumerate(history.rows):
        text = texts[n % len(texts)]
        job = row.job
        error = Failure(text, text * 3, f'Traceback\n  File "{text}", line 3, in {text}\n    {text}\n{text}: {text}\n')
        changed = replace(
            job,
            task=text if n % 3 else job.task,
            qualname=f"m.{text}" if n % 3 else job.qualname,
            args=[text, {text: text}],
            kwargs={text: text, "big": BIG if n == 5 else 1},
            result=text if job.state == "done" else None,
            error=error if job.error else None,
            context={text: text},
            queue=text,
            worker=text,
            progress={"done": 1, "total": 2, "note": text} if job.progress else None,
        )
        history.rows[n] = replace(row, job=changed)
        if job.id in control.all:
            live = control.all[job.id]
            control.all[job.id] = replace(changed, state=live.state, started_at=live.started_at, reason=live.reason)
        attempts = history.attempts_of.get(job.id, ())
        history.attempts_of[job.id] = tuple(
            replace(each, error=error if each.error else None, worker=text, logs=(LogLine(now, text, text),))
            for each in attempts
        )
        history.timeline_of[job.id] = tuple(
            replace(step, reason=text, worker=text, error=error if step.error else None)
            for step in history.timeline_of.get(job.id, ())
        )
    history.groups = [
        replace(group, type=text, message=text, task=text, qualname=text, frames=(text, text))
        for group, text in zip(history.groups, texts, strict=False)
    ]
    history.figures = [
        replace(each, task=text, qualname=text) for each, text in zip(history.figures, texts, strict=False)
    ]
    for text in texts[:6]:
        name = f"evil.{text}"
        control.registered[name] = TaskInfo(
            text,
            name,
            text,
            (Parameter("x", text, False, text), Parameter(text, "str", True)),
            {text: text},
            True,
            False,
        )
    model = next(each for each in control.schedules.all() if each.slots)
    for n, text in enumerate(texts):
        outcomes = (text, "missed", "late", "skipped", "failed")
        slots = tuple(
            replace(slot, outcome=outcome, reason=text, job_id=None if outcome == "missed" else text)
            for outcome, slot in zip(outcomes, model.slots, strict=False)
        )
        control.schedules.kept[text] = replace(
            model, name=text[:200], task=text, expression=text, words=text, tz=text, slots=slots, known=False,
            source="made" if n % 2 else model.source,
        )  # fmt: skip
    control.crew = [
        replace(
            each, host=text, queues=(text,), worker_type=text if n else each.worker_type,
            running=tuple(replace(run, task=f"m.{text}", job_id=text) for run in each.running),
        )
        for n, (each, text) in enumerate(zip(control.crew, texts, strict=False))
    ]  # fmt: skip
    history.seen = tuple(
        replace(each, host=texts[0], queues=(texts[1],), running=tuple((text, text, now) for text in texts[:4]))
        for each in history.seen
    )
    for n, text in enumerate(texts):
        # Neither can have such a name, unless somebody has written into the file.
        name = text.encode("utf-8", "replace").decode()
        access.accounts.create(f"x{n}", VIEWER)
        access.tokens.create(f"x{n}", ("read", "enqueue", "admin"), 86400)
        with access._database.writing() as db:
            for table in (ACCOUNTS, TOKENS):
                table.update(name=name).where(table.c.name == f"x{n}").execute(db)
    for text in texts:
        sent = text.encode("utf-8", "replace").decode()
        access.audit.record(sent, "api", sent, sent, sent, 1, sent)
