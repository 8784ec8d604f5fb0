"""duey.recipes.csv_import on real files: the table holds the whole file or what it held before."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.recipes import Refused, Unavailable, csv_import, sqlite
from tests.recipes.killing import killed_at
from tests.support import rows


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def run(file: Path, database: Path, table: str = "t", **options: Any) -> dict[str, Any]:
    return csv_import.run(file, database, table, **{"progress": lambda *step: None, **options})


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


def test_running_it_again_leaves_the_rows_of_the_new_file(file: Path, database: Path) -> None:
    for text, found in (
        ("a,b\n1,2\n3,4\n", [("1", "2"), ("3", "4")]), ("a,b\n1,2\n3,4\n", [("1", "2"), ("3", "4")]),
        ("b,A\n9,8\n", [("8", "9")]),  # the other way round, in another case
        ("a,b\n", []),
    ):  # fmt: skip
        file.write_text(text)
        assert run(file, database)["rows"] == len(found)
        assert select(database, "SELECT a, b FROM t ORDER BY a") == found, text


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


@rows(
    ("content", "encoding", "delimiter"),
    [
        ("\ufeffa;b\nä;€\n", "utf-8", ";"), ("a\tb\nä\t€\n", "cp1252", "\t"), ("a,b\rä,€\r", "utf-16", ","),
        ("a|b\r\nä|€", "UTF8", "|"),
    ],
)  # fmt: skip
def test_encodings_and_delimiters(file: Path, database: Path, content: str, encoding: str, delimiter: str) -> None:
    file.write_bytes(content.encode(encoding))
    run(file, database, encoding, encoding=encoding, delimiter=delimiter)
    assert select(database, f'SELECT a, b FROM "{encoding}"') == [("ä", "€")]


def test_column_names_become_unique_and_visible(file: Path, database: Path) -> None:
    file.write_text('a,A,, ,a_2,"x""y; DROP TABLE t",select,"tab\there",rowid\n' + ",".join("123456789") + "\n")
    expected = ["a", "A_2", "column_3", "column_4", "a_2_2", 'x"y; DROP TABLE t', "select", "tab_here", "rowid"]
    assert run(file, database)["columns"] == len(expected)
    assert select(database, "SELECT * FROM t") == [tuple("123456789")]
    assert [name for _, name, *_ in select(database, "PRAGMA table_info(t)")] == expected


def test_any_visible_name_is_one_table_and_others_are_refused(file: Path, database: Path) -> None:
    file.write_text("a\n1\n")
    for table in ("", "sqlite_master", "SQLite_x", "a\nb", "a\x00b", "x" * 129):
        with pytest.raises(Refused, match="expected a table name"):
            run(file, database, table)
            pytest.fail(f"accepted {table!r}")
    assert not database.exists()
    names = ["order", 'a"b', "a b; DROP TABLE x", "größe", "[x]", "main.t"]
    for table in names * 2:
        run(file, database, table)
    assert select(database, "SELECT name FROM sqlite_master") == [(table,) for table in names]


# What is wrong with a file, by its line


@rows(
    ("content", "sentence"),
    [
        (b"", "found an empty file"), (b"\n\r\n\n", "found an empty file"),
        (b"a,b\n1,2\n\n3\n4,5\n", "line 4: expected 2 fields as in the header, found 1"),
        (b'a,b\n"1\n\n",2\n3,4,5\n', "line 5: expected 2 fields as in the header, found 3"),
        (b'a,b\n1,2\n"3"x,4\n', "line 3 is not valid CSV"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "line 4 is not valid CSV.*unexpected end of data"),
        (b"a,b\n1,2\n\xff,4\n", "line 3 is not utf-8"), (b"\xff\n", "line 1 is not utf-8"),
        (b"a,b\n" + b"1,2\n" * 30_000 + b"3,\xc3(\n" + b"5,6\n" * 9000, "line 30002 is not utf-8, nothing"),
        (b"a,b\n1,2\n\xc3", "line 3 is not utf-8"),
        (b"a,b\n" + b"x" * 200_000 + b"\n", "line 2 is not valid CSV.*field larger"),
        (b",".join(b"c%d" % n for n in range(2001)), "expected at most 2000 columns, found 2001"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_by_line_and_changes_nothing(
    file: Path, database: Path, content: bytes, sentence: str
) -> None:
    execute(database, "DROP TABLE IF EXISTS t; CREATE TABLE t (a, b); INSERT INTO t VALUES ('old', 'row');")
    file.write_bytes(content)
    with pytest.raises(Refused, match=sentence):
        run(file, database)
    assert select(database, "SELECT * FROM t") == [("old", "row")]
    assert select(database, "SELECT name FROM sqlite_master") == [("t",)]


def test_a_file_and_options_that_are_none(file: Path, database: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent.csv", tmp_path, tmp_path / "pipe"):
        with pytest.raises(Refused, match=r"expected a CSV file at .*, found none"):
            run(path, database)
    file.write_text("a\n1\n")
    for key, wrong, sentence in (
        ("encoding", ["", "no-such", "rot13", "base64", "a\x00b"], "expected an encoding"),
        ("delimiter", ["", ";;", '"', "\n", "\r"], "expected a delimiter of one character"),
    ):
        for value in wrong:
            with pytest.raises(Refused, match=sentence):
                run(file, database, **{key: value})
                pytest.fail(f"accepted {value!r}")
    assert not database.exists()


# What is wrong with a database


@rows(
    ("schema", "sentence"),
    [
        ("CREATE TABLE t (a, b, c)", "use another table or rename the columns"),
        ("CREATE TABLE T (a)", "use another table or rename the columns"),
        ("CREATE TABLE t (a, c)", "use another table or rename the columns"),
        ("CREATE VIEW t AS SELECT 1 AS a, 2 AS b", "use another table or rename the columns"),
        ("CREATE TABLE t (a UNIQUE, b)", "does not take the rows, nothing was changed: UNIQUE"),
    ],
)
def test_a_table_that_does_not_take_the_rows_is_not_touched(tmp_path: Path, schema: str, sentence: str) -> None:
    database, file = tmp_path / f"{len(schema)}.db", tmp_path / "rows.csv"
    execute(database, schema)
    if "UNIQUE" in schema:
        execute(database, "INSERT INTO t VALUES ('old', 'row')")
    before = select(database, "SELECT * FROM t"), select(database, "SELECT sql FROM sqlite_master")
    file.write_text("a,b\n1,2\n1,2\n")
    with pytest.raises(Refused, match=sentence):
        run(file, database)
    assert (select(database, "SELECT * FROM t"), select(database, "SELECT sql FROM sqlite_master")) == before


def test_a_database_that_is_none(file: Path, database: Path, tmp_path: Path) -> None:
    file.write_text("a\n1\n")
    database.write_bytes(b"no database at all, but long enough to look at" * 100)
    with pytest.raises(Refused, match="expected a valid SQLite file"):
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


def test_killed_in_the_middle_it_changes_nothing_and_runs_again(file: Path, database: Path) -> None:
    execute(database, "CREATE TABLE t (id, name, price, note); INSERT INTO t VALUES ('old', '', '', '');")
    write_rows(file, 30_000)
    for at in (1, 6):
        killed_at(f"csv_import.run(Path({str(file)!r}), Path({str(database)!r}), 't', progress=progress)", at)
        assert select(database, "SELECT id FROM t") == [("old",)]
        assert select(database, "SELECT name FROM sqlite_master") == [("t",)]
    run(file, database)
    assert select(database, "SELECT count(*), count(DISTINCT id) FROM t") == [(30_000, 30_000)]
    assert sorted(path.name for path in database.parent.iterdir()) == ["data.db", "rows.csv"]


def test_others_write_while_the_file_is_read_and_progress_is_told(file: Path, database: Path) -> None:
    execute(database, "CREATE TABLE other (n)")
    write_rows(file, 20_000)
    seen: list[tuple[int, int, str]] = []

    def write_at_each_step(*step: Any) -> None:
        seen.append(step)
        with closing(sqlite3.connect(database, timeout=0)) as other:  # raises at once if it had to wait
            other.execute("INSERT INTO other VALUES (1)")
            other.commit()

    run(file, database, progress=write_at_each_step)
    assert len(seen) == 20_000 / csv_import.BATCH_ROWS and seen == sorted(seen)
    assert seen[-1] == (file.stat().st_size, file.stat().st_size, "20,000 rows read")
    assert select(database, "SELECT count(*) FROM other") == [(len(seen),)]
    expected = [(20_000, 20_000, "some words about 9999")]
    assert select(database, "SELECT count(*), count(DISTINCT id), max(note) FROM t") == expected


def test_two_imports_of_one_table_at_once_leave_one_of_them(file: Path, database: Path) -> None:
    write_rows(file, 20_000)
    other = file.with_name("other.csv")
    other.write_text("id,name,price,note\n1,2,3,4\n")
    together = threading.Barrier(2, timeout=20)
    ends: list[int] = []

    def one(path: Path) -> None:
        steps: list[int] = []

        def meet(*step: Any) -> None:
            steps.append(1)
            if len(steps) == 1:
                together.wait()

        ends.append(run(path, database, progress=meet)["rows"])

    threads = [threading.Thread(target=one, args=(path,)) for path in (file, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == [1, 20_000]
    assert select(database, "SELECT count(*) FROM t")[0][0] in (1, 20_000)
