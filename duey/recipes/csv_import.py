"""Import a CSV file into one table of a SQLite database.

The header names the columns. The rows are inserted in batches into a temporary table, which only this connection
sees. At the end, one transaction replaces the rows of the real table.
So the table holds either all rows of the file or its previous rows, and importing a file twice gives the same rows.
After a crash nothing is left behind: SQLite drops the temporary table. Other writers wait only during the last
transaction, about a second for a million rows.
"""

from __future__ import annotations

import codecs
import csv
import os
import sqlite3
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from duey.recipes import Refused
from duey.recipes.sqlite import opened, quoted

BATCH_ROWS = 5000
MAX_COLUMNS = 2000  # the limit of SQLite
_STAGED = "temp.staged_rows"
# Only plain character sets. Other codecs of Python compute: unicode_escape, for example, turns text of the file into
# other characters, so the table could hold text that is not visible in the file.
_ENCODINGS = frozenset(
    {"utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii", "koi8-r", "mac-roman"}
    | {f"cp{number}" for number in (437, 850, 852, *range(1250, 1259))}
    | {f"iso8859-{number}" for number in range(1, 17)}
)

Progress = Callable[[int, int, str], object]


class _Row(NamedTuple):
    line: int  # the last line of the row, from 1; a quoted field can span lines
    fields: list[str]


def run(
    path: Path,
    database: Path,
    table: str,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Progress,
) -> dict[str, Any]:
    """Import the file and return {"table", "columns", "rows"}: the table's name and two counts.

    The first line holds the column names. Blank lines are skipped. Fields are text, which an existing table converts
    to its column types. A missing table is created. An existing table must have exactly the columns of the file.
    `progress(done_bytes, total_bytes, note)` is called after each batch.
    Raises Refused (bad file, encoding, rows (with their line) or table) and Unavailable (database locked or full).
    """
    _check_table_name(table)
    try:
        with _open_text(path, encoding) as file:
            total = os.fstat(file.fileno()).st_size
            rows = _rows(file, delimiter)
            columns = _column_names(next(rows, None))
            with opened(database, create=True) as connection:
                _check_columns(connection, table, columns)
                count = 0
                for batch in _batches(rows, len(columns)):
                    _stage(connection, columns, batch)
                    count += len(batch)
                    progress(os.lseek(file.fileno(), 0, os.SEEK_CUR), total, f"{count:,} rows read")
                _replace(connection, table, columns)
    except OSError as error:
        raise Refused(f"expected a readable CSV file: {error}") from None
    return {"table": table, "columns": len(columns), "rows": count}


def _open_text(path: Path, encoding: str) -> TextIOWrapper:
    if not path.is_file():  # reading from a pipe or a device might never end
        raise Refused(f"expected a CSV file at {path}, found none")
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = ""
    if name not in _ENCODINGS:
        raise Refused(f"expected an encoding such as utf-8 or cp1252, found {encoding[:50]!r}")
    # Spreadsheets start UTF-8 files with a byte order mark, which would become part of the first column name.
    return open(path, encoding="utf-8-sig" if name == "utf-8" else name, newline="")


def _rows(file: TextIOWrapper, delimiter: str) -> Iterator[_Row]:
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise Refused(f"expected a delimiter of one character such as ; or a tab, found {delimiter[:10]!r}")
    name = file.encoding.removesuffix("-sig")
    # strict: a stray quote is an error with a line number. Otherwise it would swallow the lines that follow.
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            if fields:
                yield _Row(reader.line_num, fields)
    except csv.Error as error:
        raise Refused(f"line {reader.line_num} is not valid CSV, nothing was imported: {error}") from None
    except UnicodeDecodeError as error:
        # The file is decoded in blocks, so the bad byte is some lines after the last line that was read.
        line = reader.line_num + error.object[: error.start].count(b"\n") + 1
        raise Refused(f"line {line} is not {name}, nothing was imported: {error.reason}") from None
    except UnicodeError as error:  # UTF-16 without a byte order mark
        raise Refused(f"the file is not {name}, nothing was imported: {error}") from None


def _column_names(header: _Row | None) -> list[str]:
    """Return the column names of the header. Each must be visible, and unique whatever its case. Raises Refused."""
    if header is None:
        raise Refused("expected a CSV file whose first line names the columns, found an empty file")
    if len(header.fields) > MAX_COLUMNS:
        raise Refused(f"expected at most {MAX_COLUMNS} columns, found {len(header.fields)}")
    names: list[str] = []
    taken: set[str] = set()
    for position, field in enumerate(header.fields, 1):
        base = "".join(c if c.isprintable() else "_" for c in field.strip()) or f"column_{position}"
        name, number = base, 2
        while name.lower() in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def _batches(rows: Iterator[_Row], width: int) -> Iterator[list[list[str]]]:
    while batch := list(islice(rows, BATCH_ROWS)):
        for line, fields in batch:
            if len(fields) != width:
                raise Refused(
                    f"line {line}: expected {width} fields as in the header, found {len(fields)}; nothing was imported"
                )
        yield [row.fields for row in batch]


def _stage(connection: sqlite3.Connection, columns: list[str], batch: list[list[str]]) -> None:
    with connection:
        connection.execute("BEGIN")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {_STAGED} ({_listed(columns)})")
        connection.executemany(f"INSERT INTO {_STAGED} VALUES ({','.join('?' * len(columns))})", batch)


def _replace(connection: sqlite3.Connection, table: str, columns: list[str]) -> None:
    names = _listed(columns)
    target = f"main.{quoted(table)}"
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        _check_columns(connection, table, columns)  # again: the table may have changed since
        connection.execute(f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(f'{quoted(c)} TEXT' for c in columns)})")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {_STAGED} ({names})")
        connection.execute(f"DELETE FROM {target}")
        connection.execute(f"INSERT INTO {target} ({names}) SELECT {names} FROM {_STAGED} ORDER BY rowid")


def _listed(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))


def _check_table_name(table: str) -> None:
    if not 1 <= len(table) <= 128 or not table.isprintable() or table.lower().startswith("sqlite_"):
        raise Refused(f"expected a table name of 1 to 128 visible characters, not sqlite_…, found {table[:50]!r}")


def _check_columns(connection: sqlite3.Connection, table: str, columns: list[str]) -> None:
    """Raise Refused if the name belongs to a view or to a table with other columns, whose rows must not be lost."""
    row = connection.execute(
        "SELECT type FROM main.sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')",
        (table,),
    ).fetchone()
    if row is None:
        return
    found = [name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({quoted(table)})")]
    if row[0] != "table" or {c.lower() for c in found} != {c.lower() for c in columns}:
        missing = len({c.lower() for c in found} - {c.lower() for c in columns})
        surplus = len({c.lower() for c in columns} - {c.lower() for c in found})
        raise Refused(
            f"the {row[0]} {table!r} exists with other columns than the file: {missing} of its own are not in the "
            f"file, {surplus} of the file are not in it; use another table or rename the columns"
        )
