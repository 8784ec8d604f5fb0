"""duey.recipes.csv_import on real files: the table holds the whole file or what it held before."""

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.recipes import Refused, Unavailable, csv_import, sqlite
from tests.recipes.killing import killed_at
from tests.support import rows


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def run(file: Path, database: Path, table: str = "t", **options: Any) -> dict[str, Any]:
    return csv_import.run(file, database, table, **{"progress": silent, **options})


def select(database: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def execute(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)


def test_rows_arrive_as_they_are_written(file: Path, database: Path) -> None:
    file.write_bytes('id,name,note\r\n007,Zoë,"a, ""b""\r\nc"\r\n\r\n2,, x \r\n'.encode())
    assert run(file, database) == {"table": "t", "columns": 3, "rows": 2}
    assert select(database, "SELECT * FROM t") == [("007", "Zoë", 'a, "b"\r\nc'), ("2", "", " x ")]


def test_running_it_again_leaves_the_same_rows(file: Path, database: Path) -> None:
    file.write_text("a,b\n1,2\n3,4\n")
    run(file, database)
    run(file, database)
    assert select(database, "SELECT * FROM t ORDER BY a") == [("1", "2"), ("3", "4")]
    file.write_text("b,A\n9,8\n")  # the other way round, in another case
    run(file, database)
    assert select(database, "SELECT a, b FROM t") == [("8", "9")]


def test_an_existing_table_keeps_its_types_indexes_and_triggers(file: Path, database: Path) -> None:
    execute(
        database,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL); CREATE INDEX i ON t(price);"
        "CREATE TABLE log (id); CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END;"
        "CREATE VIEW v AS SELECT price FROM t; INSERT INTO t VALUES (1, 2);",
    )
    file.write_text("id,price\n5,1.50\n")
    run(file, database)
    assert select(database, "SELECT * FROM t") == [(5, 1.5)]
    assert select(database, "SELECT * FROM v") == [(1.5,)]
    assert select(database, "SELECT * FROM log") == [(1,), (5,)]
    assert select(database, "SELECT count(*) FROM sqlite_master WHERE name = 'i'") == [(1,)]


def test_a_header_alone_empties_the_table(file: Path, database: Path) -> None:
    file.write_text("a\n1\n")
    run(file, database)
    file.write_text("a\n")
    assert run(file, database)["rows"] == 0
    assert select(database, "SELECT * FROM t") == []


@pytest.mark.parametrize(
    ("content", "encoding", "delimiter"),
    [
        ("\ufeffa;b\nä;€\n", "utf-8", ";"),
        ("a\tb\nä\t€\n", "cp1252", "\t"),
        ("a,b\rä,€\r", "utf-16", ","),
        ("a|b\r\nä|€", "UTF8", "|"),
    ],
)
def test_encodings_and_delimiters(file: Path, database: Path, content: str, encoding: str, delimiter: str) -> None:
    file.write_bytes(content.encode(encoding))
    run(file, database, encoding=encoding, delimiter=delimiter)
    assert select(database, "SELECT a, b FROM t") == [("ä", "€")]


def test_column_names_become_unique_and_visible(file: Path, database: Path) -> None:
    file.write_text('a,A,, ,a_2,"x""y; DROP TABLE t",select,"tab\there",rowid\n' + ",".join("123456789") + "\n")
    expected = ["a", "A_2", "column_3", "column_4", "a_2_2", 'x"y; DROP TABLE t', "select", "tab_here", "rowid"]
    assert run(file, database)["columns"] == len(expected)
    assert select(database, "SELECT * FROM t") == [tuple("123456789")]
    assert [name for _, name, *_ in select(database, "PRAGMA table_info(t)")] == expected


@pytest.mark.parametrize("table", ["order", 'a"b', "a b; DROP TABLE x", "größe", "[x]", "main.t"])
def test_any_visible_name_is_one_table(file: Path, database: Path, table: str) -> None:
    file.write_text("a\n1\n")
    run(file, database, table)
    run(file, database, table)
    assert select(database, "SELECT name FROM sqlite_master") == [(table,)]


@rows("table", ["", "sqlite_master", "SQLite_x", "a\nb", "a\x00b", "x" * 129])
def test_other_names_are_refused(file: Path, database: Path, table: str) -> None:
    file.write_text("a\n1\n")
    with pytest.raises(Refused, match="expected a table name"):
        run(file, database, table)
    assert not database.exists()


# What is wrong with a file, by its line


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "found an empty file"),
        (b"\n\r\n\n", "found an empty file"),
        (b"a,b\n1,2\n\n3\n4,5\n", "line 4: expected 2 fields as in the header, found 1"),
        (b'a,b\n"1\n\n",2\n3,4,5\n', "line 5: expected 2 fields as in the header, found 3"),
        (b'a,b\n1,2\n"3"x,4\n', "line 3 is no valid CSV"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "line 4 is no valid CSV.*unexpected end of data"),
        (b"a,b\n1,2\n\xff,4\n", "line 3 is not utf-8"),
        (b"\xff\n", "line 1 is not utf-8"),
        (b"a,b\n" + b"1,2\n" * 30_000 + b"3,\xc3(\n" + b"5,6\n" * 9000, "line 30002 is not utf-8, nothing"),
        (b"a,b\n1,2\n\xc3", "line 3 is not utf-8"),
        (b"a,b\n" + b"x" * 200_000 + b"\n", "line 2 is no valid CSV.*field larger"),
        (b",".join(b"c%d" % n for n in range(2001)), "expected at most 2000 columns, found 2001"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_changes_nothing(
    file: Path, database: Path, content: bytes, sentence: str
) -> None:
    execute(database, "CREATE TABLE t (a, b); INSERT INTO t VALUES ('old', 'row');")
    file.write_bytes(content)
    with pytest.raises(Refused, match=sentence):
        run(file, database)
    assert select(database, "SELECT * FROM t") == [("old", "row")]
    assert select(database, "SELECT name FROM sqlite_master") == [("t",)]


@pytest.mark.parametrize("encoding", ["", "no-such", "rot13", "base64", "a\x00b"])
def test_an_encoding_that_is_none(file: Path, database: Path, encoding: str) -> None:
    file.write_text("a\n1\n")
    with pytest.raises(Refused, match="expected an encoding"):
        run(file, database, encoding=encoding)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\r"])
def test_a_delimiter_that_is_none(file: Path, database: Path, delimiter: str) -> None:
    file.write_text("a\n1\n")
    with pytest.raises(Refused, match="expected a delimiter of one character"):
        run(file, database, delimiter=delimiter)


def test_a_file_that_is_none(tmp_path: Path, database: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent.csv", tmp_path, tmp_path / "pipe"):
        with pytest.raises(Refused, match=r"expected a CSV file at .*, found none"):
            run(path, database)
    assert not database.exists()


# What is wrong with a database


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE t (a, b, c)",
        "CREATE TABLE T (a)",
        "CREATE TABLE t (a, c)",
        "CREATE VIEW t AS SELECT 1 AS a, 2 AS b",
    ],
)
def test_a_table_that_is_not_the_files_is_not_touched(file: Path, database: Path, schema: str) -> None:
    execute(database, schema)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(Refused, match="use another table or rename the columns"):
        run(file, database)
    assert select(database, "SELECT sql FROM sqlite_master") == [(schema,)]


def test_a_row_that_the_table_does_not_take_changes_nothing(file: Path, database: Path) -> None:
    execute(database, "CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES ('old');")
    file.write_text("a\n1\n1\n")
    with pytest.raises(Refused, match=r"does not take the rows, nothing was changed: UNIQUE"):
        run(file, database)
    assert select(database, "SELECT * FROM t") == [("old",)]


def test_a_database_that_is_none(file: Path, database: Path, tmp_path: Path) -> None:
    file.write_text("a\n1\n")
    database.write_bytes(b"no database at all, but long enough to look at" * 100)
    with pytest.raises(Refused, match="expected a sound SQLite file"):
        run(file, database)
    assert database.read_bytes().startswith(b"no database")
    for path in (tmp_path / "absent" / "data.db", tmp_path):
        with pytest.raises(Refused, match="expected a SQLite file or a new name"):
            run(file, path)


def test_a_locked_database_is_worth_another_attempt(
    file: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    file.write_text("a\n1\n")
    run(file, database)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="cannot be used now: database is locked"):
            run(file, database)
        other.execute("ROLLBACK")
    assert run(file, database)["rows"] == 1


# In the large


def write_rows(file: Path, count: int) -> None:
    with open(file, "w") as out:
        out.write("id,name,price,note\n")
        out.writelines(f"{n},name {n},{n / 7:.2f},some words about {n}\n" for n in range(count))


def test_a_hundred_thousand_rows(file: Path, database: Path) -> None:
    write_rows(file, 100_000)
    seen: list[tuple[int, int, str]] = []
    began = time.monotonic()
    run(file, database, progress=lambda *step: seen.append(step))
    assert time.monotonic() - began < 20  # half a second on a small machine
    assert select(database, "SELECT count(*), count(DISTINCT id), max(note) FROM t") == [
        (100_000, 100_000, "some words about 99999")
    ]
    assert len(seen) == 100_000 / csv_import.BATCH_ROWS
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    assert seen[-1] == (file.stat().st_size, file.stat().st_size, "100,000 rows read")


def test_killed_in_the_middle_it_changes_nothing_and_runs_again(file: Path, database: Path) -> None:
    execute(database, "CREATE TABLE t (id, name, price, note); INSERT INTO t VALUES ('old', '', '', '');")
    write_rows(file, 30_000)
    for at in (1, 4, 6):
        killed_at(f"csv_import.run(Path({str(file)!r}), Path({str(database)!r}), 't', progress=progress)", at)
        assert select(database, "SELECT id FROM t") == [("old",)]
        assert select(database, "SELECT name FROM sqlite_master") == [("t",)]
    run(file, database)
    assert select(database, "SELECT count(*), count(DISTINCT id) FROM t") == [(30_000, 30_000)]
    assert sorted(path.name for path in database.parent.iterdir()) == ["data.db", "rows.csv"]


def test_others_write_while_the_file_is_read(file: Path, database: Path) -> None:
    execute(database, "CREATE TABLE other (n)")
    write_rows(file, 20_000)

    def write_at_each_step(done: int, total: int, note: str) -> None:
        with closing(sqlite3.connect(database, timeout=0)) as other:  # raises at once if it had to wait
            other.execute("INSERT INTO other VALUES (1)")
            other.commit()

    run(file, database, progress=write_at_each_step)
    assert select(database, "SELECT count(*) FROM other") == [(4,)]


def test_two_imports_of_one_table_at_once_leave_one_of_them(file: Path, database: Path) -> None:
    write_rows(file, 20_000)
    other = file.with_name("other.csv")
    other.write_text("id,name,price,note\n1,2,3,4\n")
    together = threading.Barrier(2, timeout=20)
    ends: list[object] = []

    def one(path: Path) -> None:
        started = False

        def meet(done: int, total: int, note: str) -> None:
            nonlocal started
            if not started:
                started = True
                together.wait()

        ends.append(run(path, database, progress=meet)["rows"])

    threads = [threading.Thread(target=one, args=(path,)) for path in (file, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == [1, 20_000]  # type: ignore[type-var]
    assert select(database, "SELECT count(*) FROM t")[0][0] in (1, 20_000)
