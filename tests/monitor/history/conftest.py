"""What these tests share: books of their own, a clock that they turn, a queue of events, and stories of jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, cast

import pytest

from duey.model.event import Event, OutboxOwner
from duey.monitor.history import History
from tests.monitor.conftest import PATIENCE_S as PATIENCE_S
from tests.monitor.conftest import START, Clock


@dataclass
class Settings:
    backlog_rows: int = 1_000_000
    retention_days: float = 30
    retention_rows: int = 1_000_000
    keep_failed_days: float = 180
    max_value_kb: int = 16


class Queue:
    """Where events wait, as the engine's storage keeps them. `hold` keeps what was deleted, as a crash would."""

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.waiting = list(events)
        self.deleted: list[Event] = []
        self.hold = False

    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner:
        return OutboxOwner(history, where, 1, 0.0)

    def leave_outbox(self, term: int) -> None: ...

    def read_events(self, limit: int, term: int | None = None) -> list[Event]:
        return self.waiting[:limit]

    def delete_events(self, events: Sequence[Event], term: int = 0) -> None:
        if self.hold:
            raise RuntimeError("the process dies here")
        self.deleted += events
        gone = {id(event) for event in events}
        self.waiting = [event for event in self.waiting if id(event) not in gone]


class Story:
    """Events of jobs, told one by one; each call returns its event, and `events` holds all of them in order."""

    def __init__(self, at: float = START) -> None:
        self.at = at
        self.events: list[Event] = []
        self.enqueued: dict[str, float] = {}
        self.tokens = 0

    def tell(
        self, kind: str, job_id: str = "a", at: float | None = None, token: int | None = None, **more: Any
    ) -> Event:
        """`at` is seconds after the story's beginning. Kinds of attempts get a token of their own."""
        instant = self.at if at is None else self.at + at
        if kind == "enqueued":
            self.enqueued[job_id] = instant
        if token is None:
            self.tokens += kind not in ("enqueued", "retried", "unblocked")
            token = self.tokens if kind not in ("enqueued", "retried", "unblocked") else 0
        if "started_at" in more and more["started_at"] is not None:
            more["started_at"] += self.at
        event = Event(
            seq=len(self.events) + 1, kind=kind, job_id=job_id, token=token, at=instant,
            task=more.pop("task", "tasks.add"), queue=more.pop("queue", "default"), priority=more.pop("priority", 0.0),
            enqueued_at=self.enqueued.get(job_id, instant), **more,
        )  # fmt: skip
        self.events.append(event)
        return event

    def enqueue(self, job_id: str = "a", at: float | None = None, **more: Any) -> Event:
        return self.tell("enqueued", job_id, at, args=more.pop("args", []), kwargs=more.pop("kwargs", {}), **more)

    def done(self, job_id: str = "a", started_at: float = 1.0, at: float = 2.0, **more: Any) -> Event:
        return self.tell("done", job_id, at, started_at=started_at, worker=7, attempt=more.pop("attempt", 1), **more)

    def failed(self, job_id: str = "a", started_at: float = 1.0, at: float = 2.0, **more: Any) -> Event:
        kind, error = more.pop("kind", "failed"), more.pop("error", ("ValueError", "no", traceback()))
        detail = dict(zip(("type", "message", "traceback"), error, strict=True)) | more.pop("detail", {})
        return self.tell(
            kind, job_id, at, started_at=started_at, worker=7, attempt=more.pop("attempt", 1), detail=detail, **more
        )

    def plain_job(self, job_id: str, at: float = 0.0, **more: Any) -> None:
        """Enqueued and done a moment later."""
        self.enqueue(job_id, at, **more)
        self.done(job_id, at + 1, at + 2, **{k: v for k, v in more.items() if k in ("task", "queue")})


def traceback(*frames: str, type_and_message: str = "ValueError: no") -> str:
    """A traceback's text along `path:function` frames."""
    lines = ["Traceback (most recent call last):"]
    for line, frame in enumerate(frames or ("/srv/tasks.py:add",)):
        path, _, function = frame.rpartition(":")
        lines += [f'  File "{path}", line {line + 1}, in {function}', "    call()"]
    return "\n".join([*lines, type_and_message]) + "\n"


def record(history: History, events: Sequence[Event], batch: int = 10_000) -> None:
    """Give the events to a recorder in batches, and wait for nothing."""
    for i in range(0, len(events), batch):
        queue = Queue(events[i : i + batch])
        recorder = history.recorder(queue)
        while queue.waiting:
            recorder.record()


def tables(history: History) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that stands in the history but the instants of recording."""
    with history.database.reading() as db:
        names = db.get_tables()
        return {
            name: sorted(
                db.execute_sql(
                    f"SELECT * FROM {name} WHERE name NOT IN ('recorded_at', 'began_at', 'identity')"
                ).fetchall()
            )
            if name == "marks"
            else sorted(db.execute_sql(f"SELECT * FROM {name}").fetchall(), key=repr)
            for name in names
        }


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "monitor.db"


NewUrl = Callable[[], str]
only_sqlite = pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("new_url", ["postgresql"], indirect=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, path: Path) -> NewUrl:
    """Each call returns the URL of a new history; the first one in SQLite is at `path`."""
    if request.param == "postgresql":
        return cast(NewUrl, request.getfixturevalue("new_schema"))
    names = chain([path], (path.with_name(f"other{n}.db") for n in count()))
    return lambda: f"sqlite:///{next(names)}"


@pytest.fixture
def url(new_url: NewUrl) -> str:
    """That of `history`."""
    return new_url()


@pytest.fixture
def history(url: str, settings: Settings, clock: Clock) -> History:
    return History(url, settings, clock)


@pytest.fixture
def story() -> Story:
    return Story()
