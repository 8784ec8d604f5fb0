"""duey.recipes.sqlite_backup on databases that are in use: one consistent file, or none."""

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from duey.recipes import Refused, Unavailable, sqlite_backup
from tests.recipes.killing import killed_at
from tests.support.waiting import wait_until

ROWS = 20_000  # some 8 MB, several steps


@pytest.fixture(params=["wal", "delete"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_source(tmp_path / "source.db", request.param)


def make_source(path: Path, journal_mode: str) -> Path:
    """Two tables that every transaction keeps in step."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.executescript("CREATE TABLE a (n, filler); CREATE TABLE b (n, filler);")
        for table in ("a", "b"):
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", ((n, "x" * 200) for n in range(ROWS)))
        connection.commit()
    return path


def run(source: Path, target: Path, **options: Any) -> dict[str, Any]:
    return sqlite_backup.copy(source, target, **{"progress": lambda *step: None, **options})


def counts(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").fetchone()


class Writer:
    """Writes to both tables without a pause; remembers how many it wrote and its longest wait."""

    def __init__(self, path: Path) -> None:
        self.written, self.longest_s, self.error = 0, 0.0, None
        self._path, self._stop = path, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=20, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            while not self._stop.is_set():
                began = time.monotonic()
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO a VALUES (?, 'y')", (self.written,))
                connection.execute("INSERT INTO b VALUES (?, 'y')", (self.written,))
                connection.execute("COMMIT")
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                self.written += 1

    def __enter__(self) -> "Writer":
        self._thread.start()
        wait_until(lambda: self.written, 20, "the first write")
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def no_leftovers(folder: Path) -> Iterator[None]:
    before = {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    yield
    after = {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    assert after == before


def test_the_copy_holds_what_the_source_holds(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    steps: list[tuple[int, int, str]] = []
    got = run(source, target, progress=lambda *step: steps.append(step))
    assert counts(target) == (ROWS, ROWS)
    assert got["bytes"] == target.stat().st_size == source.stat().st_size
    assert 0 < got["seconds"] < 20
    assert len(steps) >= 3
    assert steps[-1][0] == steps[-1][1]


def test_the_copy_is_one_file_as_secret_as_the_source(source: Path, tmp_path: Path) -> None:
    source.chmod(0o640)
    run(source, tmp_path / "copy.db")
    assert counts(tmp_path / "copy.db") == (ROWS, ROWS)
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600  # what others might is taken away
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        connection.execute("SELECT * FROM a").fetchone()
        assert not list(tmp_path.glob("copy.db-*"))
    assert not list(tmp_path.glob(".*"))


def test_what_is_only_in_the_wal_is_copied_too(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.db", "wal")
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO a VALUES (1, 2)")
        connection.execute("INSERT INTO b VALUES (1, 2)")
        connection.commit()
        run(source, tmp_path / "copy.db")
    assert counts(tmp_path / "copy.db") == (ROWS + 1, ROWS + 1)


def test_a_database_that_is_written_to_all_the_time(source: Path, tmp_path: Path) -> None:
    for number in range(3):
        with Writer(source) as writer:
            before = writer.written
            run(source, tmp_path / "copy.db")
            after = writer.written
        a, b = counts(tmp_path / "copy.db")
        assert a == b > ROWS, number
        assert after > before  # the writer was not kept out
        assert writer.longest_s < 5


def test_in_wal_mode_writers_never_wait_and_the_copy_is_not_begun_again(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.db", "wal")
    done: list[int] = []

    def write_at_each_step(pages: int, total: int, note: str) -> None:
        done.append(pages)
        with closing(sqlite3.connect(source, timeout=0)) as other:  # raises at once if it had to wait
            other.execute("INSERT INTO a VALUES (1, 1)")
            other.commit()

    run(source, tmp_path / "copy.db", progress=write_at_each_step)
    assert counts(tmp_path / "copy.db") == (ROWS, ROWS)  # the moment of the start
    assert counts(source) == (ROWS + len(done), ROWS)
    assert done == sorted(set(done))


def test_without_wal_writes_between_steps_cannot_keep_it_from_ending(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.db", "delete")
    steps: list[tuple[int, int]] = []

    def write_at_each_step(pages: int, total: int, note: str) -> None:
        steps.append((pages, total))
        assert len(steps) < 100, "it begins again and again"
        with closing(sqlite3.connect(source, timeout=0)) as other:
            other.execute("INSERT INTO a VALUES (1, 1)")
            other.execute("INSERT INTO b VALUES (1, 1)")
            other.commit()

    run(source, tmp_path / "copy.db", progress=write_at_each_step)
    a, b = counts(tmp_path / "copy.db")
    assert a == b > ROWS
    assert sqlite_backup.MAX_RESTARTS <= len(steps) <= sqlite_backup.MAX_RESTARTS + 3
    assert steps[-1][0] == steps[-1][1]


def test_a_source_that_stays_locked_is_worth_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(tmp_path / "source.db", "delete")
    monkeypatch.setattr("duey.recipes.sqlite.BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(sqlite_backup, "BUSY_TIMEOUT_S", 0.3)
    with closing(sqlite3.connect(source, isolation_level=None)) as other, no_leftovers(tmp_path):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            run(source, tmp_path / "copy.db")
        other.execute("ROLLBACK")


def test_an_older_backup_is_replaced_at_once(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("CREATE TABLE old (x)")
    seen: list[bool] = []

    def look(done: int, total: int, note: str) -> None:
        with closing(sqlite3.connect(target)) as connection:
            seen.append(connection.execute("SELECT name FROM sqlite_master").fetchall() == [("old",)])

    run(source, target, progress=look)
    assert seen
    assert all(seen)
    assert counts(target) == (ROWS, ROWS)


def test_killed_in_the_middle_it_leaves_the_old_backup_and_a_later_run_sweeps(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.db", "wal")
    target = tmp_path / "copy.db"
    run(source, target)
    inode = target.stat().st_ino
    killed_at(f"sqlite_backup.copy(Path({str(source)!r}), Path({str(target)!r}), progress=progress)", 2)
    assert target.stat().st_ino == inode
    assert counts(target) == (ROWS, ROWS)
    (left,) = tmp_path.glob(".copy.db.*.partial")
    run(source, target)
    assert left.exists()  # it is young: another run may be writing it
    for path in (left, *left.iterdir()):
        os.utime(path, (0, 0))
    run(source, target)
    assert not left.exists()


def test_an_error_in_the_middle_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def fail(done: int, total: int, note: str) -> None:
        raise RuntimeError("stop")

    with no_leftovers(tmp_path), pytest.raises(RuntimeError, match="stop"):
        run(source, tmp_path / "copy.db", progress=fail)


def test_a_damaged_source_is_refused_and_keeps_the_old_backup(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    run(source, target)
    damaged = bytearray(source.read_bytes())
    damaged[40 * 4096 : 60 * 4096] = b"\xa5" * (20 * 4096)
    source.write_bytes(damaged)
    with no_leftovers(tmp_path), pytest.raises(Refused, match=r"source\.db is damaged|a sound SQLite file"):
        run(source, target)
    assert counts(target) == (ROWS, ROWS)


def test_a_source_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no database at all, but long enough to look at" * 100)
    with no_leftovers(tmp_path):
        with pytest.raises(Refused, match=r"expected a SQLite file at .*absent"):
            run(tmp_path / "absent", tmp_path / "copy.db")
        with pytest.raises(Refused, match=r"expected a sound SQLite file at .*text"):
            run(tmp_path / "text", tmp_path / "copy.db")
        with pytest.raises(Refused, match="expected a SQLite file at"):
            run(tmp_path, tmp_path / "copy.db")


def test_a_target_that_may_not_be_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("print('mine')\n" * 100)
    (tmp_path / "other.db").touch()
    (tmp_path / "other.db-wal").write_bytes(b"x")
    with no_leftovers(tmp_path):
        with pytest.raises(Refused, match=r"expected a sound SQLite file at .*tasks\.py"):
            run(source, tmp_path / "tasks.py")
        with pytest.raises(Refused, match=r"is in use, or was left"):
            run(source, tmp_path / "other.db")
        with pytest.raises(Refused, match="same file"):
            run(source, source)
        with pytest.raises(Refused, match="expected a file name in an existing folder"):
            run(source, tmp_path / "absent" / "copy.db")
        with pytest.raises(Refused, match="expected a file name in an existing folder"):
            run(source, tmp_path)
    assert (tmp_path / "tasks.py").read_text().startswith("print")


def test_prune_keeps_the_newest_days_and_what_is_no_day(tmp_path: Path) -> None:
    for name in ("2024-12-31", "2025-01-01", "2025-01-02", "2025-01-03", "keep-me", "2025-01-01x", ".2020-01-01"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "queue.db").touch()
    (tmp_path / "2000-01-01").touch()
    assert sqlite_backup.prune(tmp_path, 2) == ["2024-12-31", "2025-01-01"]
    assert sqlite_backup.prune(tmp_path, 2) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".2020-01-01", "2000-01-01", "2025-01-01x", "2025-01-02", "2025-01-03", "keep-me",
    ]  # fmt: skip
