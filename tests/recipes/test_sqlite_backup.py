"""duey.recipes.sqlite_backup on databases that are in use: one consistent file, or none."""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from duey.recipes import Refused, Unavailable, sqlite_backup
from tests.recipes.killing import killed_at
from tests.support import wait_until

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


def run(source: Path, target: Path, progress: Callable[..., object] = lambda *step: None) -> dict[str, Any]:
    return sqlite_backup.copy(source, target, progress=progress)


def write(path: Path, **options: Any) -> None:
    """One transaction of both tables."""
    with closing(sqlite3.connect(path, isolation_level=None, **options)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        for table in ("a", "b"):
            connection.execute(f"INSERT INTO {table} VALUES (1, 'y')")
        connection.execute("COMMIT")


def counts(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").fetchone()


@contextmanager
def no_leftovers(folder: Path) -> Iterator[None]:
    def names() -> set[str]:
        return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}

    before = names()
    yield
    assert names() == before


def test_the_copy_is_one_file_with_what_the_source_holds_and_as_secret(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("CREATE TABLE old (x)")
    source.chmod(0o640)
    steps: list[tuple[int, int]] = []

    def look(done: int, total: int, note: str) -> None:
        steps.append((done, total))
        with closing(sqlite3.connect(target)) as connection:  # the older backup is replaced at once, at the end
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("old",)]

    with closing(sqlite3.connect(source)) as holds:
        holds.execute("PRAGMA wal_autocheckpoint = 0")
        holds.execute("SELECT * FROM a").fetchone()
        write(source)  # stays in the log of SQLite, where there is one
        got = run(source, target, look)
    assert counts(target) == (ROWS + 1, ROWS + 1)
    assert got["bytes"] == target.stat().st_size and got["seconds"] > 0
    assert len(steps) >= 3 and steps[-1][0] == steps[-1][1]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600  # what others might is taken away
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(("copy.db-", "."))]


def test_a_database_that_is_written_to_all_the_time(source: Path, tmp_path: Path) -> None:
    written, stop = 0, threading.Event()

    def keep_writing() -> None:
        nonlocal written
        while not stop.is_set():
            write(source, timeout=60)
            written += 1

    writer = threading.Thread(target=keep_writing)
    writer.start()
    wait_until(lambda: written, 20, "the first write")
    before = written
    run(source, tmp_path / "copy.db")
    after = written
    stop.set()
    writer.join()
    a, b = counts(tmp_path / "copy.db")
    assert a == b > ROWS and after > before, "the writer was not kept out"


def test_writes_between_steps_neither_wait_nor_keep_it_from_ending(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source)) as connection:
        wal = connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    steps: list[tuple[int, int]] = []

    def write_at_each_step(pages: int, total: int, note: str) -> None:
        steps.append((pages, total))
        assert len(steps) < 100, "it begins again and again"
        write(source, timeout=0)  # raises at once if it had to wait

    run(source, tmp_path / "copy.db", write_at_each_step)
    a, b = counts(tmp_path / "copy.db")
    assert steps[-1][0] == steps[-1][1] and counts(source) == (ROWS + len(steps),) * 2
    if wal:  # the moment of the start, and it is not begun again
        assert a == b == ROWS and steps == sorted(set(steps))
    else:
        assert a == b > ROWS and sqlite_backup.MAX_RESTARTS <= len(steps) <= sqlite_backup.MAX_RESTARTS + 3


def test_a_source_that_stays_locked_is_worth_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(tmp_path / "source.db", "delete")
    monkeypatch.setattr("duey.recipes.sqlite.BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(sqlite_backup, "BUSY_TIMEOUT_S", 0.3)
    with closing(sqlite3.connect(source, isolation_level=None)) as other, no_leftovers(tmp_path):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            run(source, tmp_path / "copy.db")
        other.execute("ROLLBACK")


def test_killed_in_the_middle_it_leaves_the_old_backup_and_a_later_run_sweeps(tmp_path: Path) -> None:
    source, target = make_source(tmp_path / "source.db", "wal"), tmp_path / "copy.db"
    run(source, target)
    inode = target.stat().st_ino
    killed_at(f"sqlite_backup.copy(Path({str(source)!r}), Path({str(target)!r}), progress=progress)", 2)
    assert target.stat().st_ino == inode and counts(target) == (ROWS, ROWS)
    (left,) = tmp_path.glob(".copy.db.*.partial")
    run(source, target)
    assert left.exists()  # it is young: another run may be writing it
    for path in (left, *left.iterdir()):
        os.utime(path, (0, 0))
    run(source, target)
    assert not left.exists()


def test_an_error_and_a_damaged_source_leave_the_old_backup_and_nothing_else(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    run(source, target)
    with no_leftovers(tmp_path), pytest.raises(ZeroDivisionError):
        run(source, target, lambda *step: 1 / 0)
    damaged = bytearray(source.read_bytes())
    damaged[40 * 4096 : 60 * 4096] = b"\xa5" * (20 * 4096)
    source.write_bytes(damaged)
    with no_leftovers(tmp_path), pytest.raises(Refused, match=r"source\.db is damaged|a valid SQLite file"):
        run(source, target)
    assert counts(target) == (ROWS, ROWS)


def test_a_source_that_is_none_and_a_target_that_may_not_be_replaced(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.db", "wal")
    (tmp_path / "tasks.py").write_text("print('mine')\n" * 100)
    (tmp_path / "other.db").touch()
    (tmp_path / "other.db-wal").write_bytes(b"x")
    copy, no_file = tmp_path / "copy.db", "expected a file name in an existing folder"
    with no_leftovers(tmp_path):
        for one, other, sentence in (
            (tmp_path / "absent", copy, r"expected a SQLite file at .*absent"),
            (tmp_path / "tasks.py", copy, r"expected a valid SQLite file at .*tasks\.py"),
            (tmp_path, copy, "expected a SQLite file at"),
            (source, tmp_path / "tasks.py", r"expected a valid SQLite file at .*tasks\.py"),
            (source, tmp_path / "other.db", r"is in use, or was left"), (source, source, "same file"),
            (source, tmp_path / "absent" / "copy.db", no_file), (source, tmp_path, no_file),
        ):  # fmt: skip
            with pytest.raises(Refused, match=sentence):
                run(one, other)
    assert (tmp_path / "tasks.py").read_text().startswith("print")


def test_prune_keeps_the_newest_days_and_what_is_no_day(tmp_path: Path) -> None:
    days, others = [f"2025-01-0{n}" for n in range(1, 5)], ["keep-me", "2025-01-01x", ".2020-01-01"]
    for name in (*days, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "queue.db").touch()
    (tmp_path / "2000-01-01").touch()
    assert sqlite_backup.prune(tmp_path, 2) == days[:2]
    assert sqlite_backup.prune(tmp_path, 2) == []
    assert {path.name for path in tmp_path.iterdir()} == {"2000-01-01", *days[2:], *others}
