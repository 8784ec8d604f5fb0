"""How many events wait for the recorder."""

from __future__ import annotations

import json
import sqlite3

from duey import settings


def backlog(con: sqlite3.Connection) -> int:
    return int(con.execute("select count(*) from outbox").fetchone()[0])


if __name__ == "__main__":
    print(json.dumps(backlog(sqlite3.connect(settings.storage.path))))
