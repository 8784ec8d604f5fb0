"""Plain Huey on SQLite, as it comes."""

from __future__ import annotations

from huey import SqliteHuey

from bench.systems import FOLDER
from bench.systems.plain_huey import PlainHuey

huey = SqliteHuey("bench", filename=str(FOLDER / "huey.db"))


class HueyOnSqlite(PlainHuey):
    title = "Huey on SQLite"
    settings = "SqliteHuey as it comes: WAL, every commit synced"
    guarantee = "at most once: the job leaves the queue before it runs, a killed worker loses it"
    jobs = 4000


SYSTEM = HueyOnSqlite(huey, __name__)
