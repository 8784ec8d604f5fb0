"""periodic.py: the nightly backup on real databases, and the heartbeat."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

import periodic
from duey import Discard
from duey.config import Settings
from duey.model.event import OutboxOwner
from duey.monitor.history import History, ownership
from tests.support import rows


class Storage:
    """The part of the queue's storage that a backup asks."""

    owner: OutboxOwner | None = None

    def outbox_owner(self) -> OutboxOwner | None:
        return self.owner


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Storage:
    made = Storage()
    monkeypatch.setattr(periodic, "huey", SimpleNamespace(storage=made))
    return made


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage) -> Settings:
    data = tmp_path / "data"
    data.mkdir()
    given = periodic.settings
    made = replace(
        given,
        storage=replace(given.storage, path=data / "jobs.db"),
        monitor=replace(given.monitor, database=f"sqlite:///{data}/books.db"),
        auth=replace(given.auth, database=f"sqlite:///{data}/people.db"),
        periodic=replace(given.periodic, backup_folder=tmp_path / "backups", backup_keep=2),
    )
    monkeypatch.setattr(periodic, "settings", made)
    for name in ("jobs", "books", "people"):
        with closing(sqlite3.connect(data / f"{name}.db")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"CREATE TABLE {name} (x)")
    return made


def tables(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name FROM sqlite_master").fetchall()


def test_every_database_is_in_the_folder_of_the_day(settings: Settings) -> None:
    before = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    got = periodic.nightly_backup.call_local()
    folder = Path(got["folder"])
    assert folder.parent == settings.periodic.backup_folder
    assert before <= folder.name <= datetime.now(timezone.utc).strftime("%Y-%m-%d")
    for name, table in (("queue", "jobs"), ("monitor", "books"), ("access", "people")):
        assert tables(folder / f"{name}.db") == [(table,)]
    assert got["bytes"] == {path.name: path.stat().st_size for path in folder.glob("*.db")}
    assert next(iter(got["bytes"])) == "queue.db" and got["removed"] == []
    periodic.nightly_backup.call_local()  # once more on the same day
    assert {path.name for path in folder.iterdir()} == {*got["bytes"], "backup.json"}


def test_old_days_are_removed_once_the_new_one_is_whole(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [tmp_path / "backups" / day for day in ("2020-01-01", "2020-01-02")]
    for day in days:
        day.mkdir(parents=True)
    (tmp_path / "data" / "people.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(Discard, match=r"expected a valid SQLite file at .*people\.db"):
        periodic.nightly_backup.call_local()
    assert days[0].exists()
    (tmp_path / "data" / "people.db").unlink()
    assert periodic.nightly_backup.call_local()["removed"] == ["2020-01-01"]
    assert days[1].exists()
    monkeypatch.setattr(periodic, "settings", replace(settings, storage=replace(settings.storage, backend="redis")))
    assert set(periodic.nightly_backup.call_local()["bytes"]) == {"monitor.db"}, "what is there, and not on Redis"


def test_what_is_on_a_server_is_named_and_what_is_on_another_host_is_missed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_(backend: str, monitor: str, auth: str) -> None:
        changed = replace(
            settings,
            storage=replace(settings.storage, backend=backend),
            monitor=replace(settings.monitor, database=monitor),
            auth=replace(settings.auth, database=auth),
        )
        monkeypatch.setattr(periodic, "settings", changed)

    there = "postgresql://duey:hunter2@db/duey"
    with_("redis", settings.monitor.database, there)
    got = periodic.nightly_backup.call_local()
    assert (set(got["bytes"]), set(got["not_copied"])) == ({"monitor.db"}, {"queue", "access"})
    with_("redis", "sqlite:////srv/elsewhere.db", there)
    with pytest.raises(Discard, match=r"expected /srv/elsewhere\.db, found none on this host: let the host of the web"):
        periodic.nightly_backup.call_local()
    with_("redis", there, there)
    got = periodic.nightly_backup.call_local()
    assert (got["folder"], got["bytes"], set(got["not_copied"])) == (None, {}, {"queue", "monitor", "access"})
    with_("redis", settings.monitor.database, "sqlite:////srv/elsewhere.db")
    got = periodic.nightly_backup.call_local()
    assert got["not_copied"]["access"] == "there is no /srv/elsewhere.db on this host" and got["host"]


def test_a_history_that_is_not_recorded_is_no_backup(settings: Settings, storage: Storage) -> None:
    database = History(settings.monitor.database.replace("books", "true"), settings.monitor).database
    changed = replace(settings, monitor=replace(settings.monitor, database=f"sqlite:///{database.path}"))
    periodic.settings = changed
    storage.owner = OutboxOwner(ownership.identity(database), "web:/srv/monitor.db", 1, 0.0)
    assert "monitor.db" in periodic.nightly_backup.call_local()["bytes"], "by whatever name the host goes"
    storage.owner = storage.owner._replace(history="0" * 13)
    with pytest.raises(Discard, match=r"expected the history that is recorded, found web:/srv/monitor\.db, and not "):
        periodic.nightly_backup.call_local()


@rows("url", ["", "https://hc-ping.com/eb095278"])
def test_the_heartbeat_s_url_is_its_ping(url: str) -> None:
    """tests/contracts/test_pings.py says what becomes of it."""
    command = "import periodic; print(periodic.heartbeat.task_class.ping, periodic.heartbeat.call_local())"
    environ = {**os.environ, "DUEY_PERIODIC_HEARTBEAT_URL": url}
    done = subprocess.run([sys.executable, "-c", command], env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [url or "None", "None"], done.stderr


@rows(
    ("name", "due", "not_due"),
    [
        ("nightly_backup", ["03:30"], ["03:31", "04:30", "00:00"]),
        ("heartbeat", ["00:00", "12:05", "23:55"], ["00:01", "12:04"]),
    ],
)
def test_when_they_are_due(name: str, due: list[str], not_due: list[str]) -> None:
    validate = getattr(periodic, name).task_class().validate_datetime
    for text in due + not_due:
        assert bool(validate(datetime.fromisoformat(f"2030-05-05T{text}"))) is (text in due), text
