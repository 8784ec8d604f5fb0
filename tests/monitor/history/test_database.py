"""The file of the history: each older schema, and a newer one (test_sqlite_file has what it shares with access.db)."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.monitor.history import History, HistoryTooNew
from duey.monitor.history.database import Database
from duey.monitor.history.schema import MIGRATIONS
from tests.monitor.history.conftest import Queue, Story, record
from tests.support.file_errors import one_sentence

NEXT = (
    *MIGRATIONS,
    ("ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'", "CREATE INDEX jobs_by_mood ON jobs (mood)"),
)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_each_older_schema_becomes_the_present_one(history: History, path: Path, story: Story, version: int) -> None:
    Database(f"sqlite:///{path}", migrations=MIGRATIONS[:version]).prepare()
    story.plain_job("a")
    record(history, story.events)
    assert history.job("a").state == "done"


def test_a_newer_schema_is_refused_and_left_alone(history: History, path: Path, story: Story) -> None:
    Database(f"sqlite:///{path}", migrations=NEXT).prepare()
    with pytest.raises(HistoryTooNew) as refused:
        history.prepare()
    text = one_sentence(refused.value, path)
    assert f"has schema {len(NEXT)}" in text
    assert f"up to {len(MIGRATIONS)}" in text
    queue = Queue(story.events)
    story.plain_job("a")
    recorder = history.recorder(queue)
    recorder.turn()
    assert recorder.status.problem == text
    with Database(f"sqlite:///{path}", migrations=NEXT).reading() as db:
        assert db.execute_sql("SELECT version FROM books_schema").fetchone() == (len(NEXT),)
