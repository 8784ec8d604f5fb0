"""A backup is taken while the service is in use, and what is restored from it is what was accepted before it."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from duey import schema_copy
from duey.cli.commands import copies
from duey.cli.context import Refused
from duey.config import load
from duey.monitor.access import Access
from duey.monitor.history import History
from duey.recipes import backup_set
from duey.storage.sqlite.storage import SqliteStorage
from tests.support.file_errors import in_a_child

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ROOT / "tests" / "acceptance" / "on_path" / "commands.py"


def test_what_was_backed_up_is_there_again_after_the_loss(tmp_path):
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = jobs\n")
    (tmp_path / "jobs.py").write_text(
        "from duey import huey\n\n\n@huey.task()\ndef add(a: int, b: int) -> int:\n    return a + b\n"
    )
    copies = str(tmp_path / "copies")
    environ = {**os.environ, "DUEY_CONFIG": str(tmp_path / "config.ini"), "PYTHONPATH": str(ROOT)}

    def manage(*commands: list[str]) -> list[tuple[int, str, str]]:
        program = [sys.executable, str(COMMANDS), json.dumps(commands)]
        done = subprocess.run(program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "access.key").touch()
    (_, kept, _), *_, (_, later, _) = manage(
        ["enqueue", "add", "1", "2"], ["user", "add", "ana", "--role", "admin"], ["backup", copies],
        ["enqueue", "add", "3", "4"],
    )  # fmt: skip
    assert not list(Path(copies).rglob("*.key")), "the key of second factors is in no backup"
    for file in (tmp_path / "data").glob("*.db*"):
        if file.is_file():
            file.unlink()
    restored, users, retry, cancel = manage(
        ["restore", copies], ["user", "list"], ["retry", kept.strip()], ["cancel", later.strip()]
    )
    assert restored[0] == 0 and "ana\tadmin" in users[1]
    assert retry[0] == 1 and ("already" in retry[2] or "it is queued" in retry[2])
    assert cancel[0] == 1 and "no job has the id" in cancel[2]


# In this process: the commands over files that a service of before has left, `old` in each, and a backup with `new`.


class Place:
    """Three databases of a service that is stopped, and the folder of a backup."""

    def __init__(self, folder: Path, like: Path | None = None) -> None:
        """`like` is the folder of another place that is as it was made."""
        if like:
            shutil.copytree(like, folder)
        else:
            folder.mkdir()
            (folder / "config.ini").touch()
        self.settings = load(folder / "config.ini", {})
        self.history = History(self.settings.monitor.database, self.settings.monitor)
        self.targets = copies.databases(self.settings)
        self.backup = folder / "backup"
        if not like:
            self.mark("new")
            copies.backup(self, SimpleNamespace(folder=str(self.backup)))
            self.mark("old")

    def audit(self, action: str, target: str) -> None:
        pass

    def mark(self, word: str) -> None:
        """Write a word that tells one state of the databases from another."""
        for store in (SqliteStorage("duey", path=self.targets["queue"]), self.history, Access.of(self.settings)):
            store.prepare()
            store.close()
        for path in self.targets.values():
            with closing(sqlite3.connect(path, isolation_level=None)) as con:
                con.execute("create table if not exists word (word)")
                con.execute("delete from word")
                con.execute("insert into word values (?)", (word,))

    def restore(self, *files: Path) -> None:
        copies.restore(self, SimpleNamespace(source=[str(each) for each in files or (self.backup,)]))

    def words(self) -> set[str]:
        return {word(path) for path in self.targets.values()}


def word(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con:
            return con.execute("select word from word").fetchone()[0]
    except sqlite3.Error:
        return ""


def as_newer(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("update meta set value = 999 where key = 'schema'")


def relist(backup: Path) -> None:
    """Let the list of a backup say what its files are now, so that only their contents can tell."""
    files = {path.name: (path.stat().st_size, backup_set.digest(path)) for path in backup.glob("*.db")}
    backup_set.write_list(backup, complete=True, files={name: backup_set.Listed(*one) for name, one in files.items()})


def cut_short(backup: Path) -> None:
    """A backup that fails at its last file."""

    def fail(*_: object) -> None:
        raise RuntimeError("kill -9")

    sources = {"queue.db": backup / "queue.db", "monitor.db": backup / "monitor.db"}
    with pytest.raises(RuntimeError):
        backup_set.copy_all(sources, backup.with_name("cut"), progress=fail)
    shutil.copy(backup.with_name("cut") / "backup.json", backup)


# What is done to a backup, whether its list is made to fit, and what the refusal says.
UNFIT = {
    "empty": (
        lambda b: (b / "queue.db").write_bytes(b""),
        True,
        "queue.db, found another program's database",
    ),
    "text": (lambda b: (b / "access.db").write_text("nothing of the kind\n" * 500), True, "file is not a database"),
    "half": (lambda b: os.truncate(b / "monitor.db", 8192), True, "monitor.db, found"),
    "a page less": (lambda b: os.truncate(b / "queue.db", (b / "queue.db").stat().st_size - 4096), True, "malformed"),
    "edited": (lambda b: (b / "queue.db").open("ab").write(b"x" * 4096), False, "differ from backup.json"),
    "another role": (lambda b: shutil.copy(b / "queue.db", b / "access.db"), True, "access.db, found no valid"),
    "newer": (lambda b: as_newer(b / "queue.db"), True, "found schema 999, while this Duey knows"),
    "a log": (lambda b: (b / "queue.db-wal").write_bytes(b"x"), True, "found queue.db-wal beside it"),
    "a file less": (lambda b: (b / "access.db").unlink(), False, "found no access.db"),
    "a file less, no list": (lambda b: [(b / n).unlink() for n in ("queue.db", "backup.json")], False, "no queue.db"),
    "list of another": (lambda b: (b / "backup.json").write_text("[1]"), False, "expected the list of a backup"),
    "cut short": (cut_short, False, "found one that was cut short"),
    "no backup": (lambda b: [path.unlink() for path in b.iterdir()], False, "holds no backup"),
}


def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_touched(tmp_path):
    Place(tmp_path / "place")
    for case, (spoil, fits, said) in UNFIT.items():
        place = Place(tmp_path / case, tmp_path / "place")
        (tmp_path / case / "cut").mkdir()
        spoil(place.backup)
        if fits:
            relist(place.backup)
        before = {path: path.read_bytes() for path in (tmp_path / case / "data").iterdir()}
        with pytest.raises(Refused) as refused:
            place.restore()
        assert said in str(refused.value) and "\n" not in str(refused.value), (case, str(refused.value))
        (tmp_path / case / "data" / "app.lock").unlink(missing_ok=True)
        assert {path: path.read_bytes() for path in (tmp_path / case / "data").iterdir()} == before, case


def test_a_backup_of_an_older_version_has_no_list_and_is_restored(tmp_path):
    place = Place(tmp_path / "place")
    (place.backup / "backup.json").unlink()
    place.restore()
    assert place.words() == {"new"}


def test_what_a_migration_has_kept_is_put_back(tmp_path):
    place = Place(tmp_path / "place")
    queue, monitor = (place.targets[role] for role in ("queue", "monitor"))
    kept = [schema_copy.keep(path, 1, 2) for path in (queue, monitor)]
    place.mark("newer")
    for files in ([kept[0], queue], [kept[0], kept[0]], [queue.with_name("queue.db.schema-7")], [*kept, place.backup]):
        with pytest.raises(Refused, match=r"nothing was replaced|no backup"):
            place.restore(*files)
    assert place.words() == {"newer"}
    place.restore(*kept)
    assert [word(path) for path in place.targets.values()] == ["old", "old", "newer"]
    assert word(queue.with_name("queue.db.before")) == "newer"


def test_each_restore_keeps_what_stood_there_under_a_name_of_its_own(tmp_path):
    place = Place(tmp_path / "place")
    for suffix in (".before", ".before-2", ".before-3"):
        place.mark(f"was {suffix}")
        place.restore()
        assert place.words() == {"new"}
        kept = [path.with_name(path.name + suffix) for path in place.targets.values()]
        assert {word(path) for path in kept} == {f"was {suffix}"}
        assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert word(place.targets["queue"].with_name("queue.db.before")) == "was .before"


def test_cut_short_between_any_two_steps_both_sets_are_there_and_the_next_restore_ends_it(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    left, whole = 0, False
    Place(tmp_path / "place")
    while not whole:
        place, steps = Place(tmp_path / str(left), tmp_path / "place"), iter(range(left))
        for name, real in (("link", os.link), ("replace", os.replace)):

            def step(*paths: object, real=real, steps=steps) -> None:
                if next(steps, None) is None:
                    raise Killed
                real(*paths)

            monkeypatch.setattr(os, name, step)
        try:
            place.restore()
            whole = True
        except Killed:
            pass
        monkeypatch.undo()
        for path in place.targets.values():
            assert word(path) in ("old", "new"), "there is a database at any moment"
            there = {word(path.with_name(path.name + end)) for end in ("", ".before", ".restored")}
            assert there >= {"old", "new"}, left
        place.restore()
        assert place.words() == {"new"}
        kept = {word(path) for path in place.targets["queue"].parent.glob("*.before*")}
        assert "old" in kept
        left += 1
    assert left >= 6


def test_a_broken_queue_is_replaced_and_kept(tmp_path):
    place = Place(tmp_path / "place")
    place.targets["queue"].write_bytes(b"nonsense " * 1000)
    place.restore()
    assert place.words() == {"new"}
    assert place.targets["queue"].with_name("queue.db.before").read_bytes().startswith(b"nonsense")


def test_nothing_is_replaced_while_a_process_has_a_file_open(tmp_path):
    place = Place(tmp_path / "place")

    def restore_elsewhere() -> str:
        return in_a_child(lambda: str(place.restore()))

    with open(place.targets["queue"].with_name("app.lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "the service is running" in restore_elsewhere()
    for name in ("queue", "access"):  # as `app.py --web` and a consumer have them, idle
        with closing(sqlite3.connect(place.targets[name])) as con:
            con.execute("select count(*) from sqlite_master").fetchone()
            assert "the service is running" in restore_elsewhere()
    assert place.words() == {"old"}
    assert restore_elsewhere() == "None" and place.words() == {"new"}
