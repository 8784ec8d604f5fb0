"""The inbox: jobs that were accepted and have no place yet.

A synced commit is dear for each page that it changes. A plain job changes five in its place: its row, two indexes, the
queue, and the outbox. So it is accepted into the inbox, which is one page, and the next transaction that writes
anything gives it its place, without a sync of its own: that of a worker that claims, as a rule. A process that reads
does so first, so nobody sees the inbox. Its rows are few, because whoever enqueues empties it after MOST jobs, and
because a new id is compared with all of them.

If a process dies, the rows are there for the next one. A power cut takes the transaction that placed them as a whole,
and then they are in the inbox again.
"""

from __future__ import annotations

import sqlite3

from duey import clock
from duey.model import event
from duey.model.job import STATED, JobRecord

MOST = 32  # jobs that one process accepts before it empties the inbox
COLUMNS = ", ".join(JobRecord._fields[:STATED])
# Of a view of the connection, so that SQLite refuses all rows of a statement or none. An id must be new.
ACCEPT = f"""select raise(abort, 'known') where exists (select 1 from jobs where id = new.id)
        or exists (select 1 from inbox where id = new.id);
    insert into inbox ({COLUMNS}) values ({", ".join(f"new.{name}" for name in JobRecord._fields[:STATED])});"""
STATE = "select coalesce(max(seq), 0), (select count(*) from inbox where eta is not null) from jobs"


def is_empty(con: sqlite3.Connection) -> bool:
    """Whether every job has a place."""
    return con.execute("select 1 from inbox limit 1").fetchone() is None


def distribute(con: sqlite3.Connection) -> None:
    """Give every job in the inbox its place, inside the caller's transaction, in the order of acceptance."""
    if is_empty(con):
        return
    last, with_eta = con.execute(STATE).fetchone()
    con.execute(f"insert into jobs ({COLUMNS}) select {COLUMNS} from inbox order by n")
    con.execute("delete from inbox")
    place(con, last, bool(with_eta))


def place(con: sqlite3.Connection, last: int, with_eta: bool) -> None:
    """Give the jobs after number `last` their place and their event."""
    which = {"last": last, "now": clock.now()}
    con.execute(
        "insert into ready select queue, -priority, seq from jobs where seq > :last and (eta is null or eta <= :now)",
        which,
    )
    if with_eta:
        con.execute("insert into scheduled select eta, seq from jobs where seq > :last and eta > :now", which)
    con.execute(
        "insert into outbox (job, kind, token, at, attempt) "
        f"select seq, '{event.ENQUEUED}', 0, enqueued_at, 0 from jobs where seq > :last",
        which,
    )
