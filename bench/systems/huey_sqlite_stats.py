"""Plain Huey on SQLite with its own statistics, which is what Duey's events are to be compared with."""

from __future__ import annotations

from huey import SqliteHuey
from huey.contrib.stats import HueyStats
from peewee import SqliteDatabase

from bench.systems import FOLDER
from bench.systems.plain_huey import PlainHuey

huey = SqliteHuey("bench", filename=str(FOLDER / "huey.db"))
HueyStats(huey, SqliteDatabase(str(FOLDER / "stats.db"), pragmas={"journal_mode": "wal"})).connect()


class HueyWithStats(PlainHuey):
    title = "Huey on SQLite + contrib.stats"
    settings = "SqliteHuey as it comes, HueyStats as it comes over a SQLite file of its own"
    guarantee = "as Huey on SQLite; the last 2,000 events are kept, a failed flush drops its batch"
    packages = ("huey", "peewee")
    jobs = 3000


SYSTEM = HueyWithStats(huey, __name__)
